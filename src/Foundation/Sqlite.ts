import type * as SqlClient from "@effect/sql/SqlClient"
import type * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Composed from "../internal/Sql/composed.js"
import { sqliteClient } from "../internal/Sql/Sqlite.js"

export interface Options extends Composed.Options {
  /** The file, which is made where there is none; its directory must be there. */
  readonly filename: string
  /**
   * What a stored event survives: `"process"`, the default, the end of the process, `kill -9` included; `"power"` the loss
   * of power too, for which each commit waits for the disk.
   */
  readonly durability?: "process" | "power"
}

/**
 * The six services for programs that share a machine: events, configuration that is set and registrations are in a SQLite
 * file, which several processes can use at once; circuits and limits are in the process. Any service can be replaced, as in
 * `Foundation.layer`.
 *
 * The client is provided too, so that the program's own tables can be in the same file, and in the same transactions: it
 * is in WAL mode, and waits 20 ms for the lock of another process before a statement fails.
 *
 * Fails with ConfigError if an option is not valid or the file cannot be used, and with the errors of the services.
 *
 * @example
 * import { Config, Events } from "effect-foundation"
 * import * as Sqlite from "effect-foundation/Foundation/Sqlite"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const starts = yield* Events.store({ type: "started" })
 *   yield* Config.set("starts", starts.position)
 *   yield* Effect.log(`start ${starts.position}`) // one more at each run
 * })
 *
 * program.pipe(Effect.provide(Sqlite.layer({ filename: "service.db" })), Effect.runPromise)
 */
export const layer = <const O extends Options>(
  options: O
): Composed.Composition<O, SqlClient.SqlClient | SqliteClient.SqliteClient> =>
  Composed.composed(sqliteClient(options), options)
