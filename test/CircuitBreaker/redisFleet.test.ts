import { it } from "@effect/vitest"
import { Cause, Chunk, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Ref, Schedule, Stream } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { Config } from "effect-foundation/Config"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { expect } from "vitest"
import { describeRedis, freshPrefix, sharedRedis, sharedRedisLayer } from "../support/redis.js"

const policy = { name: "payments", maxFailures: 4, resetTimeout: "300 millis", timeout: Duration.infinity } as const
const fails = Effect.fail("down" as const)

/** One member of a fleet, with a connection of its own. */
const member = (options: CircuitBreakerRedis.Options) =>
  Effect.map(
    Layer.build(
      CircuitBreakerRedis.layer({ deadline: "2 seconds", ...options }).pipe(
        Layer.provide(Layer.fresh(sharedRedisLayer)),
        Layer.provide(Layer.fresh(Telemetry.layer))
      )
    ),
    (context) => Context.get(context, CircuitBreaker)
  )

const fleetOf = (size: number, options: CircuitBreakerRedis.Options = {}) =>
  Effect.flatMap(freshPrefix, (prefix) => Effect.replicateEffect(member({ prefix, ...options }), size))

const call = <A, E>(
  breaker: CircuitBreaker.Service,
  effect: Effect.Effect<A, E>,
  options: CircuitBreaker.Options = policy
) => Effect.exit(breaker.execute(effect, options))

const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : `succeeded with ${exit.value}`

/** Tries until it is so: what others have changed is heard of in a moment. */
const eventually = <A, E>(effect: Effect.Effect<A, E>, isSo: (value: A) => boolean) =>
  Effect.repeat(effect, { until: isSo, schedule: Schedule.spaced("5 millis") }).pipe(
    Effect.zipRight(effect),
    Effect.timeout("5 seconds")
  )

/** A call in flight. */
const inFlight = (breaker: CircuitBreaker.Service, options: CircuitBreaker.Options = policy) =>
  Effect.gen(function* () {
    const started = yield* Deferred.make<void>()
    const end = yield* Deferred.make<string, "down">()
    const fiber = yield* Deferred.succeed(started, undefined).pipe(
      Effect.zipRight(Deferred.await(end)),
      breaker.execute(options),
      Effect.fork
    )
    yield* Effect.raceFirst(Deferred.await(started), Fiber.await(fiber))
    return {
      fiber,
      isRunning: Effect.sync(() => fiber.unsafePoll() === null),
      succeed: Effect.zipRight(Deferred.succeed(end, "up"), Fiber.await(fiber)),
      fail: Effect.zipRight(Deferred.fail(end, "down"), Fiber.await(fiber))
    }
  })

/** Whether a call is let through; it succeeds then. */
const isLetThrough = (breaker: CircuitBreaker.Service, options: CircuitBreaker.Options = policy) =>
  Effect.map(call(breaker, Effect.void, options), Exit.isSuccess)

const openedBy = (breakers: ReadonlyArray<CircuitBreaker.Service>, options: CircuitBreaker.Options = policy) =>
  Effect.forEach(breakers, (breaker) => call(breaker, fails, options), { discard: true })

const rejection = (state: string) => ({ _tag: "CircuitOpen", circuit: "payments", state })

const pass = <A, E>(effect: Effect.Effect<A, E>) => effect

