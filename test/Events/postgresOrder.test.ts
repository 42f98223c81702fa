import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Fiber, Queue, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import { Telemetry } from "effect-foundation/Telemetry"
import { freshDatabase } from "../support/postgres.js"
import { as, onServer } from "./sqlFixtures.js"

const ids = (events: Iterable<Events.StoredEvent>) => Array.from(events, ({ id }) => id)

/** A transaction that has stored, and ends when it is told to. */
const openTransaction = (...events: ReadonlyArray<Events.Input>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const stored = yield* Deferred.make<ReadonlyArray<Events.StoredEvent>>()
    const end = yield* Deferred.make<void, "rolled back">()
    const fiber = yield* Effect.fork(
      sql.withTransaction(
        Effect.gen(function* () {
          yield* Deferred.succeed(stored, yield* Events.storeAll(events))
          yield* Deferred.await(end)
        })
      )
    )
    return {
      events: yield* Deferred.await(stored),
      commit: Effect.zipRight(Deferred.succeed(end, undefined), Fiber.join(fiber)),
      rollback: Effect.zipRight(Deferred.fail(end, "rolled back"), Fiber.await(fiber))
    }
  })

/** What a subscriber has seen so far. */
const subscriber = Effect.gen(function* () {
  const seen: Array<string> = []
  const arrived = yield* Queue.unbounded<string>()
  yield* Events.subscribe().pipe(
    Stream.runForEach((event) =>
      Effect.zipRight(
        Effect.sync(() => seen.push(event.id)),
        Queue.offer(arrived, event.id)
      )
    ),
    Effect.forkScoped
  )
  return { seen, until: (id: string) => Effect.repeat(Queue.take(arrived), { until: (seen) => seen === id }) }
})

const locks = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ count: number }>`select count(*)::int as count from pg_locks where locktype = 'advisory' and objsubid = 2`,
    ([row]) => row?.count
  )
)

/** Until a statement waits for the end of another transaction. */
const somebodyWaits = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.repeat(Effect.delay(sql`select 1 from pg_locks where not granted`, "5 millis"), {
    until: (rows) => rows.length > 0
  })
)

