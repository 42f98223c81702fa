import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { CircuitBreaker, Config, Events, Foundation, RateLimiter, Telemetry } from "effect-foundation"

const services = Foundation.layer({ config: Config.layerFrom(Config.object({ port: 8080 })) })

describe("an accessor asks the service that it finds, where a method of the real one is replaced", () => {
  it.effect("for the configuration", () =>
    Effect.gen(function* () {
      const config = { ...(yield* Config), get: (() => Effect.succeed("replaced")) as Config.Get }
      expect(yield* Config.get("port", 0)).toBe(8080)
      expect(yield* Effect.provideService(Config.get("port", "none"), Config, config)).toBe("replaced")
    }).pipe(Effect.provide(services))
  )

  it.effect("for telemetry", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const execute = (name: string) => Effect.sync(() => void told.push(name))
      const telemetry = { ...(yield* Telemetry), execute }
      yield* Effect.provideService(Telemetry.execute("order.placed", { count: 1 }), Telemetry, telemetry)
      expect(told).toEqual(["order.placed"])
    }).pipe(Effect.provide(services))
  )

  it.effect("for events", () =>
    Effect.gen(function* () {
      const events = yield* Events
      const replaced = { ...events, store: (event: Events.Input) => events.store({ ...event, type: "replaced" }) }
      const stored = Events.store({ type: "t" })
      expect((yield* stored).type).toBe("t")
      expect((yield* Effect.provideService(stored, Events, replaced)).type).toBe("replaced")
    }).pipe(Effect.provide(services))
  )

  it.effect("for circuits and limits", () =>
    Effect.gen(function* () {
      // The implementations of overloads know less of their arguments than the overloads.
      const execute = (() => Effect.succeed("replaced")) as never
      const breaker = { ...(yield* CircuitBreaker), execute }
      const limiter = { ...(yield* RateLimiter), execute }
      const call = Effect.succeed("called")
      const throughCircuit = CircuitBreaker.execute(call, { name: "payments" })
      const withinLimit = RateLimiter.execute(call, { name: "payments" })
      expect([yield* throughCircuit, yield* withinLimit]).toEqual(["called", "called"])
      expect(yield* Effect.provideService(throughCircuit, CircuitBreaker, breaker)).toBe("replaced")
      expect(yield* Effect.provideService(withinLimit, RateLimiter, limiter)).toBe("replaced")
    }).pipe(Effect.provide(services))
  )
})
