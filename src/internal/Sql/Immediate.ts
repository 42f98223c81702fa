import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

/**
 * How long a statement waits for the lock of another process by stopping this one, in milliseconds: the driver of SQLite
 * is synchronous. Who needs to wait longer comes again, and lets others run meanwhile.
 */
export const busyTimeout = 20

/**
 * A transaction of SQLite that writes from its start: one that reads first may come too late to write. While it runs the
 * connection waits for locks no longer than `busyTimeout`, whatever its owner has set.
 */
export const immediately = <A, E, R>(
  sql: SqlClient.SqlClient,
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const connection = yield* restore(sql.reserve)
      const statement = (text: string) => Effect.suspend(() => connection.executeUnprepared(text, [], undefined))
      const [before] = yield* statement("PRAGMA busy_timeout")
      const timeout = Number((before as { readonly timeout: unknown }).timeout) // what this pragma answers
      yield* statement(`PRAGMA busy_timeout = ${Math.min(timeout, busyTimeout)}`)
      return yield* statement("BEGIN IMMEDIATE").pipe(
        Effect.zipRight(
          restore(work).pipe(
            Effect.provideService(SqlClient.TransactionConnection, [connection, 0]),
            Effect.zipLeft(statement("COMMIT")),
            Effect.onError(() => Effect.ignore(statement("ROLLBACK")))
          )
        ),
        Effect.ensuring(Effect.ignore(statement(`PRAGMA busy_timeout = ${timeout}`)))
      )
    }).pipe(Effect.scoped)
  )
