import type * as FileSystem from "@effect/platform/FileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Config } from "../Config.js"
import type { ConfigError } from "../FoundationError.js"
import type { Telemetry } from "../Telemetry.js"
import { defaultFiles } from "./Defaults.js"
import type { Source } from "./Source.js"
import { openTable, type TableOptions } from "./Sql/Source.js"

export type SourceOptions = TableOptions

/**
 * A table of SQLite or PostgreSQL as a source of configuration: `foundation_config`, made where there is none, with the
 * columns `key` (a dotted path), `value` (JSON: jsonb on PostgreSQL, text on SQLite), `revision` and `updated_at`. A value
 * can be a section: the rows `server` = `{"host": "h"}` and `server.port` = `1` are one section. At most 16 MiB and a
 * million values.
 *
 * - Every process has a change within a second: through NOTIFY on PostgreSQL, by looking at the revision of the table on
 *   SQLite and while nothing is heard. Triggers see to both, so a change made with SQL is one like any other.
 * - A change that cannot be read or is refused (a value that is not JSON, an invalid path, a value of the wrong type)
 *   leaves the last good configuration in force, and a warning names the key. So does a database that is away: `reload`
 *   fails with `source_unavailable` within the deadline, and watching goes on by itself when the database is back.
 * - With `writable: true`, `Config.set`, `update` and `unset` write to the table. What is set is checked first, then
 *   written if the rows have the revisions that this process knows, then in force. Where a row has another revision, the
 *   table is read again and the set fails with `conflict`. A write that fails changes nothing here; if the connection was
 *   lost in the middle of it, it may have been made, and comes with the next read. Inside of `sql.withTransaction` nothing
 *   can be set: it fails with `read_only`.
 * - A secret is in the table as it is, for everybody who may read it.
 *
 * The layer fails with a ConfigError if the table cannot be read, and if it is declared writable and the user may not
 * write to it.
 *
 * @example
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import { Config, Telemetry } from "effect-foundation"
 * import * as ConfigSql from "effect-foundation/Config/Sql"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const Port = Config.Key("server.port", Schema.Number)
 *
 * const program = Effect.gen(function* () {
 *   yield* Config.set(Port, 9090) // in the table: every process has it
 *   yield* Config.update(Port, (port) => port + 1)
 *   yield* Effect.log(yield* Config.get(Port), yield* Config.origin(Port)) // 9091, from foundation_config
 * })
 *
 * const Live = Config.layerFrom(
 *   Config.object({ server: { port: 3000 } }),
 *   ConfigSql.source({ writable: true })
 * ).pipe(Layer.provide([Telemetry.layer, SqliteClient.layer({ filename: ":memory:" })]))
 *
 * Effect.runPromise(program.pipe(Effect.provide(Live)))
 */
export const source = (options: SourceOptions = {}): Source<SqlClient.SqlClient> => {
  const open = Effect.flatMap(SqlClient.SqlClient, (sql) => openTable(sql, options))
  return {
    name: options.name ?? `${options.prefix ?? "foundation"}_config`,
    secrets: options.secrets ?? [],
    open,
    read: Effect.flatMap(open, ({ read }) => read)
  }
}

/**
 * `Config.layer` with the table between the file and the environment: a variable wins over the table, so that a process
 * can be started whatever stands there.
 */
export const layer = (
  options: SourceOptions = {}
): Layer.Layer<Config, ConfigError, Telemetry | FileSystem.FileSystem | SqlClient.SqlClient> =>
  Layer.scoped(
    Config,
    Effect.flatMap(defaultFiles, (files) => Config.make({ sources: [...files, source(options), Config.env()] }))
  )
