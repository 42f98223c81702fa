import { isDeepStrictEqual } from "node:util"
import type { Events } from "effect-foundation/Events"
import * as fc from "fast-check"

/** The naive store: an array and a filter, and histories and criteria in which matches are common. */

const few = (...values: ReadonlyArray<string>) => fc.constantFrom(...values)
const bit = fc.constantFrom(0, 1)

const record = fc.record(
  { x: bit, y: fc.constantFrom<unknown>(null, [1, { z: 2 }], { p: 1, q: 2 }) },
  { requiredKeys: [] }
)

const event = fc.record(
  {
    type: few("a", "b", "c"),
    stream: few("s1", "s2"),
    correlationId: few("c1", "c2", "c3"),
    causationId: few("k1", "k2"),
    metadata: fc.record({ m: bit, n: bit }, { requiredKeys: [] }),
    data: fc.oneof({ weight: 5, arbitrary: record }, fc.constantFrom<unknown>(null, 1, "x", [0]))
  },
  { requiredKeys: ["type", "correlationId"] }
)

/** Up to 40 events, and the time of each, on a wall clock that is set back now and then. */
export const history: fc.Arbitrary<ReadonlyArray<{ readonly at: number; readonly event: Events.Input }>> = fc
  .array(fc.record({ move: fc.integer({ min: -6, max: 8 }), event }), { minLength: 1, maxLength: 40 })
  .map((steps) => {
    let at = 100
    return steps.map(({ move, event }, index) => {
      at = Math.max(0, at + move)
      return { at, event: { ...event, id: `id${index}` } }
    })
  })

const id = fc.integer({ min: 0, max: 40 }).map((index) => `id${index}`)
const type = few("a", "b", "c", "unknown")

/** A value for every criterion. */
export const values = fc.record({
  id: fc.oneof(id, fc.array(id, { maxLength: 12 })),
  type: fc.oneof(type, fc.array(type, { maxLength: 3 })),
  stream: few("s1", "s2"),
  correlationId: few("c1", "c2", "c3"),
  causationId: few("k1", "k2"),
  after: fc.integer({ min: 80, max: 140 }),
  before: fc.integer({ min: 80, max: 180 }),
  afterPosition: fc.integer({ min: 0, max: 30 }),
  beforePosition: fc.integer({ min: 1, max: 45 }),
  metadata: fc.constantFrom({ m: 0 }, { m: 1 }, { m: 1, n: 0 }),
  data: fc.constantFrom<Record<string, unknown>>(
    { x: 1 },
    { y: null },
    { y: { q: 2, p: 1 } },
    { x: 0, y: [1, { z: 2 }] }
  ),
  order: fc.constantFrom("asc" as const, "desc" as const),
  limit: fc.integer({ min: 0, max: 20 })
})

type Values = Required<Events.Criteria>

const inOrder = (criteria: Events.Criteria): boolean =>
  Number(criteria.after ?? -1) < Number(criteria.before ?? Number.POSITIVE_INFINITY) &&
  (criteria.afterPosition ?? 0) < (criteria.beforePosition ?? Number.POSITIVE_INFINITY)

const pick = (values: Values, names: ReadonlyArray<string>): Events.Criteria =>
  Object.fromEntries(Object.entries(values).filter(([name]) => names.includes(name)))

/** Every criterion alone, and in every pair, less the ranges that are reversed. */
export const combinations = (values: Values): ReadonlyArray<Events.Criteria> =>
  Object.keys(values)
    .flatMap((one, index, names) => names.slice(index).map((other) => pick(values, [one, other])))
    .filter(inOrder)

/** Several at once. */
export const together = (values: Values): Events.Criteria => {
  const { id: _, afterPosition: __, after: ___, ...rest } = values
  return rest
}

/** Two prunes. */
export const prunes = (values: Values): ReadonlyArray<Events.Criteria> => [
  pick(values, ["type", "data"]),
  pick(values, ["stream", "order", "limit"])
]

export const select = (
  events: ReadonlyArray<Events.StoredEvent>,
  criteria: Events.Criteria
): ReadonlyArray<Events.StoredEvent> => {
  const among = (wanted: string | ReadonlyArray<string> | undefined, value: string) =>
    wanted === undefined || (typeof wanted === "string" ? wanted === value : wanted.includes(value))
  const has = (wanted: Readonly<Record<string, unknown>> | undefined, value: unknown) =>
    wanted === undefined ||
    (typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      Object.entries(wanted).every(([field, part]) => isDeepStrictEqual(Reflect.get(value, field), part)))
  const found = events.filter(
    (event) =>
      among(criteria.id, event.id) &&
      among(criteria.type, event.type) &&
      (criteria.stream === undefined || criteria.stream === event.stream) &&
      (criteria.correlationId === undefined || criteria.correlationId === event.correlationId) &&
      (criteria.causationId === undefined || criteria.causationId === event.causationId) &&
      (criteria.after === undefined || event.timestamp > Number(criteria.after)) &&
      (criteria.before === undefined || event.timestamp < Number(criteria.before)) &&
      (criteria.afterPosition === undefined || event.position > criteria.afterPosition) &&
      (criteria.beforePosition === undefined || event.position < criteria.beforePosition) &&
      has(criteria.metadata, event.metadata) &&
      has(criteria.data, event.data)
  )
  if (criteria.order === "desc") found.reverse()
  return found.slice(0, criteria.limit ?? Number.POSITIVE_INFINITY)
}

/** Stores that race with the start of a subscription. */
export const race = fc.record({
  stored: fc.integer({ min: 0, max: 600 }),
  storers: fc.array(
    fc.array(fc.record({ yields: fc.integer({ min: 0, max: 6 }), count: fc.constantFrom(1, 1, 2, 7, 256, 300) }), {
      maxLength: 8
    }),
    { minLength: 1, maxLength: 4 }
  ),
  start: fc.integer({ min: 0, max: 20 }),
  /** The part of the stored events that the subscription starts behind. */
  from: fc.double({ min: 0, max: 1, noNaN: true }),
  only: fc.constantFrom(["a"], ["a", "b"], [])
})
