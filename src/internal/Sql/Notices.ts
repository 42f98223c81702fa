import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { monotonicMicros } from "../monotonic.js"
import { dialectOf } from "./Dialect.js"
import type { SqlFailure } from "./Failure.js"
import { outside } from "./outside.js"

/** Who is told of changes that others make in the database. All three are called in one step and must not throw. */
export interface Listener {
  /** Somebody notified the channel. */
  readonly notified: (payload: string) => void
  /** Anything may have changed: the listening has just begun, or was interrupted for a while, or the database cannot tell. */
  readonly resync: () => void
  /** Nothing is heard from now on, until `resync`, as at first: whoever cannot wait polls. */
  readonly lost: () => void
  /** All that had changed before this moment of the monotonic clock, in microseconds, has been told. */
  readonly heard?: (upTo: number) => void
}

export interface NoticesOptions {
  /** A name for LISTEN, of at most 63 bytes. */
  readonly channel: string
  /** A statement for the session that listens to the channel, on PostgreSQL: executed when it does, before `resync`. */
  readonly attending?: string | undefined
  /** How often a database that cannot notify is asked whether it has changed. */
  readonly pollInterval: Duration.DurationInput
}

/**
 * Hears of changes until the scope closes. On PostgreSQL by LISTEN, over one connection for all listeners of a client,
 * which is watched and made anew when it dies. SQLite is asked every `pollInterval` whether another process has changed the
 * file: what this process changes is not told, as it knows that itself.
 *
 * It returns when the listening has begun, or at once where the database cannot be reached: `resync` follows then.
 */
export const listen = (
  sql: SqlClient.SqlClient,
  options: NoticesOptions,
  listener: Listener
): Effect.Effect<void, SqlFailure, Scope.Scope> =>
  Effect.flatMap(dialectOf(sql), (dialect) =>
    dialect === "sqlite"
      ? pollVersion(sql, options, listener)
      : // Loaded when it is needed, so that a program on SQLite needs no driver of PostgreSQL.
        Effect.flatMap(
          Effect.promise(() => import("./Postgres/Listener.js")),
          ({ listenPostgres }) => listenPostgres(sql, options, listener)
        )
  )

/** `data_version` is another number when another connection has committed to the file since: a read of one counter. */
const pollVersion = (client: SqlClient.SqlClient, { pollInterval }: NoticesOptions, listener: Listener) => {
  const sql = client.withoutTransforms()
  let seen: unknown
  const look = Effect.clockWith((clock) => {
    const began = monotonicMicros(clock)
    return Effect.map(sql<{ data_version: number }>`PRAGMA data_version`, ([row]) => {
      if (row?.data_version !== seen) listener.resync()
      seen = row?.data_version
      listener.heard?.(began)
    })
  }).pipe(
    // A file that cannot be read now is looked at again; whoever reads it hears of it.
    Effect.catchAllCause(() => Effect.void),
    // It belongs to nobody's request.
    Effect.withTracerEnabled(false),
    outside
  )
  return Effect.delay(look, pollInterval).pipe(Effect.forever, Effect.forkScoped, Effect.zipRight(look))
}
