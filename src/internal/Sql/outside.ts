import * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * Runs the effect outside of the transaction that its fiber is in: for what is of the process and not of the caller, whose
 * transaction may be rolled back, may be of another database, and ends before a fiber that is started in it.
 */
export const outside = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    Context.getOption(fiber.currentContext, SqlClient.TransactionConnection)._tag === "None"
      ? effect
      : Effect.mapInputContext(
          effect,
          // No effect needs a transaction.
          (context: Context.Context<R>) => Context.omit(SqlClient.TransactionConnection)(context) as Context.Context<R>
        )
  )
