import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, TestClock } from "effect"
import { Events } from "effect-foundation"
import { circuitOpen, configSet, FoundationTest, limitExhausted, TelemetryRecording } from "effect-foundation/Testing"
import { checkout, PaymentDeclined, Payments } from "./Checkout.js"

const order = { id: "o-1", customer: "ada", cents: 1999 }

/** A provider that answers what it is told to, and keeps the keys of what it is asked. */
const provider = (charge: Effect.Effect<void, PaymentDeclined>) => {
  const keys: Array<string> = []
  const layer = Layer.succeed(Payments, {
    charge: (_order, idempotencyKey) =>
      Effect.suspend(() => {
        keys.push(idempotencyKey)
        return charge
      })
  })
  return { keys, layer }
}

describe("checkout", () => {
  it.effect("records an order once, however often it is asked to, and asks for it under one key", () => {
    const { keys, layer } = provider(Effect.sleep("1 second"))
    return Effect.gen(function* () {
      const both = yield* Effect.fork(Effect.all([checkout(order), checkout(order)], { concurrency: 2 }))
      yield* TestClock.adjust("1 second")
      const [first, second] = yield* Fiber.join(both)
      expect(second).toEqual(first)
      expect(new Set(keys)).toEqual(new Set(["o-1"]))
      expect(yield* Events.get({ stream: "order-o-1" })).toHaveLength(1)
    }).pipe(Effect.provide(layer), Effect.provide(FoundationTest))
  })

  it.effect("asks again under the same key when the provider takes too long", () => {
    const { keys, layer } = provider(Effect.sleep("3 seconds"))
    return Effect.gen(function* () {
      const attempt = yield* Effect.fork(Effect.flip(checkout(order)))
      yield* TestClock.adjust("1 hour")
      expect((yield* Fiber.join(attempt))._tag).toBe("OperationTimeout")
      expect(keys).toEqual(["o-1", "o-1", "o-1", "o-1"])
    }).pipe(Effect.provide(layer), Effect.provide(FoundationTest))
  })

  it.effect("does not try again what was declined, and does not hold it against the provider", () => {
    const { keys, layer } = provider(Effect.fail(new PaymentDeclined({ reason: "no funds" })))
    return Effect.gen(function* () {
      expect(yield* Effect.flip(checkout(order))).toBeInstanceOf(PaymentDeclined)
      expect(keys).toHaveLength(1)
      const recording = yield* TelemetryRecording
      expect(yield* recording.named("circuit_breaker.transition")).toHaveLength(0)
    }).pipe(Effect.provide(layer), Effect.provide(FoundationTest))
  })

  it.effect("gives up when the provider's circuit stays open, after as many tries as configured", () => {
    const { keys, layer } = provider(Effect.void)
    const ProviderDown = Layer.mergeAll(circuitOpen("payments"), configSet({ "checkout.retries": 2 })).pipe(
      Layer.provideMerge(FoundationTest)
    )
    return Effect.gen(function* () {
      const attempt = yield* Effect.fork(Effect.flip(checkout(order)))
      yield* TestClock.adjust("1 hour")
      expect((yield* Fiber.join(attempt))._tag).toBe("CircuitOpen")
      expect(keys).toHaveLength(0)
      const recording = yield* TelemetryRecording
      expect(yield* recording.named("circuit_breaker.rejected")).toHaveLength(3)
    }).pipe(Effect.provide(layer), Effect.provide(ProviderDown))
  })

  it.effect("turns a customer away who asks too often", () => {
    const { keys, layer } = provider(Effect.void)
    const TooOften = Layer.provideMerge(limitExhausted("checkout"), FoundationTest)
    return Effect.gen(function* () {
      expect(yield* Effect.flip(checkout(order))).toMatchObject({ _tag: "RateLimited", key: "ada" })
      expect(keys).toHaveLength(0)
    }).pipe(Effect.provide(layer), Effect.provide(TooOften))
  })
})
