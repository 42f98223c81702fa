import type { Appended } from "../Backend.js"
import { type NewEvent, place } from "../Event.js"
import type { Batch } from "./Decide.js"
import { isInOrderOfJsonb } from "./KeyOrder.js"
import type { Notification } from "./PostgresCall.js"
import { fieldsOf } from "./Row.js"
import type { Statement, Tables } from "./Tables.js"

/** Who is told, and how long to wait for other transactions. */
export interface Manner extends Notification {
  readonly lockTimeout: string
}

/** The call that stores the batches in the common case, for less than `appendCall` takes; undefined where they are another. */
export const putCall = (tables: Tables, batches: ReadonlyArray<Batch>, manner: Manner): Statement | undefined => {
  const [first] = batches
  if (batches.some(({ expectation }) => expectation !== undefined)) return undefined
  const [event, second] = first?.events ?? []
  if (event !== undefined && second === undefined && batches.length === 1) return putOne(tables, event, manner)
  return putAll(
    tables,
    batches.flatMap(({ events }) => events),
    manner
  )
}

/** The text of a value is sent along with it where jsonb would change it. */
const putOne = ({ putOne }: Tables, event: NewEvent, { channel, lockTimeout, payload }: Manner): Statement => ({
  text: `select ${putOne}($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
  params: [
    ...fieldsOf(event),
    !isInOrderOfJsonb(event.data),
    !isInOrderOfJsonb(event.metadata),
    channel,
    payload,
    lockTimeout
  ],
  keeps: true
})

const putAll = (
  { putAll }: Tables,
  events: ReadonlyArray<NewEvent>,
  { channel, lockTimeout, payload }: Manner
): Statement | undefined => {
  if (new Set(events.map(({ id }) => id)).size < events.length) return undefined
  const counts = new Map<string, number>()
  for (const { stream } of events) if (stream !== undefined) counts.set(stream, (counts.get(stream) ?? 0) + 1)
  return {
    text: `select ${putAll}($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
    params: [
      events.map(({ id }) => id),
      events.map(({ type }) => type),
      counts.size === 0 ? [] : events.map(({ stream }) => stream ?? null),
      events.map(({ timestamp }) => timestamp),
      events.map(({ correlationId }) => correlationId),
      events.map(({ causationId }) => causationId ?? null),
      JSON.stringify(events.map(({ data }) => data)),
      JSON.stringify(events.map(({ metadata }) => metadata)),
      events.map(({ data }) => !isInOrderOfJsonb(data)),
      events.map(({ metadata }) => !isInOrderOfJsonb(metadata)),
      [...counts.keys()],
      [...counts.values()],
      channel,
      payload,
      lockTimeout
    ],
    keeps: true
  }
}

/** What came of each batch, or undefined where one of the ids was there. */
export const putOf = (batches: ReadonlyArray<Batch>, answer: unknown): ReadonlyArray<Appended> | undefined => {
  if (answer === null || answer === undefined) return undefined
  const [positions = [], versions = []] = String(answer)
    .split(";")
    .map((numbers) => numbers.split(","))
  let next = 0
  return batches.map(({ events }) => ({
    _tag: "Stored",
    events: events.map((event) => {
      const index = next++
      const version = versions[index]
      return place(event, Number(positions[index]), version ? Number(version) : undefined)
    })
  }))
}
