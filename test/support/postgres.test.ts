import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted, Schedule } from "effect"
import pg from "pg"
import { freshDatabase, freshSchema, sharedPostgres } from "./postgres.js"

const open = (url: Redacted.Redacted<string>) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: Redacted.value(url) })
    client.on("error", () => {})
    await client.connect()
    return client
  })

const ask = (client: pg.Client, statement: string) =>
  Effect.tryPromise({ try: async () => (await client.query(statement)).rows, catch: String })

const query = (url: Redacted.Redacted<string>, statement: string) =>
  Effect.acquireUseRelease(
    open(url),
    (client) => ask(client, statement),
    (client) => Effect.promise(() => client.end())
  )

describe("the PostgreSQL that tests share", () => {
  for (const [what, fresh] of [
    ["database", freshDatabase],
    ["schema", freshSchema]
  ] as const) {
    it.scopedLive(`gives each test a ${what} of its own`, () =>
      Effect.gen(function* () {
        const [one, other] = yield* Effect.all([fresh, fresh], { concurrency: "unbounded" })
        yield* query(one, "CREATE TABLE orders AS SELECT 1 AS id")
        yield* query(other, "CREATE TABLE orders AS SELECT 2 AS id")
        expect(yield* query(one, "SELECT id FROM orders")).toEqual([{ id: 1 }])
        expect(yield* query(other, "SELECT id FROM orders")).toEqual([{ id: 2 }])
      })
    )
  }

  it.live("drops a fresh database when its scope closes, whoever is still connected", () =>
    Effect.gen(function* () {
      const admin = yield* sharedPostgres
      const client = yield* freshDatabase.pipe(
        Effect.flatMap((url) => open(url)),
        Effect.scoped
      )
      const { database } = client
      const found = query(admin, `SELECT 1 FROM pg_database WHERE datname = '${database}'`)
      yield* Effect.repeat(found, { until: (rows) => rows.length === 0, schedule: Schedule.spaced("10 millis") })
      expect(yield* Effect.flip(ask(client, "SELECT 1"))).toMatch(/terminated|closed|ECONNRESET|queryable/)
    })
  )
})
