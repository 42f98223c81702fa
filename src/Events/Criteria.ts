import { copyJson, type Json, jsonEquals, Refused } from "../internal/json.js"
import { kindOf, maxJsonBytes, nameProblem, type StoredEvent } from "./Event.js"
import { suggestion } from "./Nearest.js"

/**
 * Which events to take: those that meet all criteria that are stated. `{}` states none, and takes all. A criterion that
 * is unknown, `undefined` or malformed is an error, never ignored.
 */
export interface Criteria {
  /** The id, or one of the ids. */
  readonly id?: string | ReadonlyArray<string>
  /** The type, or one of the types. */
  readonly type?: string | ReadonlyArray<string>
  readonly stream?: string
  readonly correlationId?: string
  readonly causationId?: string
  /** Stored later than this: a date, or milliseconds since 1970. Exclusive. */
  readonly after?: number | Date
  /** Stored earlier than this: a date, or milliseconds since 1970. Exclusive. */
  readonly before?: number | Date
  /** At a higher position than this. Exclusive, so that the last position seen is the one to go on from. */
  readonly afterPosition?: number
  /** At a lower position than this. Exclusive. */
  readonly beforePosition?: number
  /** The metadata has all of these fields, each with exactly this value. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** The data has all of these fields, each with exactly this value. */
  readonly data?: Readonly<Record<string, unknown>>
  /** By position: `"asc"`, the default, from the oldest; `"desc"` from the newest. */
  readonly order?: "asc" | "desc"
  /** At most so many, counted in the order asked for. */
  readonly limit?: number
}

/** The fields that data or metadata must have. */
export type Pattern = ReadonlyArray<readonly [field: string, value: Json]>

/** Criteria in the one form that backends read: checked, with every default filled in. */
export interface Query {
  readonly ids: ReadonlySet<string> | undefined
  readonly types: ReadonlySet<string> | undefined
  readonly stream: string | undefined
  readonly correlationId: string | undefined
  readonly causationId: string | undefined
  /** Exclusive; `-Infinity` and `Infinity` where not stated. */
  readonly after: number
  readonly before: number
  /** Exclusive; 0 and `Infinity` where not stated. */
  readonly afterPosition: number
  readonly beforePosition: number
  readonly metadata: Pattern | undefined
  readonly data: Pattern | undefined
  readonly order: "asc" | "desc"
  /** `Infinity` where not stated. */
  readonly limit: number
}

/** How many ids or types may be listed. */
const maxListed = 1000

type Mutable<A> = { -readonly [key in keyof A]: A[key] }

/** The query of criteria that state nothing. */
export const everything: Query = {
  ids: undefined,
  types: undefined,
  stream: undefined,
  correlationId: undefined,
  causationId: undefined,
  after: Number.NEGATIVE_INFINITY,
  before: Number.POSITIVE_INFINITY,
  afterPosition: 0,
  beforePosition: Number.POSITIVE_INFINITY,
  metadata: undefined,
  data: undefined,
  order: "asc",
  limit: Number.POSITIVE_INFINITY
}

/** One reader a criterion: it puts what was stated into the query, or throws what is wrong with it. */
const readers: { readonly [name in keyof Criteria]-?: (value: unknown, query: Mutable<Query>) => void } = {
  id: (value, query) => {
    query.ids = names("id", value)
  },
  type: (value, query) => {
    query.types = names("type", value)
  },
  stream: (value, query) => {
    query.stream = name("stream", value)
  },
  correlationId: (value, query) => {
    query.correlationId = name("correlationId", value)
  },
  causationId: (value, query) => {
    query.causationId = name("causationId", value)
  },
  after: (value, query) => {
    query.after = time("after", value)
  },
  before: (value, query) => {
    query.before = time("before", value)
  },
  afterPosition: (value, query) => {
    query.afterPosition = whole("afterPosition", value)
  },
  beforePosition: (value, query) => {
    query.beforePosition = whole("beforePosition", value)
  },
  metadata: (value, query) => {
    query.metadata = pattern("metadata", value)
  },
  data: (value, query) => {
    query.data = pattern("data", value)
  },
  order: (value, query) => {
    if (value !== "asc" && value !== "desc") throw new Refused("order", `is ${shown(value)}, not "asc" or "desc"`)
    query.order = value
  },
  limit: (value, query) => {
    query.limit = whole("limit", value)
  }
}

/** The names of all criteria. */
export const criteria: ReadonlyArray<string> = Object.keys(readers)
const known: ReadonlyMap<string, (value: unknown, query: Mutable<Query>) => void> = new Map(Object.entries(readers))