describe("the order of events on PostgreSQL", () => {
  it.scopedLive("passes over no event that commits later with a lower position", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [storing, reading] = yield* Effect.all([onServer(url), onServer(url)])
      yield* Events.store({ type: "t", id: "before" }).pipe(as(storing))
      const { seen, until } = yield* Effect.provide(subscriber, reading)
      yield* until("before")

      const first = yield* openTransaction({ type: "t", id: "first" }).pipe(as(storing))
      const second = yield* openTransaction({ type: "t", id: "second" }).pipe(as(storing))
      const third = yield* openTransaction({ type: "t", id: "third", stream: "s" }).pipe(as(storing))
      const last = yield* Events.store({ type: "t", id: "last" }).pipe(as(storing))
      expect([first, second, third].map(({ events }) => events[0]?.position)).toStrictEqual([2, 3, 4])
      expect(last.position).toBe(5)

      const committed = Effect.all({
        got: Effect.map(Events.get(), ids),
        backwards: Effect.map(Events.get({ order: "desc", limit: 1 }), ids),
        paged: Effect.map(Stream.runCollect(Events.stream({ type: "t" })), ids),
        head: Events.head
      }).pipe(as(reading))
      const upTo = (head: number, ...ids: ReadonlyArray<string>) => ({
        got: ids,
        backwards: ids.slice(-1),
        paged: ids,
        head
      })
      expect(yield* committed).toStrictEqual(upTo(1, "before"))
      // What is asked for by its id is there for who has stored it.
      expect(ids(yield* Events.get({ id: "last" }).pipe(as(reading)))).toStrictEqual(["last"])

      yield* third.commit
      expect(yield* committed).toStrictEqual(upTo(1, "before"))
      expect(ids(yield* Events.get({ stream: "s" }).pipe(as(reading)))).toStrictEqual(["third"])
      yield* second.commit
      expect(yield* committed).toStrictEqual(upTo(1, "before"))
      expect(seen).toStrictEqual(["before"])
      yield* first.commit
      expect(yield* committed).toStrictEqual(upTo(5, "before", "first", "second", "third", "last"))
      yield* until("last")
      expect(seen).toStrictEqual(["before", "first", "second", "third", "last"])
    })
  )

  it.scopedLive("shows the whole of a stream, and removes what it shows, also where events are held back", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const process = yield* onServer(url)
      yield* Effect.gen(function* () {
        const open = yield* openTransaction({ type: "t" })
        const events = Array.from({ length: 600 }, (_, index) => ({ type: "t", id: `${index}` }))
        yield* Events.append("s", events)
        const streamed = yield* Stream.runCollect(Events.stream({ stream: "s" }))
        expect(ids(streamed)).toStrictEqual(events.map(({ id }) => id))
        expect(yield* Events.prune({ id: "7" })).toBe(1)
        expect(yield* Events.get({ id: "7" })).toStrictEqual([])
        yield* open.commit
      }).pipe(as(process))
    })
  )

  it.scopedLive("keeps nobody waiting for a stream of a long transaction but those who store in it", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const process = yield* onServer(url, { deadline: "4 seconds" })
      yield* Effect.gen(function* () {
        const open = yield* openTransaction({ type: "t", id: "first", stream: "s" })
        const waiting = yield* Effect.fork(Events.store({ type: "t", id: "second", stream: "s" }))
        const together = yield* Effect.fork(Events.store({ type: "t", id: "together" }))
        yield* Effect.sleep("20 millis")
        yield* Events.store({ type: "t", id: "behind" })
        yield* Fiber.join(together)
        expect(waiting.unsafePoll()).toBe(null)
        yield* open.commit
        expect(yield* Fiber.join(waiting)).toMatchObject({ version: 2 })
      }).pipe(as(process))
    })
  )

  it.scopedLive("goes on when a transaction that held events back is rolled back, which notifies nobody", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [storing, reading] = yield* Effect.all([onServer(url), onServer(url)])
      const { seen, until } = yield* Effect.provide(subscriber, reading)
      const open = yield* openTransaction({ type: "t", id: "never" }).pipe(as(storing))
      yield* Events.store({ type: "t", id: "held" }).pipe(as(storing))
      expect(yield* Events.get().pipe(as(reading))).toStrictEqual([])
      yield* open.rollback
      yield* until("held")
      expect(seen).toStrictEqual(["held"])
    })
  )

  it.scopedLive("is not held back by transactions that have stored nothing, nor by a reader's own", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [storing, reading] = yield* Effect.all([onServer(url), onServer(url)])
      const end = yield* Deferred.make<void>()
      const sql = yield* SqlClient.SqlClient.pipe(as(storing))
      const started = yield* Deferred.make<void>()
      const idle = yield* sql
        .withTransaction(
          Effect.gen(function* () {
            yield* sql`create table other (id int)`
            yield* Events.get()
            yield* Deferred.succeed(started, undefined)
            yield* Deferred.await(end)
          })
        )
        .pipe(as(storing), Effect.fork)
      yield* Deferred.await(started)
      yield* Events.store({ type: "t", id: "1" }).pipe(as(storing))
      expect(ids(yield* Events.get().pipe(as(reading)))).toStrictEqual(["1"])
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(idle)
      const own = yield* sql
        .withTransaction(Effect.zipRight(Events.store({ type: "t", id: "2" }), Events.get()))
        .pipe(as(storing))
      expect(ids(own)).toStrictEqual(["1", "2"])
    })
  )

  it.scopedLive(
    "takes one lock for a transaction, however much it stores, and another after a savepoint was rolled back",
    () =>
      Effect.gen(function* () {
        const storing = yield* onServer(yield* freshDatabase)
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql.withTransaction(
            Effect.gen(function* () {
              yield* Effect.ignore(sql.withTransaction(Effect.zipRight(Events.store({ type: "t" }), Effect.fail("no"))))
              expect(yield* locks).toBe(0)
              for (let index = 0; index < 300; index++) yield* Events.store({ type: "t" })
              expect(yield* locks).toBe(1)
            })
          )
          expect(yield* locks).toBe(0)
          expect(yield* Events.get()).toHaveLength(300)
        }).pipe(as(storing))
      })
  )

  it.scopedLive("tells of what is held back, how much and for how long, and that it is over", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [storing, reading] = yield* Effect.all([onServer(url), onServer(url)])
      const told = yield* Queue.unbounded<Readonly<Record<string, number>>>()
      yield* Telemetry.attach("spec", "events.held_back", ({ measurements }) => Queue.offer(told, measurements)).pipe(
        Effect.provide(reading)
      )
      const open = yield* openTransaction({ type: "t" }).pipe(as(storing))
      yield* Events.storeAll([{ type: "t" }, { type: "t" }]).pipe(as(storing))
      yield* Events.get().pipe(as(reading))
      const [one, two] = Chunk.toReadonlyArray(yield* Queue.takeN(told, 2))
      expect(one).toMatchObject({ behind: 3 })
      expect(one?.age).toBeGreaterThanOrEqual(1000)
      expect(two?.age).toBeGreaterThanOrEqual(2000)
      yield* open.commit
      expect(yield* Queue.take(told)).toStrictEqual({ behind: 0, age: 0 })
    })
  )

  it.scopedLive("has whoever stores an id that another transaction is storing wait for it, and do as it ended", () =>
    Effect.gen(function* () {
      const storing = yield* onServer(yield* freshDatabase)
      yield* Effect.gen(function* () {
        const event = { type: "t", id: "1", data: { a: 1, b: [2] } }
        const rolledBack = yield* openTransaction(event)
        const mine = yield* Effect.fork(Events.store(event))
        yield* somebodyWaits
        expect(mine.unsafePoll()).toBeNull()
        yield* rolledBack.rollback
        const stored = yield* Fiber.join(mine)

        const committed = yield* openTransaction({ type: "t", id: "2" }, { type: "t", id: "3", stream: "s" })
        const same = yield* Effect.fork(
          Events.storeAll([
            { type: "t", id: "3", stream: "s" },
            { type: "u", id: "4" }
          ])
        )
        yield* somebodyWaits
        yield* committed.commit
        expect((yield* Fiber.join(same))[0]).toStrictEqual(committed.events[1])

        const other = yield* openTransaction({ type: "t", id: "6" })
        const refused = yield* Effect.fork(
          Effect.flip(
            Events.storeAll([
              { type: "u", id: "5", stream: "s" },
              { type: "u", id: "6" }
            ])
          )
        )
        yield* somebodyWaits
        yield* other.commit
        expect(yield* Fiber.join(refused)).toMatchObject({ reason: "duplicate_event" })
        expect(ids(yield* Events.get())).toStrictEqual(["1", "2", "3", "4", "6"])
        const [next] = yield* Events.append("s", [{ type: "v", id: "7" }], { expectedVersion: 1 })
        expect(next).toMatchObject({ version: 2 })
        expect(stored.id).toBe("1")
      }).pipe(as(storing))
    })
  )

  it.scopedLive(
    "keeps the events of a stream in the order of their versions, also where transactions hold them back",
    () =>
      Effect.gen(function* () {
        const storing = yield* onServer(yield* freshDatabase)
        yield* Effect.gen(function* () {
          const open = yield* openTransaction({ type: "a", stream: "s" })
          const waiting = yield* Effect.fork(Events.append("s", [{ type: "b" }]))
          yield* somebodyWaits
          expect(waiting.unsafePoll()).toBeNull()
          expect(yield* Events.get({ stream: "s" })).toStrictEqual([])
          yield* open.commit
          yield* Fiber.join(waiting)
          const events = yield* Events.get({ stream: "s" })
          expect(events.map(({ type, version }) => [type, version])).toStrictEqual([
            ["a", 1],
            ["b", 2]
          ])
        }).pipe(as(storing))
      })
  )
})
