import { describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Logger, Schedule } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import { Config } from "effect-foundation/Config"
import { Telemetry } from "effect-foundation/Telemetry"
import { expect } from "vitest"
import { rejectionsIn } from "../rejections.js"

const fail = (options: CircuitBreaker.Options) => Effect.exit(CircuitBreaker.execute(Effect.fail("down"), options))
const policyOf = (name: string) => Effect.map(CircuitBreaker.status(name), ({ policy }) => policy)

const over = (source: Config.Source) =>
  CircuitBreaker.layerConfig.pipe(Layer.provideMerge(Config.layerFrom(source)), Layer.provideMerge(Telemetry.layer))
const configured = (circuitBreaker: Record<string, unknown>) => over(Config.object({ circuitBreaker }))

const rate = { type: "rate", window: { count: 10 }, failureRate: 0.5 } as const

describe("maxFailures beside trip: rate", () => {
  it("is refused in one statement of the code", () => {
    const error = Effect.runSync(Effect.flip(CircuitBreaker.policy({ trip: rate, maxFailures: 3 })))
    expect(error.path).toBe("circuitBreaker.default.maxFailures")
    expect(error.message).toMatch(/maxFailures of the circuit "default" must be left out/)
  })

  it("is left out of a policy that was checked, which serves as options", () => {
    const policy = Effect.runSync(CircuitBreaker.policy({ trip: rate }))
    expect(policy.maxFailures).toBeUndefined()
    expect(Effect.runSync(CircuitBreaker.policy(policy))).toEqual(policy)
  })

  it.effect("in two statements of the code is a conflict, and the first stays", () =>
    Effect.gen(function* () {
      const conflicts: Array<unknown> = []
      yield* Telemetry.attach("conflicts", "circuit_breaker.policy.conflict", (event) => void conflicts.push(event))
      yield* fail({ name: "a", trip: rate })
      yield* fail({ name: "a", maxFailures: 1 })
      expect(conflicts).toHaveLength(1)
      expect(yield* policyOf("a")).toMatchObject({ trip: { type: "rate" } })
    }).pipe(
      Effect.scoped,
      Effect.provide(CircuitBreaker.layer.pipe(Layer.provideMerge(Telemetry.layer))),
      Effect.provide(Logger.remove(Logger.defaultLogger))
    )
  )

  it.effect("in the configuration is reported once, and what was in force stays", () =>
    Effect.gen(function* () {
      const { logged, reasons } = yield* rejectionsIn(
        Effect.gen(function* () {
          for (let index = 0; index < 3; index++) {
            yield* fail({ name: "a", trip: rate })
            yield* Config.set("other", index)
          }
          expect(yield* policyOf("a")).toMatchObject({ trip: { type: "rate" }, timeout: Duration.seconds(5) })
        })
      )
      expect(reasons).toEqual([expect.stringContaining("maxFailures must be left out")])
      expect(logged).toEqual([expect.stringContaining("circuitBreaker.a")])
    }).pipe(Effect.provide(configured({ a: { maxFailures: 3, timeout: "1 second" } })))
  )

  it.effect("together in the configuration is reported when it is read", () =>
    Effect.gen(function* () {
      const { reasons } = yield* rejectionsIn(
        Effect.zipRight(
          Effect.repeatN(Effect.yieldNow(), 20),
          Effect.zipRight(
            Config.set("circuitBreaker.a", { trip: rate, maxFailures: 3 }),
            Effect.repeatN(Effect.yieldNow(), 20)
          )
        )
      )
      expect(reasons).toEqual([expect.stringContaining("at maxFailures: must be left out")])
    }).pipe(Effect.provide(configured({})))
  )

  it.effect("gives way to a trip that the configuration states", () =>
    Effect.gen(function* () {
      yield* fail({ name: "a", maxFailures: 1, trip: { type: "consecutive" } })
      expect(yield* CircuitBreaker.state("a")).toBe("closed")
    }).pipe(Effect.provide(configured({ a: { trip: rate } })))
  )
})

