import { SqliteClient } from "@effect/sql-sqlite-node"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Option, Redacted, Schedule, TestClock } from "effect"
import {
  CircuitBreaker,
  Config,
  ConfigError,
  EventError,
  Events,
  Foundation,
  RateLimiter,
  ServiceRegistry,
  Telemetry
} from "effect-foundation"
import * as Health from "effect-foundation/Foundation/Health"
import * as ServiceRegistrySql from "effect-foundation/ServiceRegistry/Sql"
import { FoundationTest } from "effect-foundation/Testing"
import { noDurations } from "../support/noDurations.js"

const names = ["telemetry", "config", "events", "serviceRegistry", "circuitBreaker", "rateLimiter"]

/** The service with some of its methods replaced, as one that others make. */
const changed = <I, S extends object>(tag: Context.Tag<I, S>, changes: Partial<S>): Layer.Layer<I, never, I> =>
  Layer.effect(
    tag,
    Effect.map(tag, (service) => ({ ...service, ...changes }))
  )

/** Runs what waits on the clock until it ends. */
const later = <A, E, R>(duration: "1 second" | "50 millis", effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust(duration)
    return yield* Fiber.join(fiber)
  })

class LoginFailed extends Error {
  override readonly name = "LoginFailed"
}

const unavailable = new EventError({ reason: "storage_unavailable", message: "The events cannot be read: try later" })

