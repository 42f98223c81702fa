import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { ConfigError } from "../../FoundationError.js"
import { acceptDuration } from "../acceptDuration.js"
import { failureOf } from "./Failure.js"
import { defaultDeadline, failing, insisting } from "./Guard.js"
import { busyTimeout } from "./Immediate.js"
import { invalidOption } from "./Options.js"
import { outside } from "./outside.js"
import { unusable } from "./unusable.js"

export interface SqliteOptions {
  /** The file, which is made where there is none; its directory must be there. */
  readonly filename: string
  /** How long to try where another process has the file locked: 5 seconds. */
  readonly deadline?: Duration.DurationInput | undefined
}

/** A client of a SQLite file, in WAL mode. What keeps the file from being opened is a ConfigError. */
export const sqliteClient = (
  options: SqliteOptions
): Layer.Layer<SqliteClient.SqliteClient | SqlClient.SqlClient, ConfigError> =>
  Effect.gen(function* () {
    const filename = acceptFilename(options.filename)
    if (filename instanceof ConfigError) return yield* filename
    const deadline = acceptDuration("sqlite.deadline", options.deadline ?? defaultDeadline)
    if (deadline instanceof ConfigError) return yield* deadline
    // Processes that open a new file at once meet at its switch to WAL.
    const sql = yield* Effect.mapError(insisting(opened(filename), deadline), unusable("sqlite.filename"))
    return Context.make(SqliteClient.SqliteClient, sql).pipe(Context.add(SqlClient.SqlClient, sql))
  }).pipe(outside, Layer.scopedContext, Layer.provide(Reactivity.layer))

/** For SQLite an empty name is a file that nobody else sees, and that is gone at the end. */
const acceptFilename = (filename: unknown): string | ConfigError =>
  typeof filename === "string" && filename.trim() !== ""
    ? filename
    : invalidOption("sqlite.filename", 'must be the path of a file, such as "service.db"')

/** Each attempt has a scope of its own, so that one that fails leaves no open file. */
const opened = (filename: string) =>
  Effect.acquireRelease(
    Effect.flatMap(Scope.make(), (scope) =>
      // The driver would switch to WAL before it is told how long it may stop the process for that.
      SqliteClient.make({ filename, disableWAL: true }).pipe(
        Effect.tap((sql) => sql`PRAGMA busy_timeout = ${sql.literal(String(busyTimeout))}`),
        Effect.tap((sql) => sql`PRAGMA journal_mode = WAL`),
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
