import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type * as ConfigSql from "effect-foundation/Config/Sql"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { configOn, engines, processOn, reaches, sqliteFile } from "./sqlDatabases.js"

const anotherDatabase = Effect.map(Layer.build(sqliteClient({ filename: ":memory:" })), Context.get(SqlClient))

describe("a table of configuration", () => {
  it.scopedLive("is refused with options that are none", () =>
    Effect.gen(function* () {
      const database = yield* sqliteFile
      const cases: ReadonlyArray<ConfigSql.SourceOptions> = [
        ...[Number.NaN, 0, -1, Number.POSITIVE_INFINITY, "soon" as "1 second"].flatMap((duration) => [
          { deadline: duration },
          { pollInterval: duration }
        ]),
        ...["", `x"; drop table x; --`, "Upper", "sqlite", "sqlite_x", "x".repeat(32)].map((prefix) => ({ prefix }))
      ]
      for (const options of cases) {
        const [option] = Object.keys(options)
        expect(yield* Effect.flip(processOn(database, options)), JSON.stringify(options)).toMatchObject({
          reason: "invalid_value",
          path: expect.stringContaining(option ?? "")
        })
      }
    })
  )
})

for (const [engine, makeDatabase] of engines) {
  describe(`a table of ${engine} that is opened inside of a transaction`, () => {
    it.scopedLive("of another database is in its own, and watched when the transaction has ended", () =>
      Effect.gen(function* () {
        const database = yield* makeDatabase
        const another = yield* anotherDatabase
        const sql = yield* database.client
        const config = yield* another.withTransaction(configOn(sql))
        yield* (yield* processOn(database)).set("a", 1)
        yield* reaches(config, "a", 1)
        yield* config.set("b", 2)
        yield* config.reload
        expect(yield* sql`select key from foundation_config order by key`).toEqual([{ key: "a" }, { key: "b" }])
      })
    )
  })
}

describe("a table of PostgreSQL that is opened inside of a transaction of its client", () => {
  it.scopedLive("stays when that is rolled back", () =>
    Effect.gen(function* () {
      const database = yield* engines[1][1]
      const sql = yield* database.client
      let config: Effect.Effect.Success<ReturnType<typeof configOn>> | undefined
      const opened = Effect.tap(configOn(sql), (made) =>
        Effect.sync(() => {
          config = made
        })
      )
      yield* Effect.flip(sql.withTransaction(Effect.zipRight(opened, Effect.fail("rolled back"))))
      yield* config?.set("a", 1) ?? Effect.dieMessage("It was not opened")
      yield* config?.reload ?? Effect.void
      expect(yield* sql`select key from foundation_config`).toEqual([{ key: "a" }])
    })
  )
})
