import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue, Random, Redacted, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import pg from "pg"
import { freshDatabase } from "../support/postgres.js"
import { as, onServer } from "./sqlFixtures.js"

/** What only a poll would tell is told too late for any test. */
const unpolled = { pollInterval: "1 hour" } as const

/** A session of its own, which is no part of a log. */
const session = (url: Redacted.Redacted<string>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: Redacted.value(url) })
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

/** How many notices of the log have come since the last time. It hears of them without being known to. */
const noticed = (url: Redacted.Redacted<string>) =>
  Effect.gen(function* () {
    const client = yield* session(url)
    let count = 0
    client.on("notification", () => count++)
    const { rows } = yield* Effect.promise(() =>
      client.query("select 'foundation_events_' || 'foundation_events_position'::regclass::oid as channel")
    )
    yield* Effect.promise(() => client.query(`listen ${pg.escapeIdentifier(rows[0].channel)}`))
    // The server tells of what was notified before it answers.
    return Effect.promise(async () => {
      await client.query("select 1")
      const since = count
      count = 0
      return since
    })
  })

/** The ids of a type that a subscriber sees, once it listens. */
const subscribed = Effect.fn(function* (type: string) {
  const seen = yield* Queue.unbounded<string>()
  yield* Stream.runForEach(Events.subscribe({ type }), ({ id }) => Queue.offer(seen, id)).pipe(Effect.forkScoped)
  const { id } = yield* Events.store({ type })
  expect(yield* Queue.take(seen)).toBe(id)
  return seen
})

/** The locks by which it is known who hears. */
const locks = (mode: "ShareLock" | "ExclusiveLock", granted: boolean) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`select objid from pg_locks where locktype = 'advisory' and objsubid = 1 and mode = ${mode}
      and granted = ${granted} and classid = 'foundation_events_position'::regclass
      and database = (select oid from pg_database where datname = current_database())`
  )

const until = (mode: "ShareLock" | "ExclusiveLock", granted: boolean) =>
  Effect.repeat(Effect.delay(locks(mode, granted), "2 millis"), { until: (rows) => rows.length > 0 })

/** Each way to store: one event, one in a stream, and many at a time. */
const stores = {
  "one event": Events.store({ type: "t" }),
  "one event in a stream": Events.store({ type: "t", stream: "s" }),
  "what many fibers store": Effect.forEach(Array.from({ length: 50 }), () => Events.store({ type: "t" }), {
    concurrency: "unbounded",
    discard: true
  })
}

