import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, TestClock } from "effect"
import { Events } from "effect-foundation"
import { circuitOpen, configSet, FoundationTest, limitExhausted, TelemetryRecording } from "effect-foundation/Testing"
import { checkout, PaymentDeclined, Payments } from "./Checkout.js"

const order = { id: "o-1", customer: "ada", cents: 1999 }

/** A provider that answers what it is told to, and counts how often it is asked. */
const provider = (charge: Effect.Effect<void, PaymentDeclined>) => {
  const asked = { times: 0 }
  const counted = Effect.suspend(() => {
    asked.times++
    return charge
  })
  return { asked, layer: Layer.succeed(Payments, { charge: () => counted }) }
}

describe("checkout", () => {
  it.effect("charges an order once, however often it is asked to", () => {
    const { asked, layer } = provider(Effect.void)
    return Effect.gen(function* () {
      const first = yield* checkout(order)
      const second = yield* checkout(order)
      expect(second).toEqual(first)
      expect(asked.times).toBe(1)
      expect(yield* Events.get({ stream: "order-o-1" })).toHaveLength(1)
    }).pipe(Effect.provide(layer), Effect.provide(FoundationTest))
  })

  it.effect("does not try again what was declined, and does not hold it against the provider", () => {
    const { asked, layer } = provider(Effect.fail(new PaymentDeclined({ reason: "no funds" })))
    return Effect.gen(function* () {
      expect(yield* Effect.flip(checkout(order))).toBeInstanceOf(PaymentDeclined)
      expect(asked.times).toBe(1)
      const recording = yield* TelemetryRecording
      expect(yield* recording.named("circuit_breaker.transition")).toHaveLength(0)
    }).pipe(Effect.provide(layer), Effect.provide(FoundationTest))
  })

  it.effect("gives up when the provider's circuit stays open, after as many tries as configured", () => {
    const { asked, layer } = provider(Effect.void)
    const ProviderDown = Layer.mergeAll(circuitOpen("payments"), configSet({ "checkout.retries": 2 })).pipe(
      Layer.provideMerge(FoundationTest)
    )
    return Effect.gen(function* () {
      const attempt = yield* Effect.fork(Effect.flip(checkout(order)))
      yield* TestClock.adjust("1 hour")
      expect((yield* Fiber.join(attempt))._tag).toBe("CircuitOpen")
      expect(asked.times).toBe(0)
      const recording = yield* TelemetryRecording
      expect(yield* recording.named("circuit_breaker.rejected")).toHaveLength(3)
    }).pipe(Effect.provide(layer), Effect.provide(ProviderDown))
  })

  it.effect("turns a customer away who asks too often", () => {
    const { asked, layer } = provider(Effect.void)
    const TooOften = Layer.provideMerge(limitExhausted("checkout"), FoundationTest)
    return Effect.gen(function* () {
      expect(yield* Effect.flip(checkout(order))).toMatchObject({ _tag: "RateLimited", key: "ada" })
      expect(asked.times).toBe(0)
    }).pipe(Effect.provide(layer), Effect.provide(TooOften))
  })
})