describeRedis("a circuit of many processes", () => {
  it.scopedLive("opens everywhere on the Nth failure, wherever each is", () =>
    Effect.gen(function* () {
      const fleet = yield* fleetOf(4)
      const [a, b, c, d] = fleet as [
        CircuitBreaker.Service,
        CircuitBreaker.Service,
        CircuitBreaker.Service,
        CircuitBreaker.Service
      ]
      for (const breaker of fleet) yield* call(breaker, Effect.void)
      yield* openedBy([a, b, c])
      for (const breaker of fleet) expect(yield* breaker.state("payments")).toBe("closed")
      yield* call(d, fails)
      // The one that has failed for the Nth time knows it when its call ends.
      expect(errorOf(yield* call(d, Effect.void))).toMatchObject(rejection("open"))
      for (const breaker of [a, b, c]) {
        yield* eventually(call(breaker, Effect.void), (exit) => Exit.isFailure(exit))
        expect(errorOf(yield* call(breaker, Effect.void))).toMatchObject(rejection("open"))
      }
    })
  )

  it.scopedLive("opens on exactly the Nth of many failures at once, and counts each once", () =>
    Effect.gen(function* () {
      const fleet = yield* fleetOf(4)
      const many = { ...policy, maxFailures: 200 }
      for (const breaker of fleet) yield* call(breaker, Effect.void, many)
      yield* Effect.forEach(
        fleet,
        (breaker) => Effect.replicateEffect(call(breaker, fails, many), 49, { concurrency: "unbounded" }),
        { concurrency: "unbounded" }
      )
      const [first] = fleet
      if (first === undefined) return
      yield* Effect.replicateEffect(call(first, fails, many), 3)
      expect(yield* first.state("payments")).toBe("closed")
      yield* call(first, fails, many)
      expect(yield* first.state("payments")).toBe("open")
    })
  )

  it.scopedLive("counts failures since the last success of anybody who knows of one to part", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* fleetOf(2)) as [CircuitBreaker.Service, CircuitBreaker.Service]
      const heard = yield* inFlight(b)
      yield* openedBy([a, a, a])
      // Read, so that it knows of the failures: a moment later it would have heard of them.
      yield* b.state("payments")
      yield* heard.succeed
      yield* call(b, Effect.void)
      expect(yield* b.state("payments")).toBe("closed")
      yield* openedBy([a, a, a])
      expect(yield* a.state("payments")).toBe("closed")
      yield* call(a, fails)
      expect(yield* a.state("payments")).toBe("open")
    })
  )

  it.scopedLive("opens at a rate of the calls of all", () =>
    Effect.gen(function* () {
      const fleet = yield* fleetOf(3)
      const rate = {
        name: "payments",
        timeout: Duration.infinity,
        trip: { type: "rate", window: { count: 12 }, failureRate: 0.5, minimumCalls: 12 }
      } as const
      const ends = [Effect.void, fails, Effect.void, fails, Effect.void, fails, Effect.void, fails, Effect.void, fails]
      for (const [index, end] of ends.entries()) {
        const breaker = fleet[index % 3]
        if (breaker !== undefined) yield* call(breaker, pass<void, string>(end), rate)
      }
      const [a, b] = fleet as [CircuitBreaker.Service, CircuitBreaker.Service]
      yield* call(a, Effect.void, rate)
      expect(yield* b.state("payments")).toBe("closed")
      yield* call(b, fails, rate)
      expect(yield* a.state("payments")).toBe("open")
      yield* eventually(call(a, Effect.void, rate), Exit.isFailure)
      expect(errorOf(yield* call(b, Effect.void, rate))).toMatchObject({
        context: { reason: "failure_rate", calls: 12 }
      })
    })
  )

  for (const probes of [1, 3]) {
    it.scopedLive(`lets ${probes} at a time through after the opening, of all processes`, () =>
      Effect.gen(function* () {
        const fleet = yield* fleetOf(4)
        const options = { ...policy, probes }
        yield* openedBy(fleet, options)
        for (const breaker of fleet) yield* eventually(isLetThrough(breaker, options), (is) => !is)
        const running = yield* Ref.make(0)
        const most = yield* Ref.make(0)
        const work = Effect.acquireUseRelease(
          Effect.tap(
            Ref.updateAndGet(running, (n) => n + 1),
            (n) => Ref.update(most, (m) => Math.max(m, n))
          ),
          () => Effect.zipRight(Effect.sleep("60 millis"), fails),
          () => Ref.update(running, (n) => n - 1)
        )
        // Each tries all the time, and every probe fails, so that there are some more.
        const hammer = (breaker: CircuitBreaker.Service) =>
          Effect.forever(Effect.zipRight(call(breaker, work, options), Effect.sleep("1 millis")))
        yield* Effect.forEach(
          fleet.flatMap((breaker) => [breaker, breaker, breaker]),
          hammer,
          {
            concurrency: "unbounded"
          }
        ).pipe(Effect.timeoutOption("1.6 seconds"))
        expect(yield* Ref.get(most)).toBe(probes)
      })
    )
  }

  it.scopedLive("keeps the place of a probe that runs longer than the lease", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* fleetOf(2, { lease: "500 millis" })) as [CircuitBreaker.Service, CircuitBreaker.Service]
      const options = { ...policy, timeout: "10 seconds" } as const
      yield* openedBy([a, b, a, b], options)
      yield* Effect.sleep("300 millis")
      const probe = yield* inFlight(a, options)
      for (let i = 0; i < 20; i++) {
        expect(errorOf(yield* call(b, Effect.void, options))).toMatchObject(rejection("half_open"))
        yield* Effect.sleep("60 millis")
      }
      yield* probe.succeed
      yield* eventually(isLetThrough(b, options), (is) => is)
    })
  )

  it.scopedLive("drops what began before a change of state in another process", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* fleetOf(2)) as [CircuitBreaker.Service, CircuitBreaker.Service]
      const late = yield* Effect.replicateEffect(inFlight(a), 8)
      yield* b.forceOpen("payments")
      yield* b.reset("payments")
      for (const each of late.slice(0, 4)) yield* each.fail
      expect(yield* b.state("payments")).toBe("closed")
      yield* openedBy([b, b, b])
      yield* late[4]?.succeed ?? Effect.void
      yield* call(b, fails)
      expect(yield* b.state("payments")).toBe("open")
      yield* Effect.sleep("310 millis")
      const probe = yield* inFlight(b)
      for (const each of late.slice(5)) yield* each.fail
      expect(yield* a.state("payments")).toBe("half_open")
      yield* probe.succeed
      expect(yield* a.state("payments")).toBe("closed")
    })
  )

  it.scopedLive("is forced open, disabled and reset for all", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* fleetOf(2)) as [CircuitBreaker.Service, CircuitBreaker.Service]
      yield* call(b, Effect.void)
      yield* a.forceOpen("payments")
      yield* eventually(isLetThrough(b), (is) => !is)
      expect(errorOf(yield* call(b, Effect.void))).toMatchObject(rejection("forced_open"))
      yield* b.disable("payments")
      yield* eventually(isLetThrough(a), (is) => is)
      yield* openedBy([a, b, a, b, a, b])
      expect(yield* a.state("payments")).toBe("disabled")
      yield* a.reset("payments")
      yield* eventually(b.state("payments"), (state) => state === "closed")
    })
  )

  it.scopedLive("tells every process of each change once, in order, also one that does not use the circuit", () =>
    Effect.gen(function* () {
      const fleet = yield* fleetOf(3)
      const [a, b] = fleet as [CircuitBreaker.Service, CircuitBreaker.Service]
      const listening = yield* Effect.forEach(fleet, (breaker) =>
        breaker.changes.pipe(
          Stream.takeUntil(({ name }) => name === "marker"),
          Stream.filter(({ name }) => name !== "marker"),
          Stream.runCollect,
          Effect.fork
        )
      )
      yield* Effect.yieldNow().pipe(Effect.repeatN(10))
      yield* openedBy([a, b, a, b])
      yield* Effect.sleep("310 millis")
      yield* eventually(isLetThrough(a), (is) => is)
      yield* b.forceOpen("payments")
      yield* a.reset("payments")
      yield* a.forceOpen("marker")
      const heard = yield* Effect.forEach(listening, Fiber.join)
      for (const changes of heard) {
        expect(Chunk.toReadonlyArray(changes).map(({ from, reason, to }) => `${from} → ${to}: ${reason}`)).toEqual([
          "closed → open: failures",
          "open → half_open: reset_timeout",
          "half_open → closed: probes_succeeded",
          "closed → forced_open: forced_open",
          "forced_open → closed: reset"
        ])
      }
    })
  )

  it.scopedLive("takes the lengths of openings from a schedule, whoever opens it", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* fleetOf(2)) as [CircuitBreaker.Service, CircuitBreaker.Service]
      const options = { ...policy, maxFailures: 1, resetTimeout: Schedule.exponential("100 millis") } as const
      const lengths: Array<number> = []
      for (const breaker of [a, b, a]) {
        yield* eventually(
          Effect.either(breaker.execute(fails, options)),
          (either) => either._tag === "Left" && either.left === "down"
        )
        lengths.push(Duration.toMillis((yield* breaker.status("payments")).retryAfter))
        yield* Effect.sleep(lengths.at(-1) ?? 0)
      }
      expect(lengths.map((length) => Math.round(length / 100) * 100)).toEqual([100, 200, 400])
    })
  )

  it.scopedLive("puts no round trip before a call of a closed circuit, nor before a rejection of an open one", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const server = yield* sharedRedis
      const breaker = yield* member({ prefix, staleness: "1 minute" })
      const commands = Effect.map(server.command("INFO", "commandstats"), (text) =>
        Number(/cmdstat_evalsha:calls=(\d+)/.exec(text)?.[1] ?? 0)
      )
      yield* call(breaker, Effect.void)
      const before = yield* commands
      yield* Effect.replicateEffect(call(breaker, Effect.void), 500)
      expect((yield* commands) - before).toBeLessThan(3)
      yield* openedBy([breaker, breaker, breaker, breaker])
      const whenOpen = yield* commands
      yield* Effect.replicateEffect(call(breaker, Effect.void), 500)
      expect((yield* commands) - whenOpen).toBeLessThan(3)
    })
  )

  it.scopedLive("asks once for all calls that come while it is not known", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const server = yield* sharedRedis
      const breaker = yield* member({ prefix })
      const commands = Effect.map(server.command("INFO", "commandstats"), (text) =>
        Number(/cmdstat_evalsha:calls=(\d+)/.exec(text)?.[1] ?? 0)
      )
      const before = yield* commands
      yield* Effect.replicateEffect(call(breaker, Effect.void), 500, { concurrency: "unbounded" })
      expect((yield* commands) - before).toBeLessThan(5)
    })
  )

  it.scopedLive("takes names of any characters for what they are", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* fleetOf(2)) as [CircuitBreaker.Service, CircuitBreaker.Service]
      const names = [
        "}",
        "{}",
        "a}b",
        "{a}",
        "a b",
        "a\nb",
        "\0\u0001\xff",
        "\ud800",
        "\udc00",
        "%007b",
        "日本",
        "x".repeat(256)
      ]
      for (const name of names) {
        yield* a.forceOpen(name)
        for (const other of names) {
          const isForced = names.indexOf(other) <= names.indexOf(name)
          expect(yield* b.state(other), JSON.stringify([name, other])).toBe(isForced ? "forced_open" : "closed")
        }
      }
      const exit = yield* Effect.exit(a.execute(Effect.void, { name: "x".repeat(10_000) }))
      expect(errorOf(exit)).toMatchObject({ _tag: "ConfigError" })
    })
  )

  it.scopedLive("has an expiry on every key, and one slot for those of a circuit", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const server = yield* sharedRedis
      const breaker = yield* member({ prefix })
      const rate = { type: "rate", failureRate: 0.5, minimumCalls: 2 } as const
      yield* call(breaker, Effect.void, { name: "count", trip: { ...rate, window: { count: 10 } } })
      yield* call(breaker, Effect.void, { name: "time", trip: { ...rate, window: { duration: "1 minute" } } })
      yield* openedBy([breaker, breaker, breaker, breaker])
      yield* Effect.sleep("310 millis")
      const probe = yield* inFlight(breaker)
      yield* breaker.forceOpen("forced")
      const keys = (yield* server.command("KEYS", `${prefix}*`)).match(new RegExp(`${prefix}.*`, "g")) ?? []
      expect(keys.length).toBeGreaterThanOrEqual(8)
      for (const key of keys) {
        const millis = Number((yield* server.command("PTTL", key)).slice(1))
        expect(millis, key).toBeGreaterThan(3_600_000)
        expect(millis, key).toBeLessThanOrEqual(30 * 24 * 3_600_000)
        expect(key).toMatch(/^[^{}]+\{[\w.%-]+\}[^{}]*$/)
      }
      yield* probe.succeed
    })
  )

  it.scopedLive("says what is wrong where a key holds another type, and goes on by the option", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const server = yield* sharedRedis
      yield* server.command("SET", `${prefix}:circuit:{payments}`, "a secret of somebody else")
      const failing = yield* member({ prefix, onUnavailable: "fail" })
      const error = errorOf(yield* call(failing, Effect.void))
      expect(error).toMatchObject({ _tag: "StoreUnavailable", component: "circuit_breaker" })
      expect(String((error as Error).message)).toContain(`${prefix}:circuit:{payments}`)
      expect(JSON.stringify(error)).not.toContain("somebody")
      // Others are as they were.
      expect(yield* isLetThrough(failing, { ...policy, name: "other" })).toBe(true)
      const local = yield* member({ prefix })
      yield* openedBy([local, local, local, local])
      expect(errorOf(yield* call(local, Effect.void))).toMatchObject(rejection("open"))
      yield* server.command("DEL", `${prefix}:circuit:{payments}`)
      yield* eventually(isLetThrough(failing), (is) => is)
    })
  )

  it.scopedLive("takes policies from the configuration, live", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const layer = CircuitBreakerRedis.layerConfig({ prefix }).pipe(
        Layer.provideMerge(Config.layerFrom(Config.object({ circuitBreaker: { payments: { maxFailures: 2 } } }))),
        Layer.provide(sharedRedisLayer),
        Layer.provide(Telemetry.layer)
      )
      yield* Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* openedBy([breaker])
        expect(yield* breaker.state("payments")).toBe("closed")
        yield* openedBy([breaker])
        expect(yield* breaker.state("payments")).toBe("open")
        yield* breaker.reset("payments")
        yield* Config.set("circuitBreaker.payments", { maxFailures: 1 })
        yield* openedBy([breaker])
        expect(yield* breaker.state("payments")).toBe("open")
      }).pipe(Effect.provide(layer))
    })
  )

  it.effect("refuses options that are none", () =>
    Effect.gen(function* () {
      const bad: ReadonlyArray<CircuitBreakerRedis.Options> = [
        { prefix: "" },
        { prefix: "a{b" },
        { deadline: 0 },
        { lease: "1 millis" },
        { staleness: Duration.infinity },
        { maxCircuits: 0 },
        JSON.parse('{"mode":"global"}'),
        JSON.parse('{"onUnavailable":"panic"}')
      ]
      for (const options of bad) {
        const error = yield* Effect.flip(Effect.scoped(CircuitBreakerRedis.make(options)))
        expect(error).toMatchObject({ _tag: "ConfigError", reason: "invalid_value" })
      }
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          Layer.provideMerge(Redis.layer({ url: "redis://127.0.0.1:1" }), Telemetry.layer),
          Layer.empty
        )
      )
    )
  )
})

