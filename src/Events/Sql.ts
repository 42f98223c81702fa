import type * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Events } from "../Events.js"
import type { ConfigError, EventError } from "../FoundationError.js"
import type { Telemetry } from "../Telemetry.js"
import { backend } from "./Sql/Backend.js"
import type * as Settings from "./Sql/Options.js"

export type Options = Settings.Options

/**
 * A backend of `Events` in the database of the `SqlClient`: SQLite or PostgreSQL. Its tables are made or brought up to date
 * first. Fails with ConfigError if an option is not valid, and with EventError `storage_unavailable` if the database cannot
 * be used.
 */
export const make: (
  options?: Options
) => Effect.Effect<Events.Backend, EventError | ConfigError, SqlClient.SqlClient | Telemetry | Scope.Scope> = backend

/**
 * Events in the database of the `SqlClient`: of one process on SQLite, of any number of processes on PostgreSQL.
 *
 * - A store returns when its event is committed. Stores that run at the same time are committed together.
 * - Within `sql.withTransaction` events are stored, and read, in that transaction: they are there with all else that is
 *   written in it, or not at all. It must be of the same client.
 * - Every call ends within the `deadline`, also where the database is locked, frozen or gone.
 *
 * @example
 * import { Events, Telemetry } from "effect-foundation"
 * import * as EventsSql from "effect-foundation/Events/Sql"
 * import { SqlClient } from "@effect/sql"
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`CREATE TABLE accounts (id TEXT PRIMARY KEY, balance INTEGER)`
 *   yield* sql.withTransaction(
 *     Effect.gen(function* () {
 *       yield* sql`INSERT INTO accounts VALUES ('a', 50)`
 *       yield* Events.store({ type: "account_opened", data: { account: "a" } })
 *     })
 *   )
 *   const opened = yield* Events.get({ type: "account_opened" })
 *   console.log(opened.map((event) => event.data)) // [ { account: 'a' } ]
 * })
 *
 * program.pipe(
 *   Effect.provide(Layer.provideMerge(EventsSql.layer(), SqliteClient.layer({ filename: ":memory:" }))),
 *   Effect.provide(Telemetry.layer),
 *   Effect.runPromise
 * )
 */
export const layer = (
  options?: Options
): Layer.Layer<Events, EventError | ConfigError, SqlClient.SqlClient | Telemetry> =>
  Layer.scoped(Events, Effect.flatMap(make(options), Events.make))
