import { Effect } from "effect"
import { configContract } from "../contract/Config.js"
import { configOn, engines, putRow } from "./sqlDatabases.js"

for (const [engine, fresh] of engines) {
  configContract(`over a table of ${engine}`, (values, keys = []) =>
    Effect.gen(function* () {
      const database = yield* fresh
      const sql = yield* database.client
      const other = yield* database.client
      const state = (values: Readonly<Record<string, unknown>>) =>
        Effect.zipRight(
          other`delete from foundation_config`,
          Effect.forEach(Object.entries(values), ([key, value]) => putRow(other, key, JSON.stringify(value)))
        ).pipe(other.withTransaction, Effect.orDie, Effect.asVoid)
      // Makes the table.
      yield* Effect.scoped(configOn(other))
      yield* state(values)
      const config = yield* configOn(sql, { watch: false, deadline: "20 seconds" }, { keys })
      return { config, setOrigin: "foundation_config", state }
    })
  )
}
