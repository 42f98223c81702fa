import { it } from "@effect/vitest"
import { Cause, Chunk, Context, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { TelemetryRecording } from "effect-foundation/Testing"
import { expect } from "vitest"
import { type RedisServer, startRedis } from "../../examples/servers/Redis.js"
import { describeRedis, redisOn } from "../support/redis.js"

const policy = { name: "payments", maxFailures: 3, resetTimeout: "1 minute", timeout: "20 seconds" } as const
const fails = Effect.fail("down" as const)

const member = (server: RedisServer, options: CircuitBreakerRedis.Options = {}) =>
  Effect.map(
    Layer.build(
      Layer.merge(CircuitBreakerRedis.layer({ deadline: "2 seconds", ...options }), TelemetryRecording.layer).pipe(
        Layer.provide(Layer.fresh(redisOn(server))),
        Layer.provide(Layer.fresh(Telemetry.layer))
      )
    ),
    (context) => ({
      breaker: Context.get(context, CircuitBreaker),
      recording: Context.get(context, TelemetryRecording)
    })
  )

const call = <A, E>(breaker: CircuitBreaker.Service, effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(breaker.execute(effect, policy)), (exit) => {
    if (Exit.isSuccess(exit)) return "success"
    const error: unknown = Cause.squash(exit.cause)
    return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)
  })

const eventually = <A, E>(effect: Effect.Effect<A, E>, isSo: (value: A) => boolean) =>
  Effect.repeat(effect, { until: isSo, schedule: Schedule.spaced("10 millis") }).pipe(
    Effect.zipRight(effect),
    Effect.timeout("10 seconds")
  )

/** Redis answers, reads, and takes nothing in any more. */
const fill = (server: RedisServer) => server.command("CONFIG", "SET", "maxmemory", "1")
const empty = (server: RedisServer) => server.command("CONFIG", "SET", "maxmemory", "0")

describeRedis("circuits in a Redis that is full", () => {
  it.scopedLive("open in the process, by what that sees, and are the fleet's again when there is room", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const { breaker, recording } = yield* member(server)
      const told = Effect.map(recording.named("circuit_breaker.store"), (all) => all.map(({ metadata }) => metadata))
      const changes = yield* Effect.fork(Stream.runCollect(Stream.take(breaker.changes, 2)))
      expect(yield* call(breaker, Effect.void)).toBe("success")
      yield* fill(server)
      // The first is what Redis refuses to count.
      for (let i = 0; i < 4; i++) expect(yield* call(breaker, fails)).toBe("down")
      for (let i = 0; i < 60; i++) {
        expect(yield* call(breaker, Effect.void)).toBe("CircuitOpen")
        yield* Effect.sleep("25 millis")
      }
      expect(yield* told).toMatchObject([{ available: false, problem: expect.stringContaining("OOM") }])
      yield* empty(server)
      yield* eventually(call(breaker, Effect.void), (tag) => tag === "success")
      yield* eventually(told, (all) => all.at(-1)?.available === true)
      expect(Chunk.toReadonlyArray(yield* Effect.timeout(Fiber.join(changes), "5 seconds"))).toMatchObject([
        { from: "closed", to: "open", reason: "failures" },
        { from: "open", to: "closed", reason: "synchronized" }
      ])
    })
  )

  it.scopedLive(`fail with StoreUnavailable where that is asked for`, () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const { breaker } = yield* member(server, { onUnavailable: "fail" })
      expect(yield* call(breaker, Effect.void)).toBe("success")
      yield* fill(server)
      expect(yield* call(breaker, fails)).toBe("down")
      expect(yield* call(breaker, fails)).toBe("StoreUnavailable")
      yield* empty(server)
      yield* eventually(call(breaker, Effect.void), (tag) => tag === "success")
    })
  )

  it.scopedLive("stand in for the fleet's as that is now, not as it was when it was full before", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const { breaker } = yield* member(server)
      const other = yield* member(server)
      expect(yield* call(breaker, Effect.void)).toBe("success")
      yield* fill(server)
      yield* Effect.replicateEffect(call(breaker, fails), 2)
      yield* empty(server)
      yield* Effect.sleep("600 millis")
      yield* eventually(call(breaker, Effect.void), (tag) => tag === "success")
      yield* other.breaker.forceOpen("payments")
      yield* eventually(call(breaker, Effect.void), (tag) => tag === "CircuitOpen")
      yield* server.freeze
      yield* Effect.exit(breaker.forceOpen("another"))
      expect(yield* call(breaker, Effect.void)).toBe("CircuitOpen")
      expect(yield* breaker.state("payments")).toBe("forced_open")
    })
  )

  it.scopedLive("do not ask it at every call where each process has its own", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* server.command("SET", "effect-foundation:circuit:{payments}", "something else")
      const { breaker } = yield* member(server, { mode: "local", staleness: "1 minute" })
      const commands = Effect.map(server.command("INFO", "commandstats"), (text) =>
        Number(/cmdstat_evalsha:calls=(\d+)/.exec(text)?.[1] ?? 0)
      )
      yield* call(breaker, Effect.void)
      const before = yield* commands
      yield* Effect.replicateEffect(call(breaker, Effect.void), 100)
      expect((yield* commands) - before).toBeLessThan(5)
    })
  )
})
