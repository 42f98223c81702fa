import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SqlClient } from "@effect/sql/SqlClient"
import { Context, Effect, Layer, Redacted, type Scope, Stream } from "effect"
import { Config } from "effect-foundation/Config"
import * as ConfigSql from "effect-foundation/Config/Sql"
import type { ConfigError } from "effect-foundation/FoundationError"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { Telemetry } from "effect-foundation/Telemetry"
import { freshDatabase } from "../support/postgres.js"

/** A database of one test. */
export interface Database {
  /** A client of its own each time, as another process has. */
  readonly client: Effect.Effect<SqlClient, ConfigError, Scope.Scope>
  /** What another process connects to: the name of a file, or a URL. */
  readonly address: string
}

/** A client for the address. */
export const clientOf = (address: string): Layer.Layer<SqlClient, ConfigError> =>
  address.startsWith("postgres") ? postgresClient({ url: address }) : sqliteClient({ filename: address })

export const databaseAt = (address: string): Database => ({
  address,
  client: Effect.map(Layer.build(Layer.fresh(clientOf(address))), Context.get(SqlClient))
})

/** A directory that is gone when the scope closes. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "config-sql-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const sqliteFile = Effect.map(temporaryDirectory, (path) => databaseAt(join(path, "config.db")))

export const postgresDatabase = Effect.map(freshDatabase, (url) => databaseAt(Redacted.value(url)))

/** Both kinds, for suites that hold on each. */
export const engines = [
  ["SQLite", sqliteFile],
  ["PostgreSQL", postgresDatabase]
] as const

/** The configuration that a process has: its own client, its own snapshot. */
export const configOn = (
  sql: SqlClient,
  options: ConfigSql.SourceOptions = {},
  {
    after = [],
    before = [],
    keys = []
  }: {
    readonly before?: ReadonlyArray<Config.Source>
    readonly after?: ReadonlyArray<Config.Source>
    readonly keys?: ReadonlyArray<Config.Key<unknown>>
  } = {}
): Effect.Effect<Config.Service, ConfigError, Scope.Scope> =>
  Config.make({ sources: [...before, ConfigSql.source({ writable: true, ...options }), ...after], keys }).pipe(
    Effect.provideService(SqlClient, sql),
    Effect.provide(Telemetry.layer)
  )

export const processOn = (
  database: Database,
  ...rest: Parameters<typeof configOn> extends [unknown, ...infer R] ? R : never
) => Effect.flatMap(database.client, (sql) => configOn(sql, ...rest))

/** Waits until the configuration has the value at the path. */
export const reaches = (config: Config.Service, path: string, value: unknown) =>
  config.watch(path).pipe(
    Stream.filter((now) => JSON.stringify(now) === JSON.stringify(value)),
    Stream.runHead,
    Effect.asVoid
  )

/** A row as somebody writes it with SQL. */
export const putRow = (sql: SqlClient, key: string, json: string) =>
  sql.onDialectOrElse({
    pg: () => sql`insert into foundation_config (key, value) values (${key}, ${json}::jsonb)
      on conflict (key) do update set value = excluded.value`,
    orElse: () => sql`insert into foundation_config (key, value) values (${key}, ${json})
      on conflict (key) do update set value = excluded.value`
  })