describe("Foundation.health", () => {
  it.effect("is up where all is well, and says since when", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000_000)
      const first = yield* Foundation.health
      expect(first).toMatchObject({ status: "up", ready: true, draining: false })
      expect(Object.keys(first.components)).toEqual(names)
      yield* TestClock.adjust("1 hour")
      expect(yield* Foundation.health).toEqual(first)
      for (const one of Object.values(first.components)) expect(one).toEqual({ status: "up", since: 1_000_000 })
    }).pipe(Effect.provide(FoundationTest))
  )

  it.effect("is degraded and ready while a circuit rejects calls, and remembers since when", () =>
    Effect.gen(function* () {
      const circuits = Effect.map(Foundation.health, ({ components }) => components.circuitBreaker)
      const fails = Effect.ignore(
        CircuitBreaker.execute(Effect.fail("no"), { name: "payments", maxFailures: 1, resetTimeout: "10 seconds" })
      )
      yield* fails
      yield* TestClock.adjust("1 second")
      const health = yield* Foundation.health
      expect(health).toMatchObject({ status: "degraded", ready: true })
      expect(health.components.circuitBreaker).toEqual({
        status: "degraded",
        since: 1000,
        reason: 'Calls are rejected by open circuits: "payments"'
      })
      yield* CircuitBreaker.forceOpen("mails")
      yield* TestClock.adjust("1 second")
      expect(yield* circuits).toMatchObject({ since: 1000, reason: expect.stringContaining('"payments", "mails"') })
      yield* CircuitBreaker.reset("mails")
      // The opening is over, and nobody calls: that is no news for ever.
      yield* TestClock.adjust("10 seconds")
      expect(yield* CircuitBreaker.state("payments")).toBe("half_open")
      expect(yield* circuits).toEqual({ status: "up", since: 12_000 })
      // A probe is out, and others are rejected.
      const probe = yield* Effect.fork(CircuitBreaker.execute(Effect.never, { name: "payments" }))
      yield* Effect.yieldNow()
      expect(yield* circuits).toMatchObject({ status: "degraded", since: 12_000 })
      yield* Fiber.interrupt(probe)
      expect((yield* circuits).status).toBe("up")
      yield* CircuitBreaker.disable("payments")
      expect((yield* circuits).status).toBe("up")
    }).pipe(Effect.provide(FoundationTest))
  )

  it.effect("is degraded while a source of the configuration cannot be used, and quotes no value of it", () => {
    const record: Record<string, unknown> = { port: 1, apiKey: "hunter2" }
    const live = Foundation.layer({
      config: Config.layerFrom(Config.object(record, "settings"), Config.object({}, "more"))
    })
    return Effect.gen(function* () {
      const config = Effect.map(Foundation.health, ({ components }) => components.config)
      yield* Config.get("port", 8080)
      yield* Config.get("apiKey", Redacted.make(""))
      expect((yield* config).status).toBe("up")
      record.port = "hunter2"
      yield* TestClock.adjust("1 minute")
      expect(yield* Effect.flip(Config.reload)).toBeInstanceOf(ConfigError)
      const degraded = yield* config
      expect(degraded).toMatchObject({ status: "degraded", since: 60_000 })
      expect(degraded.reason).toContain('"settings"')
      expect(degraded.reason).not.toContain("hunter2")
      record.port = 2
      yield* Config.reload
      expect((yield* config).status).toBe("up")
    }).pipe(Effect.provide(live))
  })

  it.effect("is degraded while a consumer has dead letters, or is far behind", () =>
    Effect.gen(function* () {
      const events = Effect.map(Health.check({ maxLag: 2 }), ({ components }) => components.events)
      yield* Events.store({ type: "a" })
      const consumer = yield* Effect.fork(
        Events.consume({ name: "mails", handler: () => Effect.fail("no"), retry: Schedule.recurs(0) })
      )
      yield* TestClock.adjust("1 second")
      expect(yield* events).toMatchObject({ status: "degraded", reason: expect.stringContaining('"mails"') })
      yield* Fiber.interrupt(consumer)
      yield* Events.removeDeadLetters({ consumer: "mails", position: "all" })
      expect((yield* events).status).toBe("up")
      yield* Events.storeAll([{ type: "a" }, { type: "a" }, { type: "a" }])
      expect((yield* events).reason).toBe('More than 2 events behind: "mails"')
    }).pipe(Effect.provide(FoundationTest))
  )

  it.effect("is down, and not ready, where the store of the events fails, and says what the error says", () =>
    Effect.gen(function* () {
      const health = yield* Foundation.health
      expect(health).toMatchObject({ status: "down", ready: false })
      expect(health.components.events).toMatchObject({ status: "down", reason: unavailable.message })
      expect(health.components.config.status).toBe("up")
      expect(yield* Health.check({ required: ["config"] })).toMatchObject({ status: "down", ready: true })
    }).pipe(Effect.provide(Layer.provideMerge(changed(Events, { head: Effect.fail(unavailable) }), FoundationTest)))
  )

  it.effect.each([0, Number.POSITIVE_INFINITY, ...noDurations])("dies of a deadline that is none (%#)", (deadline) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Health.check({ deadline }).pipe(Effect.provide(FoundationTest)))
      const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined
      expect(error).toBeInstanceOf(ConfigError)
      expect(error).toMatchObject({ reason: "invalid_value", path: "health.deadline" })
    })
  )

  it.effect("answers within its deadline, whatever hangs, and asks what hangs once", () => {
    let asked = 0
    const hangs = Effect.uninterruptible(
      Effect.zipRight(
        Effect.sync(() => asked++),
        Effect.never
      )
    )
    return Effect.gen(function* () {
      const health = yield* later("1 second", Foundation.health)
      expect(health.components.events).toMatchObject({
        status: "down",
        reason: "It did not answer within 1s",
        since: 1000
      })
      expect(health.components.rateLimiter.status).toBe("up")
      const both = Effect.all([Health.check({ deadline: "50 millis" }), Health.check({ deadline: "50 millis" })], {
        concurrency: 2
      })
      const [again] = yield* later("50 millis", both)
      expect(again.components.events).toMatchObject({ status: "down", since: 1000 })
      expect(asked).toBe(1)
    }).pipe(Effect.provide(Layer.provideMerge(changed(Events, { head: hangs }), FoundationTest)))
  })

  it.effect("recovers when what hung answers again", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<number>()
      yield* Effect.gen(function* () {
        expect((yield* later("1 second", Foundation.health)).ready).toBe(false)
        yield* Deferred.succeed(gate, 0)
        expect(yield* Foundation.health).toMatchObject({ status: "up", ready: true })
      }).pipe(Effect.provide(Layer.provideMerge(changed(Events, { head: Deferred.await(gate) }), FoundationTest)))
    })
  )

  it.effect("is not ended by a component that dies, and takes one that does not tell for up", () =>
    Effect.gen(function* () {
      const { components, status } = yield* Foundation.health
      expect(status).toBe("down")
      expect(components.rateLimiter).toMatchObject({ status: "down", reason: "It died with TypeError" })
      expect(components.circuitBreaker.status).toBe("up")
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          Layer.mergeAll(
            changed(RateLimiter, { health: Effect.die(new TypeError("password=hunter2")) }),
            Layer.effect(
              CircuitBreaker,
              Effect.map(CircuitBreaker, ({ health: _, ...others }) => others)
            )
          ),
          FoundationTest
        )
      )
    )
  )

  it.effect("asks a program's own probes too, of which it tells no secret", () =>
    Effect.gen(function* () {
      class Database extends Context.Tag("test/Database")<Database, { readonly ok: boolean }>() {}
      const checks = {
        database: Effect.map(Database, ({ ok }) => (ok ? Health.degraded("Its replica is behind") : Health.up)),
        mails: Effect.fail(new LoginFailed("cannot log in as postgres://admin:hunter2@db")),
        disk: Effect.succeed(Health.down("token=hunter2")),
        cache: Effect.void
      }
      const check = Health.check({ checks, required: ["events", "database"] })
      const { components, ready, status } = yield* Effect.provideService(check, Database, { ok: true })
      expect([status, ready]).toEqual(["down", true])
      expect(components.database).toMatchObject({ status: "degraded", reason: "Its replica is behind" })
      expect(components.mails).toMatchObject({ status: "down", reason: "It failed with LoginFailed" })
      expect(components.disk.reason).not.toContain("hunter2")
      expect(components.cache.status).toBe("up")
    }).pipe(Effect.provide(FoundationTest))
  )

  it.scopedLive("is down where the database of the registry does not answer", () =>
    Effect.gen(function* () {
      const client = SqliteClient.layer({ filename: ":memory:" })
      const context = yield* Layer.build(
        Layer.provideMerge(ServiceRegistrySql.layer(), Layer.merge(client, Telemetry.layer))
      )
      const registry = Context.get(context, ServiceRegistry)
      expect(yield* registry.health ?? Effect.void).toEqual({ status: "up" })
      yield* Context.get(context, SqliteClient.SqliteClient)`drop table foundation_registry_nodes`
      expect(yield* registry.health ?? Effect.void).toMatchObject({ status: "down" })
    })
  )
})
