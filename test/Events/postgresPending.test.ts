import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Redacted } from "effect"
import { Events } from "effect-foundation/Events"
import { decodeCriteria } from "effect-foundation/Events/Criteria"
import { postgresSelect } from "effect-foundation/Events/Sql/PostgresSelect"
import { tablesOf } from "effect-foundation/Events/Sql/Tables"
import { Refused } from "effect-foundation/internal/json"
import { freshDatabase } from "../support/postgres.js"
import { as, onServer } from "./sqlFixtures.js"

const tables = tablesOf("foundation")
const indexes = ["foundation_events_data", "foundation_events_metadata"]

const options = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ name: string; options: ReadonlyArray<string> }>`
    select relname as name, reloptions as options from pg_class where relname in ${sql.in(indexes)} order by 1`
  return rows.map(({ name, options }) => [name, ...options])
})

const listed = indexes.map((name) => [name, "fastupdate=on", "gin_pending_list_limit=64"])

/** The indexes as the third schema had them. */
const older = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  for (const index of indexes) {
    yield* sql`alter index ${sql(index)} set (fastupdate = off)`
    yield* sql`alter index ${sql(index)} reset (gin_pending_list_limit)`
  }
  yield* sql`delete from foundation_events_migrations where migration_id > 3`
})

/** Opened by a process as it was, filled by it, and left as the third schema. */
const olderWith = (url: Redacted.Redacted<string>, events: ReadonlyArray<Events.Input>) =>
  Effect.scoped(
    Effect.flatMap(onServer(url), (process) =>
      Effect.gen(function* () {
        yield* older
        for (let from = 0; from < events.length; from += 1000) yield* Events.storeAll(events.slice(from, from + 1000))
      }).pipe(as(process))
    )
  )

/** One in two has metadata. */
const eventAt = (n: number): Events.Input => ({
  type: "t",
  id: `id${n}`,
  data: { orderId: n, lines: [{ sku: `k${n % 100}` }], status: "ok" },
  ...(n % 2 === 0 ? {} : { metadata: { tenant: `t${n % 301}`, n } })
})

const found = (criteria: Events.Criteria) => Effect.map(Events.get(criteria), (events) => events.map(({ id }) => id))

/** The names of the indexes in the plan of the search. */
const usedBy = (criteria: Events.Criteria) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const query = decodeCriteria(criteria)
    if (query instanceof Refused) throw new Error(String(query))
    const { params, text } = postgresSelect(tables).gather(query, 256)
    const rows = yield* sql.unsafe(`explain (format json) ${text}`, params).values
    return [...JSON.stringify(rows).matchAll(/"Index Name":"(\w+)"/g)].map(([, name]) => name)
  })

describe("the lists of new entries of the indexes on PostgreSQL", () => {
  it.scopedLive(
    "come to a log that an older version has made, which is found as before, by the same indexes",
    () =>
      Effect.gen(function* () {
        const url = yield* freshDatabase
        yield* olderWith(
          url,
          Array.from({ length: 20_000 }, (_, n) => eventAt(n))
        )
        const process = yield* onServer(url)
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`analyze foundation_events`
          expect(yield* options).toStrictEqual(listed)
          // Some are in the list, some have been sorted in, some are of before.
          const more = Array.from({ length: 1500 }, (_, n) => eventAt(20_000 + n))
          yield* Effect.forEach(more, Events.store, { concurrency: 64, discard: true })
          const all = Array.from({ length: 21_500 }, (_, n) => n)
          for (const n of [1, 19_999, 20_001, 21_499]) {
            expect(yield* found({ data: { orderId: n } })).toStrictEqual([`id${n}`])
            expect(yield* found({ metadata: { n } })).toStrictEqual([`id${n}`])
            const same = all.filter((other) => other % 2 === 1 && other % 301 === n % 301).map((other) => `id${other}`)
            expect((yield* found({ metadata: { tenant: `t${n % 301}` } })).toSorted()).toStrictEqual(same.toSorted())
          }
          expect(yield* usedBy({ data: { orderId: 7 } })).toStrictEqual(["foundation_events_data"])
          expect(yield* usedBy({ metadata: { tenant: "t7" } })).toStrictEqual(["foundation_events_metadata"])
        }).pipe(as(process))
      }),
    60_000
  )

  it.scopedLive("come when a transaction that has stored is over, and others store meanwhile", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const process = yield* onServer(url)
      yield* older.pipe(as(process))
      const stored = yield* Deferred.make<void>()
      const held = yield* Deferred.make<void>()
      const open = yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const storing = Effect.zipRight(Events.store({ type: "open" }), Deferred.succeed(stored, undefined))
        yield* sql.withTransaction(Effect.zipRight(storing, Deferred.await(held)))
      }).pipe(as(process), Effect.fork)
      yield* Deferred.await(stored)
      const opening = yield* Effect.fork(onServer(url))
      const sql = yield* SqlClient.SqlClient.pipe(as(process))
      const waits = sql`select from pg_locks where not granted and mode = 'AccessExclusiveLock'
        and database = (select oid from pg_database where datname = current_database())`
      yield* Effect.repeat(Effect.delay(waits, "2 millis"), { until: (rows) => rows.length > 0 })
      // Behind a change that waits for the end of the transaction, they would fail by their deadline.
      yield* Effect.forEach([1, 2, 3, 4, 5], () => Events.store({ type: "t" })).pipe(as(process))
      expect(yield* Fiber.poll(opening)).toMatchObject({ _tag: "None" })
      yield* Deferred.succeed(held, undefined)
      yield* Fiber.join(open)
      const next = yield* Fiber.join(opening)
      expect(yield* options.pipe(as(next))).toStrictEqual(listed)
      expect(yield* Events.get({ type: "t" }).pipe(as(next))).toHaveLength(5)
    })
  )
})
