import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { EventError } from "../../FoundationError.js"
import type { Dialect } from "../../internal/Sql/Dialect.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { failing, guarded, insisting } from "../../internal/Sql/Guard.js"
import { outside } from "../../internal/Sql/outside.js"
import { TransactionRefused } from "../Consumer/Store.js"
import { unavailable } from "./Failures.js"
import { transactionIn } from "./Store.js"

/** The transaction in which a consumer hands an event to its handler: what belongs to the event takes part in it. */
class EventTransaction extends Context.Tag("effect-foundation/Events/Sql/EventTransaction")<
  EventTransaction,
  Connection
>() {}

/** A failure of the effect itself, which is none of the database. */
class Own<E> {
  constructor(readonly error: E) {}
}

/** The name of the savepoint by which a transaction of SQLite is known to be the one that was begun. */
const begun = "foundation_event"

export interface Transactions {
  readonly transact: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | EventError | TransactionRefused, R>
  /**
   * Runs work of the consumer in the transaction of the event where there is one, else outside of any: also where the
   * program has started the consumer in a transaction of its own, which ends without it.
   */
  readonly inEvent: <A>(
    inside: Effect.Effect<A, SqlError>,
    elsewhere: Effect.Effect<A, EventError>
  ) => Effect.Effect<A, EventError | TransactionRefused>
}

export const transactionsOf = (
  sql: SqlClient.SqlClient,
  dialect: Dialect,
  deadline: Duration.Duration
): Transactions => {
  /** On SQLite a transaction that reads before it writes could come too late to write: so it writes from its start. */
  const immediately = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError | SqlFailure, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const connection = yield* restore(guarded(sql.reserve, deadline))
        const run = (text: string) => connection.executeUnprepared(text, [], undefined)
        yield* restore(insisting(run("BEGIN IMMEDIATE"), deadline)).pipe(
          Effect.onInterrupt(() => Effect.ignore(run("ROLLBACK")))
        )
        yield* run(`SAVEPOINT ${begun}`)
        const joined = Context.make(SqlClient.TransactionConnection, [connection, 0])
        return yield* Effect.zipLeft(
          restore(Effect.mapInputContext(effect, (context: Context.Context<R>) => Context.merge(context, joined))),
          run("COMMIT")
        ).pipe(Effect.onError(() => Effect.ignore(run("ROLLBACK"))))
      }).pipe(Effect.scoped)
    )

  const transact: Transactions["transact"] = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
    const joined = Effect.withFiberRuntime<A, Own<E>, R>((fiber) => {
      const connection = transactionIn(fiber.currentContext)
      if (connection === undefined) return Effect.dieMessage("There is no transaction to take part in")
      return Effect.provideService(
        Effect.mapError(effect, (error) => new Own(error)),
        EventTransaction,
        connection
      )
    })
    const transaction: Effect.Effect<A, Own<E> | SqlError | SqlFailure, R> =
      dialect === "pg" ? sql.withTransaction(joined) : immediately(joined)
    const ended = Effect.catchIf(
      transaction,
      (error): error is Own<E> => error instanceof Own,
      (own) => Effect.succeed(own)
    )
    return failing(outside(ended)).pipe(
      Effect.mapError(refusalOr),
      Effect.flatMap((end): Effect.Effect<A, E> => (end instanceof Own ? Effect.fail(end.error) : Effect.succeed(end)))
    )
  }

  /** An error that the handler has swallowed may have ended the transaction, and what follows would be outside of it. */
  const stillBegun =
    dialect === "pg"
      ? Effect.void // which refuses all that follows
      : Effect.mapError(
          failing(sql.unsafe(`RELEASE ${begun}`)),
          () => new TransactionRefused(new Error("An error has ended the transaction of the event"))
        )

  const inEvent: Transactions["inEvent"] = <A>(
    inside: Effect.Effect<A, SqlError>,
    elsewhere: Effect.Effect<A, EventError>
  ) =>
    Effect.withFiberRuntime<A, EventError | TransactionRefused>((fiber) => {
      const own = Context.getOption(fiber.currentContext, EventTransaction)
      return own._tag === "Some" && own.value === transactionIn(fiber.currentContext)
        ? Effect.zipRight(stillBegun, Effect.mapError(guarded(inside, deadline), refusalOr))
        : outside(elsewhere)
    })

  return { transact, inEvent }
}

/** A constraint, a value, a transaction that has failed before, or a conflict with another that only a new one can resolve. */
const refusals = /^(22|23|25P|40|SQLITE_CONSTRAINT)/

const refusalOr = (failure: SqlFailure): EventError | TransactionRefused =>
  failure.code !== undefined && refusals.test(failure.code)
    ? new TransactionRefused(new Error(`The transaction was not committed (${failure.code}): ${failure.message}`))
    : unavailable("The transaction of the event cannot be committed", failure)
