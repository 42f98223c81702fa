import { describe, expect, it } from "@effect/vitest"
import { Cause, type Duration, Effect, Exit, Layer } from "effect"
import { CircuitBreaker, ConfigError, RateLimiter, Telemetry } from "effect-foundation"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Redis } from "effect-foundation/Redis"

/** What no duration is: as text with types, and what plain JavaScript may pass besides. */
const wrong = ["5 parsecs", "soon", "", "-5 seconds", "NaN seconds", Number.NaN, -1].map(
  (value) => value as Duration.DurationInput
)

const rate = { type: "rate", failureRate: 0.5 } as const

/** Each option that is a duration, with the path that the error names. */
const options: ReadonlyArray<readonly [string, (value: Duration.DurationInput) => Effect.Effect<unknown, unknown>]> = [
  ["rateLimiter.api.interval", (interval) => RateLimiter.policy({ name: "api", interval })],
  ["rateLimiter.api.maxWait", (maxWait) => RateLimiter.policy({ name: "api", maxWait })],
  ["circuitBreaker.api.timeout", (timeout) => CircuitBreaker.policy({ name: "api", timeout })],
  ["circuitBreaker.api.resetTimeout", (resetTimeout) => CircuitBreaker.policy({ name: "api", resetTimeout })],
  [
    "circuitBreaker.api.trip.window.duration",
    (duration) => CircuitBreaker.policy({ name: "api", trip: { ...rate, window: { duration } } })
  ],
  [
    "circuitBreaker.api.trip.slowCallDuration",
    (slowCallDuration) =>
      CircuitBreaker.policy({
        name: "api",
        trip: { ...rate, window: { count: 10 }, slowCallRate: 1, slowCallDuration }
      })
  ],
  ["redis.connectTimeout", (connectTimeout) => built(Redis.layer({ url: "redis://127.0.0.1:1", connectTimeout }))],
  ["rateLimiter.redis.deadline", (deadline) => built(RateLimiterRedis.layer({ deadline }))],
  ["circuitBreaker.redis.deadline", (deadline) => built(CircuitBreakerRedis.layer({ deadline }))],
  ["circuitBreaker.redis.lease", (lease) => built(CircuitBreakerRedis.layer({ lease }))],
  ["circuitBreaker.redis.staleness", (staleness) => built(CircuitBreakerRedis.layer({ staleness }))]
]

/** The options are looked at before the connection is. */
const noRedis = Layer.succeed(Redis, {} as Redis.Service)

const built = <A>(layer: Layer.Layer<A, unknown, Redis | Telemetry>) =>
  Effect.scoped(Layer.build(layer.pipe(Layer.provide(noRedis), Layer.provide(Telemetry.layer))))

type Limited = RateLimiter | CircuitBreaker

describe("a duration that is none", () => {
  it.effect.each(options)("is a ConfigError of %s", ([path, use]) =>
    Effect.forEach(wrong, (value) =>
      Effect.map(Effect.flip(use(value)), (error) => {
        expect(error).toBeInstanceOf(ConfigError)
        expect(error).toMatchObject({ reason: "invalid_value", path })
      })
    )
  )

  it.effect("is the defect of a call that states it, a ConfigError too", () =>
    Effect.gen(function* () {
      const calls = wrong.flatMap(
        (value, index): ReadonlyArray<Effect.Effect<void, unknown, Limited>> => [
          RateLimiter.execute(Effect.void, { name: `interval-${index}`, interval: value }),
          RateLimiter.execute(Effect.void, { name: `maxWait-${index}`, maxWait: value, onExceeded: "wait" }),
          CircuitBreaker.execute(Effect.void, { name: `timeout-${index}`, timeout: value }),
          CircuitBreaker.execute(Effect.void, { name: `reset-${index}`, resetTimeout: value })
        ]
      )
      for (const call of calls) {
        const exit = yield* Effect.exit(call)
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBeInstanceOf(ConfigError)
        expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
      }
    }).pipe(Effect.provide(Layer.merge(RateLimiter.layer, CircuitBreaker.layer)), Effect.provide(Telemetry.layer))
  )
})
