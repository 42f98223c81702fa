import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { durationOf } from "../../internal/durationText.js"
import { Refused } from "../../internal/json.js"
import { Retry } from "../../Retry.js"
import { type Criteria, decodeCriteria, type Query } from "../Criteria.js"
import { kindOf, nameProblem, type StoredEvent } from "../Event.js"
import { suggestion } from "../Nearest.js"
import { criteriaText } from "./CriteriaText.js"
import type { Positions } from "./Store.js"

/** Criteria without those that would end the consumer, or say where it starts. */
export type ConsumeCriteria = Omit<Criteria, "before" | "beforePosition" | "afterPosition" | "order" | "limit">

export interface ConsumeOptions<R = never, R2 = never, A = unknown> {
  /** Whose checkpoint it is: of several running consumers of one name, one is active. */
  readonly name: string
  /** Which events; all when left out. They belong to the name for good. */
  readonly criteria?: ConsumeCriteria
  /**
   * What to do with an event. It runs under the correlation id of the event, one event at a time. A failure or a defect
   * is retried, and then leaves a dead letter.
   */
  readonly handler: (event: StoredEvent<A>) => Effect.Effect<unknown, unknown, R>
  /**
   * When to try an event again; the input is what the handler failed or died with. By default five times, after 0.2 to
   * 3.2 seconds with jitter, or after the `retryAfter` of the error. One that never ends stops at the event until it is
   * handled.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown, R2> | undefined
  /**
   * How long the active consumer stays so without a sign of life, from 100 ms to 1 hour: 10 seconds. When its process
   * dies, another takes over after that. It counts by the time of the database; one that moves its clock may hand over
   * early or late, and never lets two move the checkpoint.
   */
  readonly lease?: Duration.DurationInput | undefined
  /**
   * Whether the handler runs in a transaction of the store, which commits what it did by the same `SqlClient` together
   * with the checkpoint, or nothing: false. So it should be short: events that are stored in it are seen when it ends, and
   * on PostgreSQL those after them, too. On SQLite the one connection is held meanwhile, and a handler that takes longer
   * than the lease cannot be committed. In memory it is refused.
   */
  readonly transactional?: boolean | undefined
  /** The position that a consumer without a checkpoint starts after, or `"head"` for new events only: 0, all events. */
  readonly startAfter?: number | "head" | undefined
  /**
   * After how many events the checkpoint is written, from 1 to 256: 1. It is written when there is no further event, too.
   * When the process dies, so many events at most are handled again.
   */
  readonly checkpointEvery?: number | undefined
}

/** The options, checked and with their defaults. */
export interface Settings<R> {
  readonly name: string
  readonly query: Query
  readonly criteria: string
  readonly handler: (event: StoredEvent) => Effect.Effect<unknown, unknown, R>
  readonly retry: Schedule.Schedule<unknown, unknown, R>
  /** In milliseconds. */
  readonly lease: number
  readonly transactional: boolean
  readonly startAfter: number | "head"
  readonly checkpointEvery: number
}

/** An option or a criterion that is wrong. */
export interface Wrong {
  readonly of: "options" | "criteria"
  readonly refused: Refused
}

const options: ReadonlyArray<string> = [
  "name",
  "criteria",
  "handler",
  "retry",
  "lease",
  "transactional",
  "startAfter",
  "checkpointEvery"
] satisfies ReadonlyArray<keyof ConsumeOptions>

const leases = { least: 100, most: 60 * 60 * 1000, normal: 10_000 }

/** The bound on `checkpointEvery`. */
const mostUnsaved = 256

const defaultRetry = Retry.schedule({ times: 5, base: 200, maxDelay: 10_000 })