describeRedis("circuits that each process has of its own", () => {
  const local = { mode: "local" } as const
  it.scopedLive("are not opened by one that is sick", () =>
    Effect.gen(function* () {
      const [sick, ...healthy] = yield* fleetOf(3, local)
      if (sick === undefined) return
      for (const breaker of healthy) yield* call(breaker, Effect.void)
      yield* openedBy([sick, sick, sick, sick])
      expect(errorOf(yield* call(sick, Effect.void))).toMatchObject(rejection("open"))
      yield* Effect.sleep("50 millis")
      for (const breaker of healthy) {
        // Now and then one fails there too: that does not suffice.
        yield* call(breaker, fails)
        expect(yield* isLetThrough(breaker)).toBe(true)
      }
    })
  )

  it.scopedLive("open the earlier, the more others have opened", () =>
    Effect.gen(function* () {
      const fleet = yield* fleetOf(4, local)
      const slow = { ...policy, resetTimeout: "1 minute", maxFailures: 12 } as const
      for (const breaker of fleet) yield* call(breaker, Effect.void, slow)
      const needed: Array<number> = []
      for (const breaker of fleet) {
        let failures = 0
        while ((yield* breaker.state("payments")) === "closed") {
          yield* call(breaker, fails, slow)
          failures++
        }
        needed.push(failures)
        yield* Effect.sleep("50 millis")
      }
      expect(needed).toEqual([12, 6, 4, 3])
    })
  )

  it.scopedLive("are forced open and reset for all", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* fleetOf(2, local)) as [CircuitBreaker.Service, CircuitBreaker.Service]
      yield* call(b, Effect.void)
      yield* a.forceOpen("payments")
      yield* eventually(isLetThrough(b), (is) => !is)
      yield* b.reset("payments")
      yield* eventually(isLetThrough(a), (is) => is)
      yield* a.forceOpen("orders")
      // Before its first call a process asks.
      expect(errorOf(yield* call(b, Effect.void, { ...policy, name: "orders" }))).toMatchObject({
        state: "forced_open"
      })
    })
  )
})
