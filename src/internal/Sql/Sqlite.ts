import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { ConfigError } from "../../FoundationError.js"
import { failureOf } from "./Failure.js"
import { failing, guarded } from "./Guard.js"
import { unusable } from "./unusable.js"

export interface SqliteOptions {
  /** The file, which is made where there is none; its directory must be there. */
  readonly filename: string
  /** How long to try where another process has the file locked: 5 seconds. */
  readonly deadline?: Duration.DurationInput | undefined
}

/**
 * How long a statement waits for the lock of another process by stopping this one, in milliseconds: the driver is
 * synchronous. Who needs to wait longer comes again, and lets others run meanwhile.
 */
const busyTimeout = 20

/** A client of a SQLite file, in WAL mode. What keeps the file from being opened is a ConfigError. */
export const sqliteClient = ({
  deadline,
  filename
}: SqliteOptions): Layer.Layer<SqliteClient.SqliteClient | SqlClient.SqlClient, ConfigError> =>
  opened(filename).pipe(
    // Processes that open a new file at once meet at its switch to WAL.
    Effect.retry({ while: ({ kind }) => kind === "locked", schedule: Schedule.jittered(Schedule.spaced("20 millis")) }),
    (opening) => guarded(opening, deadline),
    Effect.mapError(unusable("sqlite.filename")),
    Effect.map((sql) => Context.make(SqliteClient.SqliteClient, sql).pipe(Context.add(SqlClient.SqlClient, sql))),
    Layer.scopedContext,
    Layer.provide(Reactivity.layer)
  )

/** Each attempt has a scope of its own, so that one that fails leaves no open file. */
const opened = (filename: string) =>
  Effect.acquireRelease(
    Effect.flatMap(Scope.make(), (scope) =>
      SqliteClient.make({ filename }).pipe(
        Effect.tap((sql) => sql`PRAGMA busy_timeout = ${sql.literal(String(busyTimeout))}`),
        Scope.extend(scope),
        // The driver throws when it opens a file, with errors of all kinds.
        Effect.catchAllDefect((defect) => Effect.fail(failureOf(defect))),
        failing,
        Effect.map((sql) => ({ scope, sql })),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    ),
    ({ scope }) => Scope.close(scope, Exit.void)
  ).pipe(Effect.map(({ sql }) => sql))