/** The query that the input states, or the criterion that is wrong. */
export const decodeCriteria = (input: unknown): Query | Refused => {
  try {
    return decode(input)
  } catch (error) {
    return error instanceof Refused ? error : new Refused("the criteria", "cannot be read")
  }
}

const decode = (input: unknown): Query => {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new Refused("the criteria", `are ${kindOf(input)}, not an object such as { type: "order_placed" }`)
  }
  const query: Mutable<Query> = { ...everything }
  for (const criterion in input) {
    const read = known.get(criterion)
    if (read === undefined) throw new Refused(criterion, `is no criterion: ${suggestion(criterion, criteria)}`)
    const value: unknown = Reflect.get(input, criterion)
    if (value === undefined) {
      throw new Refused(criterion, "is undefined: give it a value, or leave the criterion out to take all events")
    }
    read(value, query)
  }
  if (query.after >= query.before) {
    throw new Refused("after", `(${query.after}) is not earlier than before (${query.before}): nothing lies between`)
  }
  if (query.afterPosition >= query.beforePosition) {
    const range = `(${query.afterPosition}) is not less than beforePosition (${query.beforePosition})`
    throw new Refused("afterPosition", `${range}: nothing lies between`)
  }
  return query
}

const names = (criterion: string, value: unknown): ReadonlySet<string> => {
  if (!Array.isArray(value)) return new Set([name(criterion, value)])
  if (value.length > maxListed) throw new Refused(criterion, `lists ${value.length}; at most ${maxListed} are allowed`)
  return new Set(Array.from(value, (item, index) => name(`${criterion}[${index}]`, item)))
}

const name = (criterion: string, value: unknown): string => {
  const problem = nameProblem(value)
  if (problem !== undefined) throw new Refused(criterion, problem)
  return value as string // nameProblem has looked
}

const time = (criterion: string, value: unknown): number => {
  const millis = value instanceof Date ? value.getTime() : value
  if (typeof millis !== "number" || !Number.isFinite(millis)) {
    throw new Refused(criterion, `is ${shown(value)}, not a valid Date or a number of milliseconds since 1970`)
  }
  return millis
}

const whole = (criterion: string, value: unknown): number => {
  if (!Number.isSafeInteger(value) || Number(value) < 0) {
    throw new Refused(criterion, `is ${shown(value)}, not a whole number from 0`)
  }
  return Number(value)
}

const pattern = (criterion: string, value: unknown): Pattern => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refused(criterion, `is ${shown(value)}, not an object of the fields to match`)
  }
  const copy = copyJson(value, criterion, maxJsonBytes)
  if (copy instanceof Refused) throw copy
  const fields = Object.entries(copy.value ?? {})
  if (fields.length === 0) throw new Refused(criterion, "states no field to match: leave it out to take all events")
  return fields
}

const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : kindOf(value)

/** Whether the criteria choose events at all: order and limit do not. */
export const choose = (criteria: Criteria): boolean => {
  for (const criterion in criteria) if (criterion !== "order" && criterion !== "limit") return true
  return false
}

/** Whether the query asks for more than positions. */
export const isStated = (query: Query): boolean =>
  query.after > Number.NEGATIVE_INFINITY ||
  query.before < Number.POSITIVE_INFINITY ||
  query.stream !== undefined ||
  query.types !== undefined ||
  query.ids !== undefined ||
  query.correlationId !== undefined ||
  query.causationId !== undefined ||
  query.metadata !== undefined ||
  query.data !== undefined

/** Whether the event meets every criterion of the query. */
export const matches = (query: Query, event: StoredEvent): boolean =>
  event.position > query.afterPosition &&
  event.position < query.beforePosition &&
  event.timestamp > query.after &&
  event.timestamp < query.before &&
  (query.stream === undefined || event.stream === query.stream) &&
  (query.types === undefined || query.types.has(event.type)) &&
  (query.ids === undefined || query.ids.has(event.id)) &&
  (query.correlationId === undefined || event.correlationId === query.correlationId) &&
  (query.causationId === undefined || event.causationId === query.causationId) &&
  (query.metadata === undefined || has(event.metadata, query.metadata)) &&
  (query.data === undefined || has(event.data, query.data))

const has = (value: unknown, pattern: Pattern): boolean =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  pattern.every(([field, wanted]) => Object.hasOwn(value, field) && jsonEquals(Reflect.get(value, field), wanted))
