import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Redacted, Schedule, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import { ConfigError, EventError } from "effect-foundation/FoundationError"
import pg from "pg"
import { startPostgres } from "../../examples/servers/Postgres.js"
import { freshDatabase } from "../support/postgres.js"
import { makeProxy } from "../support/proxy.js"
import { as, onServer } from "./sqlFixtures.js"

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const started = Date.now()
    const result = yield* effect
    return { result, took: Date.now() - started }
  })

/** A statement of an administrator. */
const administer = (url: Redacted.Redacted<string>, statement: string) =>
  Effect.acquireUseRelease(
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: Redacted.value(url) })
      await client.connect()
      return client
    }),
    (client) => Effect.promise(async () => (await client.query(statement)).rows),
    (client) => Effect.promise(() => client.end())
  )

const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.retry(effect, Schedule.spaced("50 millis").pipe(Schedule.upTo("20 seconds")))

/** The ids that a subscriber sees, as they come. A subscription ends with the error; this one goes on from where it was. */
const subscribed = Effect.gen(function* () {
  const seen = yield* Queue.unbounded<string>()
  let position = 0
  yield* Effect.suspend(() =>
    Stream.runForEach(Events.subscribe({ afterPosition: position }), (event) => {
      position = event.position
      return Queue.offer(seen, event.id)
    })
  ).pipe(Effect.retry(Schedule.spaced("100 millis")), Effect.forkScoped)
  return seen
})

const passwordOf = (url: Redacted.Redacted<string>) => new URL(Redacted.value(url)).password

describe("Events on a PostgreSQL that goes away", () => {
  it.scopedLive("say so within the deadline while it is frozen, and go on when it answers", () =>
    Effect.gen(function* () {
      const server = yield* startPostgres()
      const process = yield* onServer(server.url, { deadline: "1 second" })
      yield* Effect.gen(function* () {
        yield* Events.store({ type: "t", id: "1" })
        const seen = yield* subscribed
        expect(yield* Queue.take(seen)).toBe("1")
        yield* server.freeze
        const { result, took } = yield* timed(
          Effect.all(
            [
              Effect.flip(Events.store({ type: "t", id: "2" })),
              Effect.flip(Events.get()),
              Effect.delay(Effect.flip(Events.store({ type: "t", id: "3" })), "300 millis")
            ],
            { concurrency: "unbounded" }
          )
        )
        expect(took).toBeLessThan(3000)
        for (const error of result) {
          expect(error).toBeInstanceOf(EventError)
          expect(error).toMatchObject({ reason: "storage_unavailable", context: { kind: "timeout" } })
          expect(error.message).not.toContain(passwordOf(server.url))
        }
        expect(result[0].message).toContain("store them again with the same ids")
        yield* server.thaw
        // The same ids: whatever had been stored is not stored twice.
        yield* eventually(
          Events.storeAll([
            { type: "t", id: "2" },
            { type: "t", id: "3" }
          ])
        )
        const ids = yield* Effect.map(eventually(Events.get()), (events) => events.map(({ id }) => id))
        expect([...ids].sort()).toStrictEqual(["1", "2", "3"])
        yield* Effect.repeat(Queue.take(seen), { until: (id) => id === ids.at(-1) })
      }).pipe(Effect.ensuring(server.thaw), as(process))
    }).pipe(Effect.scoped)
  )

  it.scopedLive("say so while it is killed, keep what was confirmed, and go on when it runs again", () =>
    Effect.gen(function* () {
      const server = yield* startPostgres()
      const process = yield* onServer(server.url, { deadline: "2 seconds" })
      yield* Effect.gen(function* () {
        const seen = yield* subscribed
        yield* Events.storeAll([
          { type: "t", id: "1" },
          { type: "t", id: "2", stream: "s" }
        ])
        expect([yield* Queue.take(seen), yield* Queue.take(seen)]).toStrictEqual(["1", "2"])
        yield* server.kill
        const { result, took } = yield* timed(Effect.flip(Events.store({ type: "t", id: "3" })))
        expect(took).toBeLessThan(4000)
        expect(result).toMatchObject({ reason: "storage_unavailable", context: { kind: "unreachable" } })
        expect(result.message).not.toContain(passwordOf(server.url))
        expect(yield* Effect.flip(Events.get())).toMatchObject({ reason: "storage_unavailable" })
        yield* server.start
        yield* eventually(Events.store({ type: "t", id: "3" }))
        expect((yield* Events.get()).map(({ id }) => id)).toStrictEqual(["1", "2", "3"])
        const [next] = yield* Events.append("s", [{ type: "t", id: "4" }], { expectedVersion: 1 })
        expect(next).toMatchObject({ version: 2 })
      }).pipe(as(process))
    }).pipe(Effect.scoped)
  )

  it.scopedLive("refuse a wrong password, a missing right and tables of another shape, and tell no password", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const wrong = new URL(Redacted.value(url))
      wrong.password = "wrong-secret"
      const denied = yield* Effect.flip(Effect.scoped(onServer(Redacted.make(wrong.href))))
      expect(denied).toBeInstanceOf(ConfigError)
      expect(JSON.stringify(denied) + denied.message).not.toContain("wrong-secret")

      yield* Effect.scoped(onServer(url))
      const role = `role_${crypto.randomUUID().replaceAll("-", "")}`
      yield* administer(url, `create role ${role} login password 'guess-me'`)
      const limited = new URL(Redacted.value(url))
      limited.username = role
      limited.password = "guess-me"
      const unread = yield* Effect.flip(Effect.scoped(onServer(Redacted.make(limited.href))))
      expect(unread).toMatchObject({ reason: "storage_unavailable", context: { kind: "denied" } })
      expect(unread.message).toContain("grant")

      yield* administer(
        url,
        `grant select on foundation_events_migrations, foundation_events, foundation_events_position to ${role}`
      )
      const reading = yield* onServer(Redacted.make(limited.href))
      expect(yield* Events.get().pipe(as(reading))).toStrictEqual([])
      const unwritten = yield* Effect.flip(Events.store({ type: "t" })).pipe(as(reading))
      expect(unwritten).toMatchObject({ reason: "storage_unavailable", context: { kind: "denied" } })
      expect(unwritten.message).toContain("Nothing was stored")

      const other = yield* freshDatabase
      yield* administer(other, "create table foundation_events (id int)")
      const shape = yield* Effect.flip(Effect.scoped(onServer(other)))
      expect(shape).toMatchObject({ reason: "storage_unavailable", context: { kind: "schema" } })
      yield* administer(url, "insert into foundation_events_migrations (migration_id, name) values (999, 'later')")
      const newer = yield* Effect.flip(Effect.scoped(onServer(url)))
      expect(newer.message).toContain("newer version")
      yield* administer(url, `drop owned by ${role}`)
      yield* administer(url, `drop role ${role}`)
    })
  )
})

