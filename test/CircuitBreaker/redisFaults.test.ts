import { it } from "@effect/vitest"
import { Cause, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Ref, Schedule } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { TelemetryRecording } from "effect-foundation/Testing"
import { expect } from "vitest"
import { type RedisServer, startRedis } from "../../examples/servers/Redis.js"
import { describeRedis, redisOn } from "../support/redis.js"

const policy = { name: "payments", maxFailures: 3, resetTimeout: "200 millis", timeout: "20 seconds" } as const

/** A process on the server, and what its telemetry has told. */
const member = (server: RedisServer, options: CircuitBreakerRedis.Options = {}) =>
  Effect.map(
    Layer.build(
      Layer.merge(CircuitBreakerRedis.layer(options), TelemetryRecording.layer).pipe(
        Layer.provide(Layer.fresh(redisOn(server))),
        Layer.provide(Layer.fresh(Telemetry.layer))
      )
    ),
    (context) => ({
      breaker: Context.get(context, CircuitBreaker),
      recording: Context.get(context, TelemetryRecording)
    })
  )

const eventually = <A, E>(effect: Effect.Effect<A, E>, isSo: (value: A) => boolean) =>
  Effect.repeat(effect, { until: isSo, schedule: Schedule.spaced("10 millis") }).pipe(
    Effect.zipRight(effect),
    Effect.timeout("10 seconds")
  )

const tagOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error: unknown = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)
}

const call = <A, E>(breaker: CircuitBreaker.Service, effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(breaker.execute(effect, policy)), tagOf)

/** Calls all the time from many fibers until told to stop; answers what has come of them, and the longest that one took. */
const load = (breaker: CircuitBreaker.Service, work: Effect.Effect<void, string>) =>
  Effect.gen(function* () {
    const isOver = yield* Ref.make(false)
    const tags = new Map<string, number>()
    let longest = 0
    const one = Effect.gen(function* () {
      const [took, tag] = yield* Effect.timed(call(breaker, work))
      longest = Math.max(longest, Duration.toMillis(took))
      tags.set(tag, (tags.get(tag) ?? 0) + 1)
      yield* Effect.sleep("1 millis")
    })
    const fibers = yield* Effect.forEach(Array.from({ length: 20 }), () =>
      Effect.fork(Effect.repeat(one, { until: () => Ref.get(isOver) }))
    )
    return {
      tags,
      since: Effect.sync(() => {
        const seen = new Map(tags)
        return () =>
          [...tags]
            .filter(([tag, count]) => count > (seen.get(tag) ?? 0))
            .map(([tag]) => tag)
            .sort()
      }),
      // Every fiber ends by itself: none waits for ever.
      stop: Effect.zipRight(Ref.set(isOver, true), Fiber.joinAll(fibers)).pipe(
        Effect.timeout("5 seconds"),
        Effect.map(() => longest)
      )
    }
  })

const stores = (recording: Context.Tag.Service<TelemetryRecording>) =>
  Effect.map(recording.named("circuit_breaker.store"), (events) => events.map(({ metadata }) => metadata.available))

/** What may happen to a server, and how it comes back. */
const faults = [
  ["is killed", (server: RedisServer) => server.kill, (server: RedisServer) => server.start],
  ["stands still", (server: RedisServer) => server.freeze, (server: RedisServer) => server.thaw]
] as const

const promises = [
  ["allow", ["success"]],
  ["fail", ["StoreUnavailable"]],
  ["local", ["success"]]
] as const

