import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Queue, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import { ConfigError } from "effect-foundation/FoundationError"
import { noDurations } from "../support/noDurations.js"
import { as, databases } from "./sqlFixtures.js"

const ids = (events: Iterable<Events.StoredEvent>) => Array.from(events, ({ id }) => id)

/** As a fiber that is in no transaction: which transaction a fiber is in is told by its context, of whatever client it is. */
const outside = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.mapInputContext(effect, (context: Context.Context<never>) =>
    Context.omit(SqlClient.TransactionConnection)(context)
  )

for (const [name, database] of Object.entries(databases)) {
  describe(`Events in a transaction of ${name}`, () => {
    const inTransaction = <A, E, R>(work: Effect.Effect<A, E, R>) =>
      Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(work))

    it.scopedLive("are committed with all else that is written in it, and can be read in it before", () =>
      Effect.gen(function* () {
        const open = yield* database
        const process = yield* open()
        const other = yield* open()
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE TABLE accounts (name TEXT)`
          yield* inTransaction(
            Effect.gen(function* () {
              yield* sql`INSERT INTO accounts VALUES ('a')`
              yield* Events.store({ type: "opened", id: "1", data: { account: "a" } })
              yield* Events.append("s", [{ type: "t", id: "2" }], { expectedVersion: "none" })
              expect(ids(yield* Events.get())).toStrictEqual(["1", "2"])
              expect(ids(yield* Events.get({ data: { account: "a" } }))).toStrictEqual(["1"])
              expect(yield* Events.get().pipe(as(other), outside)).toStrictEqual([])
            })
          )
          expect(yield* sql`SELECT name FROM accounts`).toStrictEqual([{ name: "a" }])
          expect(ids(yield* Events.get().pipe(as(other)))).toStrictEqual(["1", "2"])
        }).pipe(as(process))
      })
    )

    it.scopedLive("vanish with it, versions of streams and ids too, also in a savepoint", () =>
      Effect.gen(function* () {
        const process = yield* (yield* database)()
        yield* Effect.gen(function* () {
          const stores = Events.append("s", [{ type: "t", id: "1", data: { a: 1 } }])
          const exit = yield* Effect.exit(inTransaction(Effect.zipRight(stores, Effect.fail("no"))))
          expect(exit).toStrictEqual(Exit.fail("no"))
          expect(yield* Events.get()).toStrictEqual([])
          yield* inTransaction(
            Effect.gen(function* () {
              yield* Events.store({ type: "t", id: "kept" })
              yield* Effect.ignore(inTransaction(Effect.zipRight(stores, Effect.fail("no"))))
            })
          )
          expect(ids(yield* Events.get())).toStrictEqual(["kept"])
          expect(yield* Events.get({ data: { a: 1 } })).toStrictEqual([])
          const [again] = yield* Events.append("s", [{ type: "u", id: "1" }], { expectedVersion: "none" })
          expect(again).toMatchObject({ version: 1, type: "u" })
        }).pipe(as(process))
      })
    )

    it.scopedLive("that are refused leave the transaction as it is", () =>
      Effect.gen(function* () {
        const process = yield* (yield* database)()
        yield* Effect.gen(function* () {
          yield* Events.store({ type: "t", id: "1" })
          yield* inTransaction(
            Effect.gen(function* () {
              yield* Events.store({ type: "t", id: "2" })
              const batch = [
                { type: "t", id: "3", stream: "s" },
                { type: "other", id: "1" }
              ]
              expect(yield* Effect.flip(Events.storeAll(batch))).toMatchObject({ reason: "duplicate_event" })
              const conflict = yield* Effect.flip(Events.append("s", [{ type: "t" }], { expectedVersion: 1 }))
              expect(conflict).toMatchObject({ actual: 0 })
              yield* Events.store({ type: "t", id: "4" })
            })
          )
          expect(ids(yield* Events.get())).toStrictEqual(["1", "2", "4"])
          expect((yield* Events.append("s", [{ type: "t" }]))[0]).toMatchObject({ version: 1 })
        }).pipe(as(process))
      })
    )

    it.scopedLive("wake subscribers of this process and of others when it is committed", () =>
      Effect.gen(function* () {
        const open = yield* database
        const process = yield* open()
        const other = yield* open({ pollInterval: "50 millis" })
        const arrived = yield* Queue.unbounded<string>()
        for (const [who, where] of [
          ["here", process],
          ["there", other]
        ] as const) {
          yield* Events.subscribe().pipe(
            Stream.runForEach(({ id }) => Queue.offer(arrived, `${who} ${id}`)),
            Effect.provide(where),
            Effect.forkScoped
          )
        }
        yield* Events.store({ type: "t", id: "1" }).pipe(as(process))
        expect([yield* Queue.take(arrived), yield* Queue.take(arrived)].sort()).toStrictEqual(["here 1", "there 1"])
        yield* inTransaction(Effect.zipRight(Events.store({ type: "t", id: "2" }), Effect.sleep("20 millis"))).pipe(
          as(process)
        )
        expect([yield* Queue.take(arrived), yield* Queue.take(arrived)].sort()).toStrictEqual(["here 2", "there 2"])
      })
    )
  })

  describe(`groups of stores on ${name}`, () => {
    it.scopedLive("have those that are refused fail alone", () =>
      Effect.gen(function* () {
        const process = yield* (yield* database)()
        yield* Effect.gen(function* () {
          yield* Events.store({ type: "t", id: "taken" })
          const results = yield* Effect.forEach(
            Array.from({ length: 90 }, (_, index) => index),
            (index) =>
              Effect.either(
                index % 3 === 0
                  ? Events.storeAll([
                      { type: "t", id: `a${index}`, stream: "s" },
                      { type: "other", id: "taken" }
                    ])
                  : index % 3 === 1
                    ? Events.append("s", [{ type: "t", id: `b${index}` }], { expectedVersion: Math.floor(index / 3) })
                    : Events.append("s", [{ type: "t", id: `c${index}` }], { expectedVersion: 1000 })
              ),
            { concurrency: "unbounded" }
          )
          const tags = results.map((result) => (result._tag === "Left" ? result.left._tag : "stored"))
          expect(tags.filter((_, index) => index % 3 === 0).every((tag) => tag === "EventError")).toBe(true)
          expect(tags.filter((_, index) => index % 3 === 1).every((tag) => tag === "stored")).toBe(true)
          expect(tags.filter((_, index) => index % 3 === 2).every((tag) => tag === "VersionConflict")).toBe(true)
          const stream = yield* Events.get({ stream: "s" })
          expect(stream.map(({ version }) => version)).toStrictEqual(
            Array.from({ length: 30 }, (_, index) => index + 1)
          )
          expect(yield* Events.get()).toHaveLength(31)
        }).pipe(as(process))
      })
    )

    it.scopedLive("end as a whole though those who brought them are interrupted", () =>
      Effect.gen(function* () {
        const process = yield* (yield* database)()
        yield* Effect.gen(function* () {
          const fibers = yield* Effect.forEach(
            Array.from({ length: 200 }, (_, index) => index),
            (index) => Effect.fork(Events.store({ type: "t", id: `${index}` }))
          )
          yield* Effect.yieldNow()
          yield* Effect.forEach(
            fibers.filter((_, index) => index % 2 === 0),
            Fiber.interruptFork
          )
          const exits = yield* Effect.forEach(fibers, Fiber.await)
          yield* Events.store({ type: "t", id: "last" })
          const there = new Set(ids(yield* Events.get()))
          for (const [index, exit] of exits.entries()) {
            // Nothing that was confirmed is missing; what was interrupted may be there.
            if (Exit.isSuccess(exit)) expect(there.has(`${index}`)).toBe(true)
            else expect(Exit.isInterrupted(exit)).toBe(true)
            if (index % 2 === 1) expect(Exit.isSuccess(exit)).toBe(true)
          }
          expect(there.has("last")).toBe(true)
        }).pipe(as(process))
      })
    )

    it.scopedLive("are taken out of by an interruption before they begin", () =>
      Effect.gen(function* () {
        const process = yield* (yield* database)()
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const begun = yield* Deferred.make<void>()
          const end = yield* Deferred.make<void>()
          // Who stores has to wait for this transaction: for its connection, or for its stream.
          const holding = yield* Effect.fork(
            sql.withTransaction(
              Effect.gen(function* () {
                yield* Events.store({ type: "t", stream: "s" })
                yield* Deferred.succeed(begun, undefined)
                yield* Deferred.await(end)
              })
            )
          )
          yield* Deferred.await(begun)
          const first = yield* Effect.fork(Events.store({ type: "t", id: "first", stream: "s" }))
          yield* Effect.sleep("50 millis")
          const second = yield* Effect.fork(Events.store({ type: "t", id: "second" }))
          yield* Effect.sleep("50 millis")
          yield* Fiber.interrupt(second)
          yield* Deferred.succeed(end, undefined)
          yield* Fiber.join(holding)
          yield* Fiber.join(first)
          yield* Events.store({ type: "t", id: "third" })
          expect(ids(yield* Events.get()).slice(1)).toStrictEqual(["first", "third"])
        }).pipe(as(process))
      })
    )
  })

  describe(`a log on ${name}`, () => {
    it.scopedLive("is there when it is opened again, with versions and positions that go on", () =>
      Effect.gen(function* () {
        const open = yield* database
        const stored = yield* Effect.scoped(
          Effect.flatMap(open(), (process) =>
            Effect.gen(function* () {
              const stored = yield* Events.append("s", [
                { type: "t", data: { z: 1, a: [{ b: 1, a: 2 }], é: "ü", x: 1e300, y: 5e-324 } },
                { type: "t" }
              ])
              yield* Events.prune({ afterPosition: 1 })
              return stored
            }).pipe(as(process))
          )
        )
        const process = yield* open()
        yield* Effect.gen(function* () {
          const found = yield* Events.get()
          expect(JSON.stringify(found)).toBe(JSON.stringify(stored.slice(0, 1)))
          const [next] = yield* Events.append("s", [{ type: "t" }], { expectedVersion: 2 })
          expect(next).toMatchObject({ position: 3, version: 3 })
        }).pipe(as(process))
      })
    )

    it.scopedLive("is made by many who open it at once, and a prefix has tables of its own", () =>
      Effect.gen(function* () {
        const open = yield* database
        const processes = yield* Effect.all(
          Array.from({ length: 6 }, () => open()),
          { concurrency: "unbounded" }
        )
        yield* Effect.forEach(processes, (process) => Events.store({ type: "t" }).pipe(as(process)), {
          concurrency: "unbounded"
        })
        const other = yield* open({ prefix: "other" })
        expect(yield* Events.get().pipe(as(other))).toStrictEqual([])
        for (const process of processes) expect(yield* Events.get().pipe(as(process))).toHaveLength(6)
      })
    )

    it.scopedLive("is not opened with options that are none", () =>
      Effect.gen(function* () {
        const open = yield* database
        for (const options of [
          { prefix: "no; DROP TABLE" },
          { deadline: "soon" as "1 second" },
          { pollInterval: 0 },
          ...noDurations.flatMap((value) => [{ deadline: value }, { pollInterval: value }]),
          { durability: "forever" as "power" }
        ]) {
          const error = yield* Effect.flip(Effect.scoped(open(options)))
          expect(error).toBeInstanceOf(ConfigError)
          expect(error).toMatchObject({ reason: "invalid_value" })
        }
      })
    )

    it.scopedLive("is subscribed to where nothing can be interrupted, and lets go at the end", () =>
      Effect.gen(function* () {
        const process = yield* (yield* database)({ pollInterval: "20 millis" })
        yield* Events.store({ type: "t" }).pipe(as(process))
        const subscription = yield* Events.subscribe().pipe(
          Stream.take(1),
          Stream.runDrain,
          Effect.uninterruptible,
          as(process),
          Effect.forkDaemon
        )
        const ended = yield* Effect.timeoutOption(Effect.disconnect(Fiber.await(subscription)), "5 seconds")
        expect(ended._tag).toBe("Some")
      })
    )

    it.scopedLive("prunes more than it holds at a time", () =>
      Effect.gen(function* () {
        const process = yield* (yield* database)()
        yield* Effect.gen(function* () {
          yield* Events.storeAll(Array.from({ length: 2500 }, (_, n) => ({ type: n % 2 ? "a" : "b", data: { n } })))
          expect(yield* Events.prune({ type: "a", limit: 1200, order: "desc" })).toBe(1200)
          expect(ids(yield* Events.get({ type: "a" }))).toHaveLength(50)
          expect(yield* Events.prune({ afterPosition: 0 })).toBe(1300)
          expect(yield* Events.get({ data: { n: 1 } })).toStrictEqual([])
        }).pipe(as(process))
      })
    )

    it.scopedLive("refuses a batch that is too large to be sent, and stores one that is not", () =>
      Effect.gen(function* () {
        const process = yield* (yield* database)()
        yield* Effect.gen(function* () {
          const large = { type: "t", data: "x".repeat(1_000_000) }
          const error = yield* Effect.flip(Events.storeAll(Array.from({ length: 70 }, () => large)))
          expect(error).toMatchObject({ reason: "storage_full" })
          expect(error.message).toContain("67108864 bytes")
          expect(yield* Events.storeAll(Array.from({ length: 20 }, () => large))).toHaveLength(20)
          expect(yield* Events.get({ limit: 20 })).toHaveLength(20)
        }).pipe(as(process))
      })
    )
  })
}