describe("a subscription on PostgreSQL", () => {
  const storing = (process: Parameters<typeof as<Events>>[0], from: number, to: number) =>
    Effect.forEach(
      Array.from({ length: to - from }, (_, index) => `${from + index}`),
      (id) => Events.store({ type: "t", id }),
      { discard: true }
    ).pipe(as(process))
  const taking = (seen: Queue.Dequeue<string>, from: number, to: number) =>
    Effect.gen(function* () {
      for (let id = from; id < to; id++) expect(yield* Queue.take(seen)).toBe(`${id}`)
    })

  it.scopedLive("loses nothing when its listening connection is terminated, and does not wait for a poll after", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const other = yield* onServer(url)
      const process = yield* onServer(url, { pollInterval: "100 millis" })
      const seen = yield* Effect.provide(subscribed, process)
      yield* storing(other, 0, 10)
      yield* taking(seen, 0, 10)
      const more = yield* Effect.fork(storing(other, 10, 100))
      for (let round = 0; round < 3; round++) {
        const gone = yield* eventually(
          Effect.filterOrFail(
            administer(
              url,
              "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%listening%' and datname = current_database()"
            ),
            (rows) => rows.length > 0
          )
        )
        expect(gone.length).toBeGreaterThan(0)
      }
      yield* Fiber.join(more)
      yield* taking(seen, 10, 100)
      yield* storing(other, 100, 120)
      yield* taking(seen, 100, 120)
    })
  )

  it.scopedLive("goes on without loss after the network swallowed everything for a while", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const proxy = yield* makeProxy(Number(new URL(Redacted.value(url)).port))
      const other = yield* onServer(url)
      const process = yield* onServer(proxy.through(url), { deadline: "1 second", pollInterval: "200 millis" })
      const seen = yield* Effect.provide(subscribed, process)
      yield* storing(other, 0, 5)
      yield* taking(seen, 0, 5)
      yield* proxy.blackhole
      yield* storing(other, 5, 20)
      yield* Effect.sleep("1500 millis")
      expect(yield* Queue.size(seen)).toBe(0)
      yield* proxy.heal
      yield* proxy.cut
      yield* taking(seen, 5, 20)
      yield* storing(other, 20, 30)
      yield* taking(seen, 20, 30)
    })
  )
})
