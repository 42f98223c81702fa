import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Events } from "effect-foundation/Events"
import { freshDatabase } from "../support/postgres.js"
import { as, onServer } from "./sqlFixtures.js"

describe("one event alone on PostgreSQL", () => {
  it.scopedLive("is stored once however often it comes, and moves its stream once", () =>
    Effect.gen(function* () {
      const process = yield* onServer(yield* freshDatabase)
      yield* Effect.gen(function* () {
        const event = { type: "t", id: "1", stream: "s", data: { z: 1, a: [null] }, metadata: { z: 1, a: 2 } }
        const stored = yield* Events.store(event)
        expect(stored).toMatchObject({ version: 1, data: event.data, metadata: event.metadata })
        expect(yield* Events.store(event)).toStrictEqual(stored)
        expect(yield* Effect.flip(Events.store({ ...event, data: 2 }))).toMatchObject({ reason: "duplicate_event" })
        expect(yield* Effect.flip(Events.store({ type: "t", id: "1", stream: "other" }))).toMatchObject({
          reason: "duplicate_event"
        })
        expect(yield* Events.store({ type: "t", stream: "s" })).toMatchObject({ version: 2 })
        expect(yield* Events.append("other", [{ type: "t" }], { expectedVersion: "none" })).toMatchObject([
          { version: 1 }
        ])
        const alone = yield* Events.store({ type: "t", id: "2", data: "é" })
        expect(yield* Events.store({ type: "t", id: "2", data: "é" })).toStrictEqual(alone)
        const found = yield* Events.get()
        expect(JSON.stringify(found[0])).toBe(JSON.stringify(stored))
        expect(found).toHaveLength(4)
      }).pipe(as(process))
    })
  )

  it.scopedLive("that many processes store at once is one event, and their streams have no gaps", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const processes = yield* Effect.all(Array.from({ length: 4 }, () => onServer(url)))
      for (let round = 0; round < 20; round++) {
        const [one, ...others] = yield* Effect.forEach(
          processes,
          (process) => Events.store({ type: "t", id: `${round}`, stream: "s" }).pipe(as(process)),
          { concurrency: "unbounded" }
        )
        for (const other of others) expect(other).toStrictEqual(one)
        expect(one?.version).toBe(round + 1)
      }
      const [process] = processes
      if (process !== undefined) expect(yield* Events.get().pipe(as(process))).toHaveLength(20)
    })
  )
})

describe("the lock of one event alone on PostgreSQL", () => {
  it.scopedLive("says above which position it takes its own, as that of others does, whatever has been taken", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [storing, reading] = yield* Effect.all([onServer(url), onServer(url)])
      const sql = yield* SqlClient.SqlClient.pipe(as(reading))
      const floors = sql<{ log: string; floor: string }>`
        select classid::text as log, objid::text as floor from pg_locks where locktype = 'advisory' and objsubid = 2`
      for (const taken of [0, 2 ** 31 - 2, 2 ** 31 + 50, 2 ** 32 - 2, 2 ** 32 + 50, 3 * 2 ** 31]) {
        if (taken > 0) yield* sql`select setval('foundation_events_position', ${taken})`
        yield* Events.store({ type: "t", id: `before ${taken}` }).pipe(as(storing))
        const held = yield* Deferred.make<void>()
        const stored = yield* Deferred.make<void>()
        const id = `held ${taken}`
        const open = yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const transaction = Effect.zipRight(
            Events.store({ type: "t", id }),
            Effect.zipRight(Deferred.succeed(stored, undefined), Deferred.await(held))
          )
          return yield* Effect.fork(sql.withTransaction(transaction))
        }).pipe(as(storing))
        yield* Deferred.await(stored)
        // It waits for the id, with its lock.
        const waiting = yield* Effect.fork(Events.store({ type: "t", id }).pipe(as(storing)))
        const locks = yield* Effect.repeat(Effect.delay(floors, "2 millis"), { until: (rows) => rows.length === 2 })
        // In 32 bits, and behind the last position; one that has waited for long comes again, and takes another.
        const behind = locks.map(({ floor }) => (Number(floor) - taken + 2 ** 33) % 2 ** 32).sort()
        expect(behind[0]).toBe(1)
        expect([2, 3, 4]).toContain(behind[1])
        expect(new Set(locks.map(({ log }) => log)).size).toBe(1)
        expect(yield* Events.head.pipe(as(reading))).toBe(taken + 1)
        yield* Deferred.succeed(held, undefined)
        yield* Fiber.join(open)
        expect(yield* Fiber.join(waiting)).toMatchObject({ position: taken + 2 })
      }
    })
  )
})

describe("a log that an older version has made", () => {
  it.scopedLive("is brought up to date with what is in it", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* Events.store({ type: "t", stream: "s" })
        yield* sql`drop function foundation_events_put_one, foundation_events_put_all`
        yield* sql`delete from foundation_events_migrations where migration_id > 2`
      }).pipe(as(yield* onServer(url)))
      yield* Effect.gen(function* () {
        yield* Events.store({ type: "t", stream: "s" })
        const more = [{ type: "t", stream: "s" }, { type: "t" }, { type: "t", stream: "s" }]
        yield* Effect.forEach(more, Events.store, { concurrency: "unbounded" })
        const versions = (yield* Events.get({ stream: "s" })).map(({ version }) => version)
        expect(versions).toStrictEqual([1, 2, 3, 4])
      }).pipe(as(yield* onServer(url)))
    })
  )
})
