import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { CircuitBreaker, Config, Events, RateLimiter, Telemetry } from "effect-foundation"
import { circuitOpen, configSet, FoundationTest, limitExhausted, TelemetryRecording } from "effect-foundation/Testing"

const over = <A, E, R>(layer: Layer.Layer<A, E, R>) => Layer.provideMerge(layer, FoundationTest)
const tagOf = <E extends { readonly _tag: string }, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => error._tag)

describe("FoundationTest", () => {
  it.effect("records what is emitted from the building of the services on, and clears it when asked", () =>
    Effect.gen(function* () {
      const recording = yield* TelemetryRecording
      expect(yield* recording.named("config.reload")).toHaveLength(1)
      yield* Telemetry.execute("http.request", { duration: 5 }, { route: "/" })
      yield* Events.store({ type: "order_placed" })
      expect((yield* recording.events).map(({ name }) => name)).toEqual([
        "config.reload",
        "http.request",
        "events.store"
      ])
      yield* recording.clear
      expect(yield* recording.events).toEqual([])
    }).pipe(Effect.provide(FoundationTest))
  )

  it.effect("keeps the last 100,000 events at least, and not without end", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      for (let at = 0; at < 250_000; at++) telemetry.unsafeExecute("tick", { at }, {})
      const recorded = yield* (yield* TelemetryRecording).named("tick")
      expect(recorded.length).toBeGreaterThanOrEqual(100_000)
      expect(recorded.length).toBeLessThanOrEqual(200_000)
      expect(recorded.at(-1)?.measurements).toEqual({ at: 249_999 })
    }).pipe(Effect.provide(FoundationTest))
  )

  it.effect("reads nothing from the environment", () =>
    Effect.gen(function* () {
      process.env.FOUNDATION__GREETING = "hello"
      expect(yield* Config.get("greeting", "none")).toBe("none")
    }).pipe(
      Effect.provide(FoundationTest),
      Effect.ensuring(Effect.sync(() => Reflect.deleteProperty(process.env, "FOUNDATION__GREETING")))
    )
  )
})

describe("configSet", () => {
  it.effect("sets values by path", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("server.port", 0)).toBe(3000)
      expect(yield* Config.origin("server.port")).toMatchObject({ value: "set" })
    }).pipe(Effect.provide(over(configSet({ "server.port": 3000 }))))
  )

  it.effect("fails as the configuration does", () =>
    Effect.gen(function* () {
      expect(yield* tagOf(Layer.build(over(configSet({ "a..b": 1 }))))).toBe("ConfigError")
    }).pipe(Effect.scoped)
  )
})

describe("circuitOpen", () => {
  it.effect("rejects the calls of these names until they are reset, and no others", () =>
    Effect.gen(function* () {
      const call = (name: string) => CircuitBreaker.execute(Effect.void, { name })
      expect(yield* tagOf(call("payments"))).toBe("CircuitOpen")
      expect(yield* tagOf(call("mail"))).toBe("CircuitOpen")
      yield* call("search")
      yield* CircuitBreaker.reset("payments")
      yield* call("payments")
    }).pipe(Effect.provide(over(circuitOpen("payments", "mail"))))
  )
})

describe("limitExhausted", () => {
  it.effect("rejects every call of these names, whatever the key, and takes from no other limit with them", () =>
    Effect.gen(function* () {
      expect(yield* tagOf(RateLimiter.consume({ name: "messages", key: "ada" }))).toBe("RateLimited")
      expect(yield* tagOf(RateLimiter.consume({ name: "messages", key: "bob" }))).toBe("RateLimited")
      expect((yield* RateLimiter.peek({ name: "messages", key: "ada" })).remaining).toBe(0)
      expect(yield* tagOf(RateLimiter.consumeAll([{ name: "api" }, { name: "messages" }]))).toBe("RateLimited")
      expect((yield* RateLimiter.consume({ name: "api" })).remaining).toBe(99)
    }).pipe(Effect.provide(over(limitExhausted("messages"))))
  )

  it.effect("leaves the other limits with the policies that the configuration states", () =>
    Effect.gen(function* () {
      expect((yield* RateLimiter.peek({ name: "api" })).limit).toBe(1)
      yield* RateLimiter.consume({ name: "api" })
      expect(yield* tagOf(RateLimiter.consume({ name: "api" }))).toBe("RateLimited")
    }).pipe(
      Effect.provide(
        Layer.mergeAll(limitExhausted("messages"), configSet({ "rateLimiter.api": { maxRequests: 1 } })).pipe(over)
      )
    )
  )
})
