import type { Query } from "../Criteria.js"
import type { StoredEvent } from "../Event.js"
import type { Row } from "./Row.js"
import type { Statement } from "./Tables.js"

/** The texts that read events, in one dialect. All answer rows in the order of the query, at most `limit`. */
export interface Select {
  /** Follows the index of the most telling criterion in order of position, and looks at each event there. */
  readonly walk: (query: Query, limit: number) => Statement
  /** How many entries such a walk has ahead, up to `limit`, and the position of the last of them. */
  readonly edge: (query: Query, limit: number) => Statement
  /** Finds what matches by the criteria that no order of position helps with, and sorts it. */
  readonly gather: (query: Query, limit: number) => Statement
  /** How events are fetched, where that is not row by row. */
  readonly pages?: Pages
}

/** Events that are fetched many at a time, as one row. */
export interface Pages {
  /** How many at most. */
  readonly most: number
  /** The text that answers the page of what the given one answers. */
  readonly of: (rows: Statement) => Statement
  readonly eventsOf: (rows: ReadonlyArray<Row>) => ReadonlyArray<StoredEvent>
}

/** What a walk follows. */
export type Criterion = "ids" | "stream" | "correlationId" | "causationId" | "type" | "types" | "position"

/** The columns of the criteria that are one value. */
export const column = {
  stream: "stream",
  correlationId: "correlation_id",
  causationId: "causation_id",
  type: "type"
} as const

/** The criterion that leaves the fewest events, as far as can be told without looking. */
export const leading = (query: Query): Criterion => {
  if (query.ids !== undefined) return "ids"
  if (query.stream !== undefined) return "stream"
  if (query.correlationId !== undefined) return "correlationId"
  if (query.causationId !== undefined) return "causationId"
  if (query.types !== undefined) return query.types.size === 1 ? "type" : "types"
  return "position"
}

/** The one type that is asked for. */
export const typeOf = ({ types }: Query): string | undefined => types?.values().next().value

/** Whether the events are few that have what the query asks for: those of an id, a stream, a request or a cause. */
export const isNarrow = (query: Query): boolean =>
  query.ids !== undefined ||
  query.stream !== undefined ||
  query.correlationId !== undefined ||
  query.causationId !== undefined

export const hasTimes = ({ after, before }: Query): boolean =>
  after > Number.NEGATIVE_INFINITY || before < Number.POSITIVE_INFINITY

export const hasPatterns = ({ data, metadata }: Query): boolean => data !== undefined || metadata !== undefined

/** Whole numbers that a bigint holds, and JavaScript too. */
const clamp = (value: number): number => Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)

/** The bounds of a query as whole numbers, all exclusive: positions and milliseconds have nothing in between. */
export const boundsOf = (query: Query) => ({
  afterPosition: clamp(query.afterPosition),
  beforePosition: clamp(query.beforePosition),
  after: clamp(Math.floor(query.after)),
  before: clamp(Math.ceil(query.before))
})

/** The part of a query behind an event, in the order of the query. */
export const behind = (query: Query, position: number): Query =>
  query.order === "asc" ? { ...query, afterPosition: position } : { ...query, beforePosition: position }

/** The part of a query up to an event, in the order of the query. */
export const upTo = (query: Query, position: number): Query =>
  query.order === "asc" ? { ...query, beforePosition: position + 1 } : { ...query, afterPosition: position - 1 }