describe("a name in the configuration", () => {
  const env = {
    FOUNDATION__CIRCUIT_BREAKER__USER_SERVICE__MAX_FAILURES: "1",
    FOUNDATION__CIRCUIT_BREAKER__PAYMENTS__MAX_FAILURES: "2"
  }

  it.effect("of the environment reaches all ways to write it", () =>
    Effect.gen(function* () {
      for (const name of ["userService", "user-service", "user_service", "USER-SERVICE"]) {
        expect(yield* policyOf(name)).toMatchObject({ name, maxFailures: 1 })
      }
      for (const name of ["payments", "Payments"]) expect((yield* policyOf(name)).maxFailures).toBe(2)
      expect((yield* policyOf("users-ervices")).maxFailures).toBe(5)
    }).pipe(Effect.provide(over(Config.env({ env }))))
  )

  it.effect("that is written as in the code goes before one that only has its letters", () =>
    Effect.gen(function* () {
      expect((yield* policyOf("user-service")).maxFailures).toBe(2)
      expect((yield* policyOf("userService")).maxFailures).toBe(1)
    }).pipe(Effect.provide(configured({ userService: { maxFailures: 1 }, "user-service": { maxFailures: 2 } })))
  )
})

describe("a rejected policy", () => {
  it.effect("is told by path and by what is expected, each problem once, and never by its values", () =>
    Effect.gen(function* () {
      const secret = "my-private-value"
      const { logged, reasons } = yield* rejectionsIn(
        Effect.gen(function* () {
          yield* Effect.repeatN(Effect.yieldNow(), 20)
          for (const broken of [
            { maxFailures: secret },
            { timeout: secret, probes: 12345 },
            { trip: { type: secret } },
            { trip: { ...rate, failureRate: 12345 } },
            { maxFailure: secret },
            secret
          ]) {
            yield* Config.set("circuitBreaker.a", broken)
            yield* Effect.repeatN(Effect.yieldNow(), 20)
          }
        })
      )
      expect(`${logged} ${reasons}`).not.toMatch(/my-private|12345/)
      const told = reasons.map((reason) => String(reason).replace(/^since it cannot be read: /, ""))
      expect(told[0]).toBe("at maxFailures: expected number")
      expect(told[1]).toBe(
        'at timeout: a duration is written as milliseconds or as text like "5 seconds"; ' +
          "at probes: must be a whole number from 1 to 1000"
      )
      expect(told[2]).toContain("at trip.type: expected")
      expect(told[3]).toBe("at trip.failureRate: must be a number from 0 to 1")
      expect(told[4]).toContain("at maxFailure: is not one of its fields")
      expect(told).toHaveLength(6)
    }).pipe(Effect.provide(configured({})))
  )
})

describe("a call with a literal of its own", () => {
  it.effect("is not read anew for schedules and durations that are other objects", () =>
    Effect.gen(function* () {
      const counting = () => {
        const seen = { reads: 0 }
        const options = {
          name: "a",
          timeout: Duration.seconds(1),
          resetTimeout: Schedule.spaced("1 second"),
          get probes() {
            seen.reads++
            return 2
          }
        }
        return { options, seen }
      }
      const [first, second] = [counting(), counting()]
      yield* fail(first.options)
      expect(first.seen.reads).toBeGreaterThan(1)
      yield* fail(second.options)
      // Compared, and no more.
      expect(second.seen.reads).toBe(1)
    }).pipe(Effect.provide(CircuitBreaker.layer.pipe(Layer.provideMerge(Telemetry.layer))))
  )
})

describe("CircuitBreaker.make", () => {
  it.effect("takes policies from the configuration beside its other options", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({ maxCircuits: 1, policies: yield* CircuitBreaker.policiesFromConfig })
      yield* breaker.execute(Effect.void, { name: "a" })
      yield* breaker.execute(Effect.void, { name: "b" })
      expect((yield* breaker.states).map(({ name, policy }) => [name, policy.maxFailures])).toEqual([["b", 7]])
    }).pipe(Effect.scoped, Effect.provide(configured({ b: { maxFailures: 7 } })))
  )

  it.effect("has its bound in layerMemory too", () =>
    Effect.gen(function* () {
      yield* CircuitBreaker.execute(Effect.void, { name: "a" })
      yield* CircuitBreaker.execute(Effect.void, { name: "b" })
      expect((yield* CircuitBreaker.states).map(({ name }) => name)).toEqual(["b"])
      const refused = Layer.build(CircuitBreaker.layerMemory({ maxCircuits: 0 })).pipe(Effect.flip)
      expect(yield* refused).toMatchObject({ path: "circuitBreaker.maxCircuits" })
    }).pipe(
      Effect.scoped,
      Effect.provide(CircuitBreaker.layerMemory({ maxCircuits: 1 }).pipe(Layer.provideMerge(Telemetry.layer)))
    )
  )
})