/** The settings that the options state, or the first of them that is wrong. `transactions`: whether the store has any. */
export const decodeOptions = <R, R2>(input: ConsumeOptions<R, R2>, transactions: boolean): Settings<R | R2> | Wrong => {
  const wrong = (path: string, problem: string): Wrong => ({ of: "options", refused: new Refused(path, problem) })
  const unknown = unknownField("consume", input, options)
  if (unknown !== undefined) return { of: "options", refused: unknown }
  const { checkpointEvery = 1, criteria = {}, handler, name, startAfter = 0, transactional = false } = input
  const problem = nameProblem(name)
  if (problem !== undefined) return wrong("name", problem)
  if (typeof handler !== "function") return wrong("handler", `is ${kindOf(handler)}, not a function of an event`)
  const retry = input.retry ?? defaultRetry
  if (!Schedule.isSchedule(retry)) return wrong("retry", `is ${kindOf(retry)}, not a Schedule`)
  const lease = Option.getOrUndefined(durationOf(input.lease ?? leases.normal))
  const millis = lease === undefined ? Number.NaN : Duration.toMillis(lease)
  if (!(millis >= leases.least && millis <= leases.most)) return wrong("lease", "is no duration from 100 ms to 1 hour")
  if (typeof transactional !== "boolean")
    return wrong("transactional", `is ${kindOf(transactional)}, not true or false`)
  if (transactional && !transactions) {
    return wrong("transactional", "is true, but this store has no transactions to share: use one on SQL")
  }
  if (startAfter !== "head" && !isWhole(startAfter, 0)) {
    return wrong("startAfter", `is ${kindOf(startAfter)}, not a whole number from 0 or "head"`)
  }
  if (!isWhole(checkpointEvery, 1) || checkpointEvery > mostUnsaved) {
    return wrong("checkpointEvery", `is ${kindOf(checkpointEvery)}, not a whole number from 1 to ${mostUnsaved}`)
  }
  if (transactional && checkpointEvery > 1) {
    return wrong("checkpointEvery", "has no place beside transactional, which commits the checkpoint with each event")
  }
  const query = decodeCriteria(criteria)
  if (query instanceof Refused) return { of: "criteria", refused: query }
  const misplaced = misplacedCriterion(query)
  if (misplaced !== undefined) return { of: "criteria", refused: misplaced }
  return {
    name,
    query,
    criteria: criteriaText(query),
    handler,
    retry,
    lease: Math.ceil(millis),
    transactional,
    startAfter,
    checkpointEvery
  }
}

/** A consumer has no end, and starts where its checkpoint is. */
const misplacedCriterion = (query: Query): Refused | undefined => {
  const ends = "has no place in a consumer, which has no end: leave it out, or use stream"
  if (query.limit !== Number.POSITIVE_INFINITY) return new Refused("limit", ends)
  if (query.order !== "asc") return new Refused("order", ends)
  if (query.before !== Number.POSITIVE_INFINITY) return new Refused("before", ends)
  if (query.beforePosition !== Number.POSITIVE_INFINITY) return new Refused("beforePosition", ends)
  if (query.afterPosition === 0) return undefined
  return new Refused("afterPosition", "has no place in a consumer, which goes on from its checkpoint: use startAfter")
}

const isWhole = (value: unknown, least: number): boolean => Number.isSafeInteger(value) && Number(value) >= least

const unknownField = (of: string, input: unknown, known: ReadonlyArray<string>): Refused | undefined => {
  if (typeof input !== "object" || input === null) return new Refused(of, `takes an object of options`)
  for (const option of Object.keys(input)) {
    if (!known.includes(option)) return new Refused(option, `is no option of ${of}: ${suggestion(option, known)}`)
  }
  return undefined
}

export interface DeadLettersOptions {
  /** The name of the consumer. */
  readonly consumer: string
  /** Those at higher positions than this, to read on from the last one seen: 0. */
  readonly after?: number | undefined
  /** At most so many, up to 1,000: 100. */
  readonly limit?: number | undefined
}

export interface ReplayOptions {
  /** The name of the consumer. */
  readonly consumer: string
  /** The position of the dead letter, several, or `"all"`. */
  readonly position: number | ReadonlyArray<number> | "all"
}

/** How many dead letters one call answers, or names by their position. */
const mostListed = 1000

export const decodeDeadLetters = (
  input: DeadLettersOptions
): { readonly consumer: string; readonly after: number; readonly limit: number } | Refused => {
  const unknown = unknownField("deadLetters", input, ["consumer", "after", "limit"])
  if (unknown !== undefined) return unknown
  const { after = 0, consumer, limit = 100 } = input
  const problem = nameProblem(consumer)
  if (problem !== undefined) return new Refused("consumer", problem)
  if (!isWhole(after, 0)) return new Refused("after", `is ${kindOf(after)}, not a whole number from 0`)
  if (!isWhole(limit, 0) || limit > mostListed) {
    return new Refused("limit", `is ${kindOf(limit)}, not a whole number from 0 to ${mostListed}`)
  }
  return { consumer, after, limit }
}

export const decodeReplay = (
  operation: string,
  input: ReplayOptions
): { readonly consumer: string; readonly positions: Positions } | Refused => {
  const unknown = unknownField(operation, input, ["consumer", "position"])
  if (unknown !== undefined) return unknown
  const { consumer, position } = input
  const problem = nameProblem(consumer)
  if (problem !== undefined) return new Refused("consumer", problem)
  if (position === "all") return { consumer, positions: "all" }
  const positions: ReadonlyArray<unknown> = Array.isArray(position) ? position : [position]
  if (positions.length > mostListed) {
    return new Refused("position", `lists ${positions.length}; at most ${mostListed} are allowed`)
  }
  const other = positions.find((position) => !isWhole(position, 1))
  if (other !== undefined || positions.includes(undefined)) {
    return new Refused("position", `is ${kindOf(other)}, not a whole number from 1, a list of such, or "all"`)
  }
  return { consumer, positions: positions.map(Number) }
}
