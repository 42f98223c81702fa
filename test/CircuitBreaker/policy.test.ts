import { describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Either, Exit, Fiber, Layer, Logger, Schedule, Schema, TestClock } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import { Config } from "effect-foundation/Config"
import type { CircuitOpen } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"
import { expect } from "vitest"
import { ConfiguredPolicy } from "../../src/CircuitBreaker/Policy.js"

const fails = Effect.fail("down" as const)
const fail = (options?: CircuitBreaker.Options, times = 1) =>
  Effect.replicateEffect(Effect.exit(CircuitBreaker.execute(fails, options)), times, { discard: true })
const state = CircuitBreaker.state("a")

const provided = CircuitBreaker.layer.pipe(Layer.provideMerge(Telemetry.layer))
const test = (title: string, body: Effect.Effect<void, unknown, CircuitBreaker | Telemetry>) =>
  it.effect(title, () => body.pipe(Effect.provide(provided)))

const rate = { type: "rate", window: { count: 10 }, failureRate: 0.5 } as const

// biome-ignore lint/suspicious/noExplicitAny: what comes from plain JavaScript, or from JSON, may be anything
const wrong: ReadonlyArray<readonly [any, string, RegExp]> = [
  ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "5", null, 2 ** 60].map(
    (maxFailures) => [{ maxFailures }, "maxFailures", /whole number from 1/] as const
  ),
  ...[0, 0.5, 1001].map((probes) => [{ probes }, "probes", /whole number from 1 to 1000/] as const),
  ...[0, -5, Number.NaN, "soon", "", {}, null].map(
    (timeout) => [{ timeout }, "timeout", /must be a duration/] as const
  ),
  ...[0, "infinity", Duration.infinity, -1, "1 year ago", Duration.days(30)].map(
    (resetTimeout) => [{ resetTimeout }, "resetTimeout", /must be a duration/] as const
  ),
  ...["", "x".repeat(257), 5].map((name) => [{ name }, "name", /1 to 256 characters/] as const),
  [{ trip: "rate" }, "trip.type", /"consecutive" or "rate"/],
  [{ trip: null }, "trip.type", /"consecutive" or "rate"/],
  [{ trip: { type: "often" } }, "trip.type", /but is "often"/],
  ...[-0.1, 1.1, Number.NaN, undefined].map(
    (failureRate) => [{ trip: { ...rate, failureRate } }, "trip.failureRate", /from 0 to 1/] as const
  ),
  [{ trip: {} }, "trip.type", /but is not stated/],
  [{ trip: { ...rate, window: undefined } }, "trip.window", /a count of calls or a duration/],
  [{ trip: { ...rate, window: 100 } }, "trip.window", /\{ count: 100 \} or \{ duration: "1 minute" \}, but is 100/],
  [{ trip: { ...rate, window: {} } }, "trip.window", /a count of calls or a duration/],
  [{ trip: { ...rate, window: { count: 1, duration: 1 } } }, "trip.window", /a count of calls or a duration/],
  [{ trip: { ...rate, window: { count: 0 } } }, "trip.window.count", /1 to 100000/],
  [{ trip: { ...rate, window: { count: 1e6 } } }, "trip.window.count", /1 to 100000/],
  [{ trip: { ...rate, window: { duration: "infinity" } } }, "trip.window.duration", /at most 24 days/],
  [{ trip: { ...rate, minimumCalls: 0 } }, "trip.minimumCalls", /whole number/],
  [{ trip: { ...rate, minimumCalls: 11 } }, "trip.minimumCalls", /no more than the window holds/],
  [{ trip: { ...rate, slowCallRate: 0.5 } }, "trip.slowCallRate", /together with slowCallDuration/],
  [{ trip: { ...rate, slowCallDuration: 5 } }, "trip.slowCallRate", /together with slowCallDuration/],
  [{ trip: { ...rate, slowCallRate: 2, slowCallDuration: 5 } }, "trip.slowCallRate", /from 0 to 1/],
  [{ trip: { ...rate, slowCallRate: 1, slowCallDuration: 0 } }, "trip.slowCallDuration", /above zero/]
]

