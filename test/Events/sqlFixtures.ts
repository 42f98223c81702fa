import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Context, Effect, Layer, type Redacted } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { Telemetry } from "effect-foundation/Telemetry"
import { freshDatabase } from "../support/postgres.js"

/** A directory of its own, removed when the scope closes; in memory where that can be, since many tests share the disk. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "events-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** One process with a log: its service, client and telemetry, until the scope closes. */
export const onFile = (filename: string, options: EventsSql.Options = {}) =>
  Layer.build(Layer.provideMerge(EventsSql.layer(options), Layer.merge(sqliteClient({ filename }), Telemetry.layer)))

export const onServer = (url: Redacted.Redacted<string>, options: EventsSql.Options = {}) =>
  Layer.build(
    Layer.provideMerge(
      EventsSql.layer(options),
      Layer.merge(postgresClient({ url, maxConnections: 4 }), Telemetry.layer)
    )
  )

/** A place for a log on each database, and how to open it as one more process would. */
export const databases = {
  SQLite: Effect.map(directory, (path) => (options?: EventsSql.Options) => onFile(join(path, "events.db"), options)),
  PostgreSQL: Effect.map(freshDatabase, (url) => (options?: EventsSql.Options) => onServer(url, options))
} as const

/** Runs the effect as the process. */
export const as =
  <S>(process: Context.Context<S>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, S>> =>
    Effect.provide(effect, process)
