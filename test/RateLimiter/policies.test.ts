import { describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, TestClock } from "effect"
import { Config } from "effect-foundation/Config"
import { RateLimiter } from "effect-foundation/RateLimiter"
import { Telemetry } from "effect-foundation/Telemetry"
import { expect } from "vitest"
import { rejectionsIn } from "../rejections.js"

const layer = RateLimiter.layer.pipe(Layer.provideMerge(Telemetry.layer))
const test = (title: string, body: Effect.Effect<void, unknown, RateLimiter>) =>
  it.effect(title, () => body.pipe(Effect.provide(layer)))

const second = Duration.seconds(1)

describe("the manner of waiting", () => {
  const used = (options: RateLimiter.Options) => Effect.replicateEffect(RateLimiter.consume(options), 2)

  test(
    "is that of the name's first statement, where a call states none",
    Effect.gen(function* () {
      yield* RateLimiter.consume({ name: "w", maxRequests: 1, interval: second, onExceeded: "wait" })
      const waiting = yield* Effect.fork(RateLimiter.consume({ name: "w" }))
      yield* TestClock.adjust(second)
      yield* waiting
      // A call may state its own.
      yield* Effect.flip(RateLimiter.consume({ name: "w", onExceeded: "fail" }))
    })
  )

  test(
    "stays when the rate is stated later",
    Effect.gen(function* () {
      yield* RateLimiter.consume({ name: "w", onExceeded: "wait" })
      const waiting = yield* Effect.fork(used({ name: "w", maxRequests: 2, interval: second }))
      yield* TestClock.adjust(second)
      yield* waiting
    })
  )

  test(
    "of a later call is its own alone",
    Effect.gen(function* () {
      yield* RateLimiter.consume({ name: "w", maxRequests: 1, interval: second })
      const waiting = yield* Effect.fork(RateLimiter.consume({ name: "w", onExceeded: "wait" }))
      yield* TestClock.adjust(second)
      yield* waiting
      yield* Effect.flip(RateLimiter.consume({ name: "w" }))
    })
  )

  test(
    "has the first statement's maxWait, which a call may overrule",
    Effect.gen(function* () {
      const code = { name: "w", maxRequests: 1, interval: second, onExceeded: "wait", maxWait: 10 } as const
      yield* RateLimiter.consume(code)
      expect(yield* Effect.flip(RateLimiter.consume({ name: "w" }))).toMatchObject({
        context: { reason: "wait_too_long" }
      })
      const waiting = yield* Effect.fork(RateLimiter.consume({ name: "w", maxWait: second }))
      yield* TestClock.adjust(second)
      yield* waiting
    })
  )
})

describe("names", () => {
  test(
    "that nobody used are not kept by peek and reset",
    Effect.gen(function* () {
      for (let index = 0; index < 10_001; index++) {
        yield* RateLimiter.peek({ name: `peeked-${index}`, maxRequests: 3 })
        yield* RateLimiter.reset({ name: `reset-${index}` })
      }
      for (let index = 0; index < 10_000; index++) yield* RateLimiter.consume({ name: `used-${index}` })
      // Looked at with what the options state, and nothing else.
      expect(yield* RateLimiter.peek({ name: "unused", maxRequests: 7 })).toMatchObject({ limit: 7, remaining: 7 })
    })
  )

  test(
    "make place for new ones once their keys are as if never used",
    Effect.gen(function* () {
      for (let index = 0; index < 10_000; index++) yield* RateLimiter.consume({ name: `name-${index}`, maxRequests: 1 })
      expect(Exit.isFailure(yield* Effect.exit(RateLimiter.consume({ name: "one more" })))).toBe(true)
      yield* Effect.flip(RateLimiter.consume({ name: "name-0" }))
      yield* TestClock.adjust("1 minute")
      yield* RateLimiter.consume({ name: "name-0" })
      for (let index = 0; index < 9999; index++) yield* RateLimiter.consume({ name: `next-${index}` })
      // The one that is in use has lost nothing.
      yield* Effect.flip(RateLimiter.consume({ name: "name-0" }))
    })
  )

  test(
    "with somebody waiting are not forgotten",
    Effect.gen(function* () {
      const patient = { name: "patient", maxRequests: 1, interval: "1 hour", onExceeded: "wait" } as const
      yield* RateLimiter.consume(patient)
      const waiting = yield* Effect.fork(RateLimiter.consume(patient))
      for (let index = 0; index < 9999; index++) yield* RateLimiter.consume({ name: `a-${index}`, interval: second })
      yield* TestClock.adjust(second)
      for (let index = 0; index < 9999; index++) yield* RateLimiter.consume({ name: `b-${index}`, interval: second })
      yield* TestClock.adjust("1 hour")
      yield* waiting
    })
  )
})

describe("the configuration", () => {
  const configured = (rateLimiter: Record<string, unknown>) =>
    RateLimiter.layerConfig.pipe(
      Layer.provideMerge(Config.layerFrom(Config.object({ rateLimiter }))),
      Layer.provideMerge(Telemetry.layer)
    )

  it.effect("that fails only beside the code is reported once, without its values, and the last good one stays", () =>
    Effect.gen(function* () {
      const { logged, reasons } = yield* rejectionsIn(
        Effect.gen(function* () {
          yield* RateLimiter.consume({ name: "api", maxRequests: 5 })
          yield* Config.set("rateLimiter.api.maxRequests", 50_000_000)
          for (let index = 0; index < 3; index++) {
            expect((yield* RateLimiter.consume({ name: "api" })).limit).toBe(7)
            // Each change of the configuration reads all policies anew.
            yield* Config.set("other", index)
          }
        })
      )
      expect(reasons).toHaveLength(1)
      expect(logged).toHaveLength(1)
      expect(logged[0]).toContain("rateLimiter.api")
      expect(logged[0]).toContain("maxRequests must be a whole number from 1 to 10000000")
      expect(`${logged} ${reasons}`).not.toContain("50000000")
    }).pipe(Effect.provide(configured({ api: { maxRequests: 7 } })))
  )

  it.effect("wins over what the name's first statement says of waiting", () =>
    Effect.gen(function* () {
      yield* RateLimiter.consume({ name: "w", maxRequests: 1, onExceeded: "wait" })
      yield* Effect.flip(RateLimiter.consume({ name: "w" }))
    }).pipe(Effect.provide(configured({ w: { onExceeded: "fail" } })))
  )

  it.effect("is asked for by a service that is made by hand, beside its other options", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({ maxKeys: 1, policies: yield* RateLimiter.policiesFromConfig })
      expect((yield* limiter.consume({ name: "api", key: "a" })).limit).toBe(7)
      expect(yield* Effect.flip(limiter.consume({ name: "api", key: "b" }))).toMatchObject({
        context: { reason: "keys_full" }
      })
    }).pipe(Effect.scoped, Effect.provide(configured({ api: { maxRequests: 7 } })))
  )
})