describe("policy", () => {
  it("has its defaults, and the forms that a policy has when it is checked", () => {
    expect(Effect.runSync(CircuitBreaker.policy())).toEqual({
      name: "default",
      timeout: Duration.seconds(5),
      maxFailures: 5,
      resetTimeout: Duration.seconds(10),
      trip: { type: "consecutive" },
      probes: 1
    })
    const policy = Effect.runSync(
      CircuitBreaker.policy({
        timeout: 250,
        resetTimeout: "1 minute",
        trip: { ...rate, slowCallRate: 1, slowCallDuration: 5 }
      })
    )
    expect(policy).toMatchObject({
      timeout: Duration.millis(250),
      resetTimeout: Duration.minutes(1),
      trip: { minimumCalls: 10, slowCallDuration: Duration.millis(5) }
    })
    // Checked once more it is the same: it serves as options.
    expect(Effect.runSync(CircuitBreaker.policy(policy))).toEqual(policy)
  })

  for (const [options, field, message] of wrong) {
    test(
      `refuses ${JSON.stringify(options, (_, value) => (typeof value === "number" ? String(value) : value))?.slice(0, 80)}`,
      Effect.gen(function* () {
        const error = yield* Effect.flip(CircuitBreaker.policy(options))
        expect(error).toMatchObject({ _tag: "ConfigError", reason: "invalid_value" })
        expect(error.path).toMatch(new RegExp(`^circuitBreaker\\..+\\.${field}$`))
        expect(error.message).toMatch(message)
        expect(error.message.length).toBeLessThan(300)
        // In a call it is a mistake of the program.
        const cause = yield* Effect.sandbox(CircuitBreaker.execute(Effect.void, options)).pipe(Effect.flip)
        expect(cause).toMatchObject({ _tag: "Die", defect: { _tag: "ConfigError", path: error.path } })
      })
    )
  }
})

/** How many conflicts were reported, by telemetry and in the log. */
const conflictsIn = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const events: Array<unknown> = []
    const logged: Array<string> = []
    yield* Telemetry.attach(
      "conflicts",
      "circuit_breaker.policy.conflict",
      (event) => void events.push(event.metadata.name)
    )
    yield* effect.pipe(
      Effect.provide(
        Logger.replace(
          Logger.defaultLogger,
          Logger.make(({ message }) => void logged.push(String(message)))
        )
      )
    )
    return { events, logged }
  }).pipe(Effect.scoped)

describe("a name with two policies", () => {
  test(
    "is reported, in the log once, and the first stays",
    Effect.gen(function* () {
      const { events, logged } = yield* conflictsIn(
        Effect.gen(function* () {
          yield* fail({ name: "a", maxFailures: 2 })
          for (let i = 0; i < 3; i++) yield* CircuitBreaker.execute(Effect.void, { name: "a", maxFailures: 9 })
          yield* CircuitBreaker.execute(Effect.void, { name: "a", probes: 2 })
          yield* fail({ name: "a", maxFailures: 9 }, 2)
        })
      )
      expect(events).toEqual(["a", "a", "a"])
      expect(logged).toEqual([expect.stringContaining('The circuit "a" was used with a second policy')])
      expect(logged[0]).toContain("maxFailures 9")
      expect(yield* state).toBe("open")
    })
  )

  test(
    "is not one where they say the same in other words, or leave out what the other says",
    Effect.gen(function* () {
      const full = {
        name: "a",
        timeout: "1 second",
        resetTimeout: "1 minute",
        trip: { ...rate, window: { duration: "1 minute" } },
        probes: 2
      } as const
      const { events, logged } = yield* conflictsIn(
        Effect.forEach(
          [
            full,
            { ...full, trip: { ...full.trip } },
            { ...full, timeout: Duration.seconds(1), resetTimeout: 60_000 },
            { ...full, trip: { ...full.trip, minimumCalls: 10, window: { duration: Duration.minutes(1) } } },
            { name: "a" },
            { name: "a", probes: 2 },
            { name: "a", classify: () => "success" as const },
            { name: "a", timeout: 1000, maxFailures: undefined }
          ],
          (options) => CircuitBreaker.execute(Effect.void, options)
        )
      )
      expect([events, logged]).toEqual([[], []])
    })
  )

  test(
    "is not one where both have schedules, which cannot be compared",
    Effect.gen(function* () {
      const { events } = yield* conflictsIn(
        Effect.gen(function* () {
          for (let i = 0; i < 3; i++) yield* fail({ name: "a", resetTimeout: Schedule.spaced("1 second") })
          yield* fail({ name: "a", resetTimeout: "1 second" })
        })
      )
      expect(events).toEqual(["a"])
    })
  )

  test(
    "takes the first policy that is stated, though the name was used before",
    Effect.gen(function* () {
      const { events } = yield* conflictsIn(
        Effect.gen(function* () {
          yield* fail({ name: "a" })
          yield* fail({ name: "a", maxFailures: 2 })
        })
      )
      expect(events).toEqual([])
      expect(yield* state).toBe("open")
    })
  )
})

