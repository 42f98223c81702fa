import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Fiber, Layer, Tracer } from "effect"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { prepared } from "effect-foundation/internal/Sql/Postgres/Prepared"
import { freshDatabase } from "../../support/postgres.js"

/** A client with so many connections, and how it is asked. */
const client = (maxConnections: number) =>
  Effect.gen(function* () {
    const url = yield* freshDatabase
    const context = yield* Layer.build(postgresClient({ url, maxConnections }))
    const sql = yield* Effect.provide(SqlClient.SqlClient, context)
    const usual: Array<string> = []
    const ask = prepared(sql, ({ params, text }) => {
      usual.push(text)
      return sql.unsafe(text, params).values
    })
    return { ask, sql, usual }
  })

const sum = (one: number, keeps = true) => ({ text: "select $1::int + 1", params: [one], keeps })

const names = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ name: string }>`select name from pg_prepared_statements order by 1`, (rows) =>
    rows.map(({ name }) => name)
  )

describe("a prepared statement of PostgreSQL", () => {
  it.scopedLive("is taken apart once for a connection, where its plan can be kept", () =>
    Effect.gen(function* () {
      const { ask, sql, usual } = yield* client(1)
      for (const one of [1, 2, 3]) expect(yield* ask(sum(one), 5000)).toStrictEqual([[one + 1]])
      const known = yield* names(sql)
      expect(known).toHaveLength(1)
      expect(yield* ask({ text: "select 'other'", params: [], keeps: false }, 5000)).toStrictEqual([["other"]])
      expect(yield* names(sql)).toStrictEqual(known)
      expect(usual).toStrictEqual([])
    })
  )

  it.scopedLive("goes on without a name where the session does not know it", () =>
    Effect.gen(function* () {
      const { ask, sql } = yield* client(1)
      yield* ask(sum(1), 5000)
      yield* sql`deallocate all`
      expect(yield* ask(sum(2), 5000)).toStrictEqual([[3]])
      expect(yield* ask(sum(3), 5000)).toStrictEqual([[4]])
      expect(yield* names(sql)).toStrictEqual([])
    })
  )

  it.scopedLive("says what went wrong, and leaves the connection to the next", () =>
    Effect.gen(function* () {
      const { ask } = yield* client(1)
      const failed = yield* Effect.either(ask({ text: "select $1::int / 0", params: [1], keeps: true }, 5000))
      expect(Either.isLeft(failed) && failed.left.code).toBe("22012")
      expect(yield* ask(sum(1), 5000)).toStrictEqual([[2]])
    })
  )

  it.scopedLive("is cancelled when its time is up, or when it is interrupted", () =>
    Effect.gen(function* () {
      const { ask, sql } = yield* client(2)
      const sleep = { text: "select pg_sleep($1)", params: [60], keeps: true }
      const sleeping = Effect.map(
        sql`select 1 from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()`,
        (rows) => rows.length
      )
      const until = (count: number) => Effect.repeat(Effect.delay(sleeping, "5 millis"), { until: (n) => n === count })
      expect(yield* Effect.flip(ask(sleep, 100))).toMatchObject({ kind: "timeout" })
      yield* until(0)
      const asking = yield* Effect.fork(ask(sleep, 60_000))
      yield* until(1)
      yield* Fiber.interrupt(asking)
      yield* until(0)
      // Both connections are there again.
      const both = yield* Effect.all([ask(sum(1), 5000), ask(sum(2), 5000)], { concurrency: 2 })
      expect(both).toStrictEqual([[[2]], [[3]]])
    })
  )

  it.scopedLive("holds no connection when it waits for one for too long", () =>
    Effect.gen(function* () {
      const { ask } = yield* client(1)
      const first = yield* Effect.fork(ask({ text: "select pg_sleep(0.3)", params: [], keeps: true }, 5000))
      yield* Effect.sleep("20 millis")
      const late = yield* Effect.forEach([1, 2, 3], (one) => Effect.flip(ask(sum(one), 50)), {
        concurrency: "unbounded"
      })
      expect(late.map(({ kind }) => kind)).toStrictEqual(["timeout", "timeout", "timeout"])
      yield* Fiber.join(first)
      expect(yield* ask(sum(1), 5000)).toStrictEqual([[2]])
    })
  )

  it.scopedLive("that is asked again and again leaves the connection to those who wait for it", () =>
    Effect.gen(function* () {
      const { ask, sql } = yield* client(1)
      let asked = 0
      const asking = yield* Effect.fork(Effect.forever(Effect.tap(ask(sum(1), 5000), () => Effect.sync(() => asked++))))
      for (let other = 0; other < 20; other++) expect(yield* sql`select 1 as one`).toStrictEqual([{ one: 1 }])
      yield* Fiber.interrupt(asking)
      expect(asked).toBeGreaterThan(0)
      expect(yield* sql`select 1 as one`).toStrictEqual([{ one: 1 }])
    })
  )

  it.scopedLive("is answered as the driver answers, by types and without a value", () =>
    Effect.gen(function* () {
      const { ask, sql } = yield* client(1)
      const text =
        "select 1::int as a, 2::int8 as a, null::text as b, true as c, '{\"d\": [1]}'::jsonb as d where $1::int > 0"
      for (const keeps of [true, false]) {
        const rows = yield* ask({ text, params: [1], keeps }, 5000)
        expect(rows).toStrictEqual(yield* sql.unsafe(text, [1]).values)
        expect(rows).toStrictEqual([[1, "2", null, true, { d: [1] }]])
        expect(yield* ask({ text, params: [0], keeps }, 5000)).toStrictEqual([])
      }
    })
  )

  it.scopedLive("is asked as usual where somebody traces", () =>
    Effect.gen(function* () {
      const { ask, usual } = yield* client(1)
      const tracer = yield* Effect.tracer
      expect(yield* Effect.withTracer(ask(sum(1), 5000), Tracer.make({ ...tracer }))).toStrictEqual([[2]])
      expect(usual).toHaveLength(1)
    })
  )
})
