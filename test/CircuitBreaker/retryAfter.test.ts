import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, TestClock } from "effect"
import { CircuitBreaker, Telemetry } from "effect-foundation"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { describeRedis, freshPrefix, sharedRedisLayer } from "../support/redis.js"

const policy = { name: "payments", maxFailures: 3, resetTimeout: "10 seconds" } as const

/** A call that fails, and asks to be left alone for so long. */
const failing = (retryAfter?: Duration.DurationInput) =>
  Effect.ignore(CircuitBreaker.execute(Effect.fail("busy"), { ...policy, retryAfter: () => retryAfter }))

const succeeding = CircuitBreaker.execute(Effect.void, policy)

const left = Effect.map(CircuitBreaker.status("payments"), ({ retryAfter }) => Duration.toSeconds(retryAfter))

describe("what failures ask for with retryAfter", () => {
  const layer = CircuitBreaker.layer.pipe(Layer.provideMerge(Telemetry.layer))

  it.effect("makes the opening that they cause as long, if it is longer than resetTimeout", () =>
    Effect.gen(function* () {
      yield* failing("1 minute")
      yield* TestClock.adjust("5 seconds")
      yield* failing("2 seconds")
      expect(yield* CircuitBreaker.state("payments")).toBe("closed")
      yield* failing()
      expect(yield* left).toBe(55)
      yield* TestClock.adjust("55 seconds")
      expect(yield* CircuitBreaker.state("payments")).toBe("half_open")
      yield* failing("3 seconds")
      expect(yield* left).toBe(10)
    }).pipe(Effect.provide(layer))
  )

  it.effect("is forgotten by a success and by a reset, and does not matter to what is ignored", () =>
    Effect.gen(function* () {
      yield* failing("1 minute")
      yield* succeeding
      yield* Effect.replicateEffect(failing(), 3)
      expect(yield* left).toBe(10)
      yield* CircuitBreaker.reset("payments")
      yield* failing("1 minute")
      yield* CircuitBreaker.reset("payments")
      yield* CircuitBreaker.execute(Effect.void, { ...policy, classify: () => "ignore", retryAfter: () => "1 hour" })
      yield* Effect.replicateEffect(failing(), 3)
      expect(yield* left).toBe(10)
    }).pipe(Effect.provide(layer))
  )

  it.effect("is bounded, and what is no duration or throws asks for nothing", () =>
    Effect.gen(function* () {
      yield* failing("soon" as "1 second")
      yield* failing(-5)
      const thrown = () => {
        throw new Error("bug")
      }
      const exit = yield* Effect.exit(CircuitBreaker.execute(Effect.fail("busy"), { ...policy, retryAfter: thrown }))
      expect(exit).toEqual(Exit.fail("busy"))
      expect(yield* left).toBe(10)
      yield* TestClock.adjust("10 seconds")
      yield* failing(Duration.infinity)
      expect(yield* left).toBeLessThan(25 * 24 * 60 * 60)
    }).pipe(Effect.provide(layer))
  )
})

describeRedis("what failures ask for with retryAfter, on a real server", () => {
  const fresh = (mode: "shared" | "local") =>
    Layer.unwrapEffect(
      Effect.map(freshPrefix, (prefix) => CircuitBreakerRedis.layer({ prefix, mode, deadline: "2 seconds" }))
    ).pipe(Layer.provide(sharedRedisLayer), Layer.provide(Telemetry.layer))

  it.live.each(["shared", "local"] as const)("makes the opening as long, where circuits are %s", (mode) =>
    Effect.gen(function* () {
      yield* failing("1 minute")
      yield* failing("2 seconds")
      yield* failing()
      const seconds = yield* left
      expect(seconds).toBeGreaterThan(50)
      expect(seconds).toBeLessThanOrEqual(60)
    }).pipe(Effect.provide(fresh(mode)))
  )
})