describe("policies from elsewhere", () => {
  /** As the configuration states them. */
  const stating = () => {
    let stated: Record<string, CircuitBreaker.ConfiguredPolicy> = {}
    const layer = Layer.effect(
      CircuitBreaker,
      Effect.orDie(CircuitBreaker.make({ policies: { revision: () => stated, get: (name) => stated[name] } }))
    ).pipe(Layer.provideMerge(Telemetry.layer))
    return {
      layer,
      state: (policies: Record<string, CircuitBreaker.ConfiguredPolicy>) =>
        Effect.sync(() => {
          stated = policies
        })
    }
  }

  it.effect("win over the code, field by field, at once and while the circuit keeps its state", () => {
    const elsewhere = stating()
    return Effect.gen(function* () {
      const code = { name: "a", maxFailures: 5, resetTimeout: "10 seconds", probes: 2 } as const
      yield* fail(code, 3)
      yield* elsewhere.state({ a: { maxFailures: 3 } })
      // The three are remembered, and judged at the next failure.
      expect(yield* state).toBe("closed")
      yield* fail(code)
      expect(yield* state).toBe("open")
      const status = yield* CircuitBreaker.status("a")
      expect(status).toMatchObject({ policy: { maxFailures: 3, probes: 2, resetTimeout: Duration.seconds(10) } })
      // The opening lasts as long as it began to; the next one is another.
      yield* elsewhere.state({ a: { resetTimeout: Duration.seconds(1), probes: 1 } })
      expect((yield* CircuitBreaker.status("a")).retryAfter).toEqual(Duration.seconds(10))
      yield* TestClock.adjust("10 seconds")
      yield* fail(code)
      expect((yield* CircuitBreaker.status("a")).retryAfter).toEqual(Duration.seconds(1))
      // Where it says nothing any more, the code holds.
      yield* elsewhere.state({})
      expect((yield* CircuitBreaker.status("a")).policy.probes).toBe(2)
    }).pipe(Effect.provide(elsewhere.layer))
  })

  it.effect("hold for the outcome of a call that is in flight", () => {
    const elsewhere = stating()
    return Effect.gen(function* () {
      const end = yield* Deferred.make<void, string>()
      const fiber = yield* Deferred.await(end).pipe(CircuitBreaker.execute({ name: "a" }), Effect.exit, Effect.fork)
      yield* Effect.yieldNow()
      yield* elsewhere.state({ a: { maxFailures: 1 } })
      yield* Deferred.fail(end, "down")
      yield* Fiber.join(fiber)
      expect(yield* state).toBe("open")
    }).pipe(Effect.provide(elsewhere.layer))
  })

  it.effect("close a half-open circuit when they ask for no more probes than have succeeded", () => {
    const elsewhere = stating()
    return Effect.gen(function* () {
      const code = { name: "a", maxFailures: 1, probes: 3 } as const
      yield* fail(code)
      yield* TestClock.adjust("10 seconds")
      yield* CircuitBreaker.execute(Effect.void, code)
      yield* CircuitBreaker.execute(Effect.void, code)
      expect(yield* state).toBe("half_open")
      yield* elsewhere.state({ a: { probes: 2 } })
      expect(yield* state).toBe("closed")
    }).pipe(Effect.provide(elsewhere.layer))
  })

  it.effect("leave a schedule of the code where it is", () => {
    const elsewhere = stating()
    return Effect.gen(function* () {
      const code = { name: "a", maxFailures: 1, resetTimeout: Schedule.exponential("1 second") } as const
      yield* fail(code)
      yield* TestClock.adjust("1 second")
      yield* elsewhere.state({ a: { timeout: Duration.minutes(1) } })
      yield* fail(code)
      expect((yield* CircuitBreaker.status("a")).retryAfter).toEqual(Duration.seconds(2))
    }).pipe(Effect.provide(elsewhere.layer))
  })

  it.effect("change the timeout and the trip of calls from then on", () => {
    const elsewhere = stating()
    return Effect.gen(function* () {
      yield* fail({ name: "a" }, 4)
      yield* elsewhere.state({
        a: { timeout: Duration.millis(50), trip: { type: "rate", window: { count: 2 }, failureRate: 1 } }
      })
      // Counted anew: four failures in a row are nothing to a window.
      yield* fail({ name: "a" })
      expect(yield* state).toBe("closed")
      const fiber = yield* Effect.fork(Effect.flip(CircuitBreaker.execute(Effect.never, { name: "a" })))
      yield* TestClock.adjust("50 millis")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "OperationTimeout" })
      expect(yield* state).toBe("open")
    }).pipe(Effect.provide(elsewhere.layer))
  })

  it.effect("come live from the configuration, with what is wrong reported and the last good one in force", () => {
    const source = Config.object({ circuitBreaker: { a: { maxFailures: 2, resetTimeout: "1 minute" } } })
    const layer = CircuitBreaker.layerConfig.pipe(
      Layer.provideMerge(Config.layerFrom(source)),
      Layer.provideMerge(Telemetry.layer)
    )
    return Effect.gen(function* () {
      // The fiber that reports what is wrong must be listening.
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      yield* fail({ name: "a", maxFailures: 7 }, 2)
      const error = yield* Effect.flip(CircuitBreaker.execute(Effect.void, { name: "a" }))
      expect((error as CircuitOpen).retryAfter).toEqual(Duration.minutes(1))
      yield* Config.set("circuitBreaker.a.maxFailures", 4)
      yield* CircuitBreaker.reset("a")
      yield* fail({ name: "a" }, 3)
      expect(yield* state).toBe("closed")
      const rejected = yield* Deferred.make<unknown>()
      yield* Telemetry.attach("rejected", "config.policy.rejected", ({ metadata }) =>
        Deferred.succeed(rejected, metadata.name)
      )
      yield* Config.set("circuitBreaker.a.maxFailures", 0)
      expect(yield* Deferred.await(rejected)).toBe("a")
      expect((yield* CircuitBreaker.status("a")).policy.maxFailures).toBe(4)
    }).pipe(Effect.scoped, Effect.provide(layer), Effect.provide(Logger.remove(Logger.defaultLogger)))
  })

  it("are read from what people write, and refused with a reason", () => {
    const read = Schema.decodeUnknownEither(ConfiguredPolicy, { onExcessProperty: "error" })
    expect(
      read({
        timeout: "2 seconds",
        resetTimeout: 500,
        probes: 2,
        trip: {
          type: "rate",
          window: { duration: "1 minute" },
          failureRate: 0.5,
          slowCallRate: 1,
          slowCallDuration: "1 second"
        }
      })
    ).toEqual(
      Either.right({
        timeout: Duration.seconds(2),
        resetTimeout: Duration.millis(500),
        probes: 2,
        trip: {
          type: "rate",
          window: { duration: Duration.minutes(1) },
          failureRate: 0.5,
          slowCallRate: 1,
          slowCallDuration: Duration.seconds(1)
        }
      })
    )
    expect(read({ timeout: "infinity" })).toEqual(Either.right({ timeout: Duration.infinity }))
    for (const bad of [
      { maxFailures: 0 },
      { maxFailures: 1.5 },
      { probes: 5000 },
      { timeout: 0 },
      { resetTimeout: "infinity" },
      { maxFailure: 3 },
      { trip: { type: "rate", window: { count: 5 }, failureRate: 2 } },
      { trip: { type: "rate", window: { count: 5 }, failureRate: 0.5, minimumCalls: 6 } },
      { trip: { type: "rate", window: { count: 5 }, failureRate: 0.5, slowCallRate: 0.5 } }
    ]) {
      expect(Either.isLeft(read(bad))).toBe(true)
    }
    expect(String(Either.getLeft(read({ maxFailures: 0 })))).toContain("must be a whole number from 1")
  })
})

test(
  "a call with bad options counts nothing and runs nothing",
  Effect.gen(function* () {
    let ran = false
    const effect = Effect.sync(() => (ran = true))
    const exit = yield* Effect.exit(CircuitBreaker.execute(effect, { name: "a", maxFailures: -1 }))
    expect(Exit.isFailure(exit)).toBe(true)
    expect(ran).toBe(false)
    expect(yield* CircuitBreaker.states).toEqual([])
  })
)