describeRedis("circuits in a Redis", () => {
  for (const [what, breaks, mends] of faults) {
    for (const [onUnavailable, promised] of promises) {
      it.scopedLive(
        `that ${what}: calls go by "${onUnavailable}" within the deadline, and by Redis when it is back`,
        () =>
          Effect.gen(function* () {
            const server = yield* startRedis()
            const { breaker, recording } = yield* member(server, { onUnavailable, staleness: "200 millis" })
            const running = yield* load(breaker, Effect.sleep("2 millis"))
            yield* Effect.sleep("300 millis")
            expect([...running.tags.keys()]).toEqual(["success"])
            yield* breaks(server)
            yield* eventually(stores(recording), (told) => told.length > 0)
            yield* Effect.sleep("100 millis") // what was let through before has ended
            const since = yield* running.since
            yield* Effect.sleep("700 millis")
            expect(since()).toEqual(promised)
            yield* mends(server)
            yield* eventually(stores(recording), (told) => told.at(-1) === true)
            yield* eventually(call(breaker, Effect.void), (tag) => tag === "success")
            const after = yield* running.since
            yield* Effect.sleep("200 millis")
            expect(after()).toEqual(["success"])
            const longest = yield* running.stop
            // Far above the 50 ms of the deadline, for a busy machine; a call that waits for Redis would take as long as it is away.
            expect(longest).toBeLessThan(650)
            expect((yield* stores(recording))[0]).toBe(false)
          }),
        60_000
      )
    }
  }

  it.scopedLive(
    "that stands still: the circuit of the process opens in its place, from what is known",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const { breaker } = yield* member(server)
        yield* breaker.forceOpen("forced")
        yield* breaker.disable("disabled")
        for (const name of ["forced", "disabled"]) yield* Effect.exit(breaker.execute(Effect.void, { ...policy, name }))
        yield* call(breaker, Effect.void)
        yield* server.freeze
        // The first may be lost with Redis.
        for (let i = 0; i < 4; i++) yield* call(breaker, Effect.fail("down"))
        expect(yield* call(breaker, Effect.void)).toBe("CircuitOpen")
        expect(yield* breaker.state("payments")).toBe("open")
        expect(yield* breaker.state("forced")).toBe("forced_open")
        expect(yield* breaker.state("disabled")).toBe("disabled")
        yield* Effect.sleep("210 millis")
        expect(yield* call(breaker, Effect.void)).toBe("success")
        expect(yield* breaker.state("payments")).toBe("closed")
        // For all it can be neither opened nor closed now.
        expect(yield* Effect.flip(breaker.forceOpen("payments"))).toMatchObject({ _tag: "StoreUnavailable" })
        yield* server.thaw
        yield* eventually(Effect.exit(breaker.forceOpen("payments")), Exit.isSuccess)
        expect(yield* call(breaker, Effect.void)).toBe("CircuitOpen")
      }),
    60_000
  )

  it.scopedLive(
    "that stands still while a circuit is open: nothing is let through before its time, by whichever circuit",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const { breaker } = yield* member(server)
        const long = { ...policy, resetTimeout: "1 minute", maxFailures: 1 } as const
        yield* Effect.exit(breaker.execute(Effect.fail("down"), long))
        yield* server.freeze
        yield* Effect.exit(breaker.forceOpen("other"))
        expect(tagOf(yield* Effect.exit(breaker.execute(Effect.void, long)))).toBe("CircuitOpen")
        expect(yield* breaker.state("payments")).toBe("open")
      }),
    60_000
  )

  it.scopedLive(
    "that is flushed: circuits are closed again, and what is in flight counts no more",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const [one, other] = yield* Effect.all([
          member(server, { staleness: "100 millis" }),
          member(server, { staleness: "100 millis" })
        ])
        const { breaker } = one
        const running = yield* load(other.breaker, Effect.void)
        const end = yield* Deferred.make<void, string>()
        const late = yield* Effect.replicateEffect(Effect.fork(call(breaker, Deferred.await(end))), policy.maxFailures)
        yield* Effect.sleep("100 millis")
        yield* server.flush
        yield* eventually(call(breaker, Effect.void), (tag) => tag === "success")
        yield* Effect.sleep("150 millis")
        yield* call(breaker, Effect.void)
        yield* Deferred.fail(end, "down")
        yield* Effect.forEach(late, Fiber.join)
        expect(yield* breaker.state("payments")).toBe("closed")
        expect([...running.tags.keys()]).toEqual(["success"])
        yield* running.stop
        for (let i = 0; i < 3; i++) yield* call(breaker, Effect.fail("down"))
        expect(yield* breaker.state("payments")).toBe("open")
        yield* eventually(call(other.breaker, Effect.void), (tag) => tag === "CircuitOpen")
        yield* server.flush
        yield* eventually(call(other.breaker, Effect.void), (tag) => tag === "success")
      }),
    60_000
  )

  it.scopedLive(
    "that is restarted under load: every call ends, and the circuit opens for all again",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const members = yield* Effect.replicateEffect(member(server, { staleness: "200 millis" }), 2)
        const [one, other] = members.map(({ breaker }) => breaker) as [CircuitBreaker.Service, CircuitBreaker.Service]
        const loads = yield* Effect.forEach([one, other], (breaker) => load(breaker, Effect.sleep("1 millis")))
        for (let i = 0; i < 3; i++) {
          yield* server.restart
          yield* Effect.sleep("200 millis")
        }
        for (const running of loads) {
          yield* running.stop
          expect([...running.tags.keys()]).toEqual(["success"])
        }
        yield* eventually(Effect.exit(one.reset("payments")), Exit.isSuccess)
        yield* eventually(call(other, Effect.fail("down")), () => true)
        for (let i = 0; i < 3; i++) yield* call(one, Effect.fail("down"))
        yield* eventually(call(other, Effect.void), (tag) => tag === "CircuitOpen")
      }),
    60_000
  )

  it.scopedLive(
    "that stands still while a probe is asked for: the place that nobody took is given back",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const { breaker } = yield* member(server, { onUnavailable: "fail", lease: "1 minute" })
        const slow = { ...policy, timeout: "1 minute" } as const
        for (let i = 0; i < 3; i++) yield* Effect.exit(breaker.execute(Effect.fail("down"), slow))
        yield* Effect.sleep("210 millis")
        yield* server.freeze
        expect(tagOf(yield* Effect.exit(breaker.execute(Effect.void, slow)))).toBe("StoreUnavailable")
        yield* server.thaw
        // Redis carries the question out now, and nobody waits for the answer.
        yield* eventually(
          Effect.map(Effect.exit(breaker.execute(Effect.void, slow)), tagOf),
          (tag) => tag === "success"
        )
      }),
    60_000
  )

  it.scopedLive(
    "frees the place of a probe that is interrupted, and of one whose end Redis did not hear",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const { breaker } = yield* member(server, { lease: "1 minute", deadline: "1 second" })
        const other = yield* member(server, { deadline: "1 second" })
        const slow = { ...policy, timeout: "1 minute" } as const
        for (let i = 0; i < 3; i++) yield* Effect.exit(breaker.execute(Effect.fail("down"), slow))
        yield* Effect.sleep("210 millis")
        const probe = yield* Effect.fork(breaker.execute(Effect.never, slow))
        yield* eventually(
          other.breaker.status("payments"),
          ({ retryAfter, state }) => state === "half_open" && Duration.toMillis(retryAfter) > 0
        )
        yield* Fiber.interrupt(probe)
        const end = yield* Deferred.make<void>()
        const second = yield* Effect.fork(other.breaker.execute(Deferred.await(end), slow))
        yield* eventually(breaker.status("payments"), ({ retryAfter }) => Duration.toMillis(retryAfter) > 0)
        yield* server.freeze
        yield* Deferred.succeed(end, undefined)
        yield* Fiber.join(second)
        yield* server.thaw
        yield* eventually(
          Effect.exit(breaker.state("payments")),
          (exit) => Exit.isSuccess(exit) && exit.value === "closed"
        )
      }),
    60_000
  )

  it.scopedLive(
    "that stands still: a call that is interrupted while it asks ends within the deadline, and leaves no place taken",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const { breaker } = yield* member(server, { onUnavailable: "fail", deadline: "300 millis", lease: "1 minute" })
        const slow = { ...policy, timeout: "1 minute" } as const
        for (let i = 0; i < 3; i++) yield* Effect.exit(breaker.execute(Effect.fail("down"), slow))
        yield* Effect.sleep("210 millis")
        yield* server.freeze
        let ran = false
        const work = Effect.sync(() => {
          ran = true
        })
        const calls = yield* Effect.replicateEffect(Effect.fork(breaker.execute(work, slow)), 10)
        yield* Effect.yieldNow()
        yield* Effect.timeout(Fiber.interruptAll(calls), "5 seconds")
        yield* server.thaw
        yield* eventually(
          Effect.map(Effect.exit(breaker.execute(Effect.void, slow)), tagOf),
          (tag) => tag === "success"
        )
        expect(ran).toBe(false)
      }),
    60_000
  )
})
