import type * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { guarded, insisting } from "../../internal/Sql/Guard.js"
import { transactionIn } from "./Store.js"

/** The one connection of a client of SQLite, with its statements and its transactions. */
export interface SqliteConnection {
  /** Whether a fiber with this context is in a transaction of this client, and not of another. */
  readonly isJoined: (context: Context.Context<never>) => boolean
  readonly rows: Connection["executeValues"]
  /** The rows as objects, which costs less where they are few. */
  readonly records: (text: string, params: ReadonlyArray<unknown>) => ReturnType<Connection["execute"]>
  readonly write: (text: string, params?: ReadonlyArray<unknown>) => Effect.Effect<unknown, SqlError>
  /** Runs the effect while nobody else has the connection, or in the transaction of the fiber, which has it. */
  readonly connected: <A, E>(use: Effect.Effect<A, E>) => Effect.Effect<A, E | SqlError>
  /** Runs the effect in a transaction that writes from its start, so that none comes between what it reads and writes. */
  readonly transaction: <A>(body: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>
  /** Runs the effect as a part of the transaction of the fiber, that leaves nothing behind where it fails. */
  readonly savepoint: <A>(body: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>
  /** Runs the work within the deadline, and again while the file is locked. */
  readonly retried: <A>(
    work: Effect.Effect<A, SqlError>,
    within?: Duration.DurationInput
  ) => Effect.Effect<A, SqlFailure>
}

export const sqliteConnection = (
  sql: SqlClient.SqlClient,
  deadline: Duration.Duration
): Effect.Effect<SqliteConnection, SqlFailure> =>
  // It is always the same one.
  Effect.map(guarded(Effect.scoped(sql.reserve), deadline), (own) => connectionOf(sql, own, deadline))

/**
 * Whether a lock may be gone at the next attempt. A transaction that has read what another process has changed since can
 * never write.
 */
const mayPass = ({ code, kind }: SqlFailure): boolean => kind === "locked" && code !== "SQLITE_BUSY_SNAPSHOT"

const connectionOf = (sql: SqlClient.SqlClient, own: Connection, deadline: Duration.Duration): SqliteConnection => {
  const isJoined = (context: Context.Context<never>) => transactionIn(context) === own
  const write = (text: string, params: ReadonlyArray<unknown> = []) => own.executeRaw(text, params)
  const reserved = <A, E>(use: Effect.Effect<A, E>) => Effect.scoped(Effect.zipRight(sql.reserve, use))

  const immediately = <A>(body: Effect.Effect<A, SqlError>) =>
    Effect.uninterruptible(
      Effect.zipRight(
        write("BEGIN IMMEDIATE"),
        Effect.zipLeft(body, write("COMMIT")).pipe(
          // SQLite may have rolled back by itself, as where the disk is full.
          Effect.onError(() => Effect.ignore(write("ROLLBACK")))
        )
      )
    )

  /**
   * SQLite rolls a whole transaction back by itself when the disk is full, and what its program still does would be
   * committed without what it did before. So the program gets a transaction to end, in which nothing can be written.
   */
  const lost = Effect.zipRight(
    Effect.zipRight(write("BEGIN"), write("PRAGMA query_only = 1")),
    Effect.forkDaemon(reserved(Effect.ignore(write("PRAGMA query_only = 0"))))
  )

  const savepoint = <A>(body: Effect.Effect<A, SqlError>) =>
    Effect.uninterruptible(
      Effect.zipRight(
        write("SAVEPOINT foundation_events"),
        Effect.zipLeft(body, write("RELEASE foundation_events")).pipe(
          Effect.onError(() =>
            write("ROLLBACK TO foundation_events").pipe(
              Effect.zipRight(write("RELEASE foundation_events")),
              Effect.catchAll(() => lost),
              Effect.ignore
            )
          )
        )
      )
    )

  return {
    isJoined,
    rows: own.executeValues,
    records: (text, params) => own.execute(text, params, undefined),
    write,
    savepoint,
    connected: (use) => Effect.withFiberRuntime((fiber) => (isJoined(fiber.currentContext) ? use : reserved(use))),
    transaction: (body) =>
      Effect.withFiberRuntime((fiber) =>
        isJoined(fiber.currentContext) ? savepoint(body) : reserved(immediately(body))
      ),
    retried: (work, within = deadline) => insisting(work, within, { while: mayPass })
  }
}
