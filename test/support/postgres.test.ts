import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import pg from "pg"
import { freshDatabase, freshSchema } from "./postgres.js"

const query = (url: Redacted.Redacted<string>, statement: string) =>
  Effect.acquireUseRelease(
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: Redacted.value(url) })
      await client.connect()
      return client
    }),
    (client) => Effect.promise(async () => (await client.query(statement)).rows),
    (client) => Effect.promise(() => client.end())
  )

describe("the PostgreSQL that tests share", () => {
  for (const [what, fresh] of [
    ["database", freshDatabase],
    ["schema", freshSchema]
  ] as const) {
    it.scopedLive(`gives each test a ${what} of its own`, () =>
      Effect.gen(function* () {
        const [one, other] = yield* Effect.all([fresh, fresh])
        yield* query(one, "CREATE TABLE orders AS SELECT 1 AS id")
        yield* query(other, "CREATE TABLE orders AS SELECT 2 AS id")
        expect(yield* query(one, "SELECT id FROM orders")).toEqual([{ id: 1 }])
        expect(yield* query(other, "SELECT id FROM orders")).toEqual([{ id: 2 }])
      })
    )
  }
})