describe("the notices of what was stored on PostgreSQL", () => {
  for (const [what, store] of Object.entries(stores)) {
    it.scopedLive(
      `of ${what} are given while somebody subscribes, in this process or in another, and else spared`,
      () =>
        Effect.gen(function* () {
          const url = yield* freshDatabase
          const process = yield* onServer(url, unpolled)
          const notices = yield* noticed(url)
          yield* store.pipe(as(process))
          expect(yield* notices).toBe(0)
          let subscribers = 0
          for (const subscriber of [process, yield* onServer(url, unpolled)]) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                yield* Effect.asVoid(subscribed(`of ${subscribers++}`))
                yield* notices
                yield* Effect.zipRight(store, Events.store({ type: "last" })).pipe(as(process))
                expect(yield* notices).toBeGreaterThanOrEqual(2)
              }).pipe(as(subscriber))
            )
          }
        })
    )

    it.scopedLive(`are needless to who subscribes while ${what} is about to be committed, and finds it`, () =>
      Effect.gen(function* () {
        const url = yield* freshDatabase
        const [process, other] = yield* Effect.all([onServer(url, unpolled), onServer(url, unpolled)])
        const gate = yield* session(url)
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          // At the end of a transaction, when all else is done.
          yield* sql`create function wait() returns trigger language plpgsql as $$ begin
            while exists (select from pg_locks where locktype = 'advisory' and objsubid = 2 and classid = 4 and objid = 2) loop
              perform pg_sleep(0.005);
            end loop;
            return null;
          end $$`
          yield* sql`create constraint trigger waits after insert on foundation_events deferrable initially deferred
            for each row execute function wait()`
          yield* Effect.promise(() => gate.query("select pg_advisory_lock(4, 2)"))
        }).pipe(as(process))
        const notices = yield* noticed(url)
        const storing = yield* Effect.fork(store.pipe(as(process)))
        yield* until("ExclusiveLock", true).pipe(as(other))
        const seen = yield* Effect.fork(Stream.runHead(Events.subscribe({ type: "t" })).pipe(as(other)))
        yield* until("ShareLock", false).pipe(as(other))
        yield* Effect.promise(() => gate.query("select pg_advisory_unlock(4, 2)"))
        expect(yield* Fiber.join(seen)).toMatchObject({ _tag: "Some", value: { type: "t" } })
        yield* Fiber.join(storing)
        // Of a group that came behind, if one did.
        expect(yield* notices).toBeLessThanOrEqual(1)
      })
    )
  }

  it.scopedLive("reach every subscriber, whenever it comes and goes, from all that store", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const storers = yield* Effect.all(Array.from({ length: 3 }, () => onServer(url, unpolled)))
      const readers = yield* Effect.all(Array.from({ length: 3 }, () => onServer(url, unpolled)))
      const shortly = Effect.flatMap(Random.nextIntBetween(0, 12), (millis) => Effect.sleep(`${millis} millis`))
      for (let round = 0; round < 40; round++) {
        // Each stores one and then no more: nothing after it tells of what was missed.
        const all = storers.map((_, index) => `${round} ${index}`)
        const reading = yield* Effect.forEach(readers, (reader) =>
          Effect.gen(function* () {
            const left = new Set(all)
            yield* shortly
            yield* Events.subscribe({ type: `t${round}` }).pipe(
              Stream.takeUntil(({ id }) => left.delete(id) && left.size === 0),
              Stream.runDrain
            )
          }).pipe(as(reader), Effect.timeoutFail({ duration: "8 seconds", onTimeout: () => "missed" }), Effect.fork)
        )
        yield* Effect.forEach(
          storers,
          (storer, index) =>
            Effect.zipRight(shortly, Events.store({ type: `t${round}`, id: `${round} ${index}` })).pipe(as(storer)),
          { concurrency: "unbounded" }
        )
        yield* Fiber.joinAll(reading)
      }
    })
  )

  it.scopedLive("are given again when the session of the only listener was lost and it has another", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [process, other] = yield* Effect.all([onServer(url, unpolled), onServer(url, unpolled)])
      const killer = yield* session(url)
      yield* Effect.gen(function* () {
        const seen = yield* subscribed("t")
        for (let round = 0; round < 3; round++) {
          yield* Effect.promise(() =>
            killer.query(
              "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like '%(listening)' and datname = current_database()"
            )
          )
          yield* Events.store({ type: "t", id: `lost ${round}` }).pipe(as(process))
          expect(yield* Queue.take(seen)).toBe(`lost ${round}`)
          expect(yield* locks("ShareLock", true)).toHaveLength(16)
          yield* Events.store({ type: "t", id: `heard ${round}` }).pipe(as(process))
          expect(yield* Queue.take(seen)).toBe(`heard ${round}`)
        }
      }).pipe(as(other))
    })
  )

  it.scopedLive("of a caller's transaction are given whoever listens, since its end may be far", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const process = yield* onServer(url, unpolled)
      const notices = yield* noticed(url)
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [stored, held] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const open = yield* Effect.fork(
          sql.withTransaction(
            Effect.zipRight(
              Events.store({ type: "t", id: "open" }),
              Effect.zipRight(Deferred.succeed(stored, undefined), Deferred.await(held))
            )
          )
        )
        yield* Deferred.await(stored)
        // Nobody who begins to listen has to wait for it.
        expect(yield* locks("ExclusiveLock", true)).toStrictEqual([])
        yield* Deferred.succeed(held, undefined)
        yield* Fiber.join(open)
        expect(yield* notices).toBe(1)
      }).pipe(as(process))
    })
  )
})
