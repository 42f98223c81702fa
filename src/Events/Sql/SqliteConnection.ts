import type * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { clockOf, monotonicMicros } from "../../internal/monotonic.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { failing, insisting } from "../../internal/Sql/Guard.js"
import { Reservation } from "../../internal/Sql/Reservation.js"
import { transactionIn } from "./Store.js"

/** Work that waits for so many milliseconds at most. */
export type Attempt<A> = (millis: number) => Effect.Effect<A, SqlError | SqlFailure>

/** The one connection of a client of SQLite, with its statements and its transactions. */
export interface SqliteConnection {
  /** Whether a fiber with this context is in a transaction of this client, and not of another. */
  readonly isJoined: (context: Context.Context<never>) => boolean
  readonly rows: Connection["executeValues"]
  /** The rows as objects, which costs less where they are few. */
  readonly records: (text: string, params: ReadonlyArray<unknown>) => ReturnType<Connection["execute"]>
  /** Answers what the driver says of it. */
  readonly write: (text: string, params?: ReadonlyArray<unknown>) => Effect.Effect<unknown, SqlError>
  /** Runs the effect while nobody else has the connection, or in the transaction of the fiber, which has it. */
  readonly connected: <A>(use: Effect.Effect<A, SqlError>) => Attempt<A>
  /** As `connected`, for what is read by several statements, and is to be of one moment. */
  readonly snapshot: <A>(use: Effect.Effect<A, SqlError>) => Attempt<A>
  /** Runs the effect in a transaction that writes from its start, so that none comes between what it reads and writes. */
  readonly transaction: <A>(body: Effect.Effect<A, SqlError>) => Attempt<A>
  /** Runs the effect as a part of the transaction of the fiber, that leaves nothing behind where it fails. */
  readonly savepoint: <A>(body: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>
  /**
   * Makes the attempt within so many milliseconds, by default the deadline, and again while the file is locked. What the
   * driver does, it does in one step: nothing takes time but the wait for the connection, and that for a lock.
   */
  readonly retried: <A>(attempt: Attempt<A>, within?: number) => Effect.Effect<A, SqlFailure>
}

export const sqliteConnection = (
  sql: SqlClient.SqlClient,
  deadline: Duration.Duration
): Effect.Effect<SqliteConnection, SqlFailure> =>
  Effect.gen(function* () {
    const millis = Duration.toMillis(deadline)
    const reservation = yield* Reservation.make(sql)
    // It is always the same one.
    const own = yield* failing(reservation.whileHeld(Effect.succeed, millis))
    return connectionOf(reservation, own, millis)
  })

/**
 * Whether a lock may be gone at the next attempt. A transaction that has read what another process has changed since can
 * never write.
 */
const mayPass = ({ code, kind }: SqlFailure): boolean => kind === "locked" && code !== "SQLITE_BUSY_SNAPSHOT"

const connectionOf = (reservation: Reservation, own: Connection, deadline: number): SqliteConnection => {
  const isJoined = (context: Context.Context<never>) => transactionIn(context) === own
  const write = (text: string, params: ReadonlyArray<unknown> = []) => own.executeRaw(text, params)
  const reserved = <A, E>(use: Effect.Effect<A, E>, millis: number) => reservation.whileHeld(() => use, millis)

  const begun = <A>(begin: "BEGIN" | "BEGIN IMMEDIATE", body: Effect.Effect<A, SqlError>) =>
    Effect.uninterruptible(
      Effect.zipRight(
        write(begin),
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
    Effect.forkDaemon(reserved(Effect.ignore(write("PRAGMA query_only = 0")), Number.POSITIVE_INFINITY))
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
    connected: (use) => (millis) =>
      Effect.withFiberRuntime((fiber) => (isJoined(fiber.currentContext) ? use : reserved(use, millis))),
    snapshot: (use) => (millis) =>
      Effect.withFiberRuntime((fiber) =>
        isJoined(fiber.currentContext) ? use : reserved(begun("BEGIN", use), millis)
      ),
    transaction: (body) => (millis) =>
      Effect.withFiberRuntime((fiber) =>
        isJoined(fiber.currentContext) ? savepoint(body) : reserved(begun("BEGIN IMMEDIATE", body), millis)
      ),
    retried: (attempt, within = deadline) =>
      Effect.withFiberRuntime((fiber) => {
        const clock = clockOf(fiber)
        const since = monotonicMicros(clock)
        const left = () => within - (monotonicMicros(clock) - since) / 1000
        return Effect.catchIf(failing(attempt(within)), mayPass, (locked) => {
          const rest = left()
          if (rest <= 0) return Effect.fail(locked)
          return insisting(
            Effect.suspend(() => attempt(left())),
            rest,
            { while: mayPass }
          )
        })
      })
  }
}
