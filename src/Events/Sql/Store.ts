import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import type { Appended } from "../Backend.js"
import type { Query } from "../Criteria.js"
import type { StoredEvent } from "../Event.js"
import type { Batch } from "./Decide.js"

/** An event log in a database of one kind. Every effect takes part in the transaction of its fiber, if there is one. */
export interface Store {
  /**
   * Stores the batches in one transaction of its own, within so many milliseconds, and answers what came of each, or fails
   * with none of them stored: with `Held` where one of them would have to wait for another transaction.
   */
  readonly commit: (
    batches: ReadonlyArray<Batch>,
    within: number
  ) => Effect.Effect<ReadonlyArray<Appended>, SqlFailure | Held>
  /** Stores one batch like that, and waits for other transactions. */
  readonly insist: (batch: Batch, within: number) => Effect.Effect<Appended, SqlFailure>
  /** Stores the batch in the transaction that the fiber is in. */
  readonly join: (batch: Batch) => Effect.Effect<Appended, SqlFailure>
  /** Whether the fiber is in a transaction of this database. */
  readonly isJoined: (context: Context.Context<never>) => boolean
  readonly head: Effect.Effect<Head, SqlFailure>
  /** What matches, up to the head. */
  readonly read: (query: Query) => Effect.Effect<Found, SqlFailure>
  /** How many match, up to the limit of the query. */
  readonly count: (query: Query) => Effect.Effect<number, SqlFailure>
  /** Removes at most so many of those that match, and tells how many those were and the last position. */
  readonly removeSome: (query: Query, limit: number) => Effect.Effect<Removed, SqlFailure>
}

/** A transaction that goes on holds a stream or an id that one of the batches is about. */
export class Held {
  readonly _tag = "Held"
}

export interface Found {
  readonly events: ReadonlyArray<StoredEvent>
  readonly head: Head
}

export interface Head {
  /** Up to which no event will appear any more. */
  readonly safe: number
  /** The last position that was taken. */
  readonly taken: number
}

export interface Removed {
  readonly count: number
  /** The last position that was looked at, or undefined where nothing is left. */
  readonly last: number | undefined
}

/** What came of the only batch. */
export const answerOf = ([appended]: ReadonlyArray<Appended>): Effect.Effect<Appended> =>
  appended === undefined ? Effect.dieMessage("no answer for the batch") : Effect.succeed(appended)

/** The connection of the transaction that the fiber is in. */
export const transactionIn = (context: Context.Context<never>): Connection | undefined => {
  const found = Context.getOption(context, SqlClient.TransactionConnection)
  return found._tag === "Some" ? found.value[0] : undefined
}
