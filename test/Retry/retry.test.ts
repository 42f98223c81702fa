import { describe, it } from "@effect/vitest"
import { Chunk, Clock, Duration, Effect, Exit, Fiber, Layer, Random, Schedule, TestClock } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import { CircuitOpen } from "effect-foundation/FoundationError"
import { RateLimiter } from "effect-foundation/RateLimiter"
import { Retry } from "effect-foundation/Retry"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { expect, describe as plain } from "vitest"
import { type Pace, waitAfter } from "../../src/Retry/Pace.js"

const millis = Effect.map(Clock.currentTimeMillis, Number)

/** Runs the effect to its end, with the test clock moved along as it waits. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, step: Duration.DurationInput = "100 millis") =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    while (fiber.unsafePoll() === null) yield* TestClock.adjust(step)
    return yield* Fiber.join(fiber)
  })

/** Fails each time with the next of the errors, and notes when it was tried. */
const attempts = <E>(errors: ReadonlyArray<E>) => {
  const at: Array<number> = []
  const effect = Effect.flatMap(millis, (now) => {
    const error = errors[Math.min(at.length, errors.length - 1)]
    at.push(now)
    return error === undefined ? Effect.succeed("up") : Effect.fail(error)
  })
  return { at, effect }
}

/** An error that asks to wait. */
const asking = (retryAfter: Duration.DurationInput) => ({ retryAfter: Duration.decode(retryAfter) })

const even = { jitter: 0, base: "100 millis" } as const

describe("Retry.schedule", () => {
  it.effect("waits longer from one retry to the next, up to maxDelay, and ends after so many", () =>
    Effect.gen(function* () {
      const { at, effect } = attempts(["down"])
      const exit = yield* passing(Effect.retry(effect, Retry.schedule({ ...even, times: 5, maxDelay: "500 millis" })))
      expect(exit).toEqual(Exit.fail("down"))
      expect(at).toEqual([0, 100, 300, 700, 1200, 1700])
    })
  )

  it.effect("retries three times where not told otherwise, and not at all where told so", () =>
    Effect.gen(function* () {
      const { at, effect } = attempts(["down"])
      yield* passing(Effect.retry(effect, Retry.schedule()))
      expect(at).toHaveLength(4)
      const none = attempts(["down"])
      yield* passing(Effect.retry(none.effect, Retry.schedule({ times: 0 })))
      expect(none.at).toHaveLength(1)
    })
  )

  it.effect("waits as long as the error asks for, also beyond maxDelay", () =>
    Effect.gen(function* () {
      const { at, effect } = attempts([asking("2 seconds"), asking("50 millis"), asking("1 minute")])
      yield* passing(Effect.retry(effect, Retry.schedule({ ...even, maxDelay: "1 second" })))
      expect(at).toEqual([0, 2000, 2200, 62_200])
    })
  )

  it.effect("adds the random share on top of what the error asks for", () =>
    Effect.gen(function* () {
      const waits = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, seed) => seed),
        (seed) =>
          Effect.gen(function* () {
            const driver = yield* Schedule.driver(Retry.schedule({ base: "1 second", jitter: 0.5 }))
            const fiber = yield* Effect.fork(driver.next(asking("3 seconds")))
            yield* TestClock.adjust("1 minute")
            return Duration.toMillis(yield* Fiber.join(fiber))
          }).pipe(Effect.withRandom(Random.make(seed)))
      )
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(3000)
      expect(Math.max(...waits)).toBeLessThanOrEqual(3500)
      expect(new Set(waits).size).toBeGreaterThan(25)
    })
  )

  it.effect("does not begin a wait that would end past maxElapsed", () =>
    Effect.gen(function* () {
      const { at, effect } = attempts(["down"])
      yield* passing(Effect.retry(effect, Retry.schedule({ ...even, times: 10, maxElapsed: "699 millis" })))
      expect(at).toEqual([0, 100, 300])
      const long = attempts([asking("1 hour")])
      yield* passing(Effect.retry(long.effect, Retry.schedule({ ...even, maxElapsed: "1 minute" })))
      expect(long.at).toHaveLength(1)
    })
  )

  it.effect("counts the time of the attempts, not only of the waits", () =>
    Effect.gen(function* () {
      const { at, effect } = attempts(["down"])
      const slow = Effect.tapError(effect, () => Effect.sleep("1 second"))
      yield* passing(Effect.retry(slow, Retry.schedule({ ...even, times: 10, maxElapsed: "2500 millis" })))
      expect(at).toHaveLength(3)
    })
  )

  it.effect("is not moved by a jump of the wall clock", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.clockWith(Effect.succeed)
      let jumps = 0
      const jumping = Object.assign(Object.create(clock), {
        unsafeCurrentTimeMillis: () => ++jumps * 1e9,
        unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
        currentTimeMillis: Effect.sync(() => ++jumps * 1e9)
      }) as Clock.Clock
      const times = attempts(["down"])
      yield* passing(
        Effect.retry(times.effect, Retry.schedule({ ...even, maxElapsed: "1 second" })).pipe(Effect.withClock(jumping))
      )
      expect(times.at).toHaveLength(4)
    })
  )

  it.effect("retries what the `while` of Effect.retry says is worth it", () =>
    Effect.gen(function* () {
      const { at, effect } = attempts<"busy" | "gone">(["busy", "busy", "gone", "busy"])
      const exit = yield* passing(
        effect.pipe(Effect.retry({ schedule: Retry.schedule(even), while: (error) => error === "busy" }))
      )
      expect(exit).toEqual(Exit.fail("gone"))
      expect(at).toEqual([0, 100, 300])
    })
  )

  it.effect("does not wait where the error asks to wait for ever", () =>
    Effect.gen(function* () {
      const endless = attempts([asking(Duration.infinity)])
      yield* passing(Effect.retry(endless.effect, Retry.schedule()))
      expect(endless.at).toHaveLength(1)
    })
  )

  it.effect("retries no defect and no interruption", () =>
    Effect.gen(function* () {
      for (const end of [Effect.die("bug"), Effect.interrupt]) {
        let tried = 0
        yield* passing(
          Effect.retry(
            Effect.suspend(() => {
              tried++
              return end
            }),
            Retry.schedule()
          )
        )
        expect(tried).toBe(1)
      }
    })
  )

  it.effect("can be used many times: each use begins anew", () =>
    Effect.gen(function* () {
      const schedule = Retry.schedule({ ...even, times: 1 })
      for (let i = 0; i < 3; i++) {
        const { at, effect } = attempts(["down"])
        yield* passing(Effect.retry(effect, schedule))
        expect(at).toHaveLength(2)
      }
    })
  )

  it.effect("combines with other schedules", () =>
    Effect.gen(function* () {
      const waits = yield* passing(
        Schedule.run(Retry.schedule({ ...even, times: 10 }).pipe(Schedule.intersect(Schedule.recurs(2))), 0, [
          "a",
          "b",
          "c",
          "d"
        ])
      )
      expect(Exit.map(waits, (chunk) => Chunk.toReadonlyArray(chunk).map(([wait]) => Duration.toMillis(wait)))).toEqual(
        Exit.succeed([100, 200, 400])
      )
    })
  )

  it.effect("takes a call through on the first attempt after the circuit lets it", () =>
    Effect.gen(function* () {
      let reached = 0
      const work = Effect.suspend(() => (++reached <= 2 ? Effect.fail("down" as const) : Effect.succeed(reached)))
      const rejected: Array<number> = []
      const guarded = work.pipe(
        CircuitBreaker.execute({ name: "a", maxFailures: 2, resetTimeout: "10 seconds" }),
        Effect.tapErrorTag("CircuitOpen", () => Effect.map(millis, (now) => rejected.push(now)))
      )
      const started = yield* millis
      const exit = yield* passing(Effect.retry(guarded, Retry.schedule({ ...even, times: 5 })))
      // Failures at 0 and 100 open it, the retry at 300 is rejected for the 9800 that are left, and the next is a success.
      expect(exit).toEqual(Exit.succeed(3))
      expect(rejected.map((at) => at - started)).toEqual([300])
      expect((yield* millis) - started).toBe(10_100)
    }).pipe(Effect.provide(Layer.provide(CircuitBreaker.layer, Telemetry.layer)))
  )

  it.effect("takes a call through on the first attempt after the limit lets it", () =>
    Effect.gen(function* () {
      const limit = { name: "a", maxRequests: 1, interval: "5 seconds" } as const
      let refused = 0
      const call = Effect.tapError(RateLimiter.consume(limit), () => Effect.sync(() => refused++))
      yield* call
      const exit = yield* passing(Effect.retry(call, Retry.schedule(even)))
      expect(Exit.isSuccess(exit)).toBe(true)
      expect(refused).toBe(1)
    }).pipe(Effect.provide(Layer.provide(RateLimiter.layer, Telemetry.layer)))
  )

  it.effect("heeds the advice of an error that came over the wire", () =>
    Effect.gen(function* () {
      const error = new CircuitOpen({ message: "later", circuit: "a", state: "open", retryAfter: Duration.seconds(7) })
      const { at, effect } = attempts([error])
      yield* passing(Effect.retry(effect, Retry.schedule({ ...even, times: 1 })), "1 second")
      expect(at).toEqual([0, 7000])
    })
  )

  for (const [options, field] of [
    [{ times: -1 }, "times"],
    [{ times: 1.5 }, "times"],
    [{ times: Number.NaN }, "times"],
    [{ times: Number.POSITIVE_INFINITY }, "times"],
    [{ factor: 0.5 }, "factor"],
    [{ factor: Number.NaN }, "factor"],
    [{ factor: Number.POSITIVE_INFINITY }, "factor"],
    [{ jitter: -0.1 }, "jitter"],
    [{ jitter: 1.1 }, "jitter"],
    [{ jitter: Number.NaN }, "jitter"],
    [{ base: -1 }, "base"],
    [{ base: Number.NaN }, "base"],
    [{ base: Duration.infinity }, "base"],
    [{ maxDelay: -5 }, "maxDelay"],
    [{ maxElapsed: Number.NaN }, "maxElapsed"]
  ] as const) {
    it(`refuses ${field} ${String(Object.values(options)[0])}, when it is made`, () => {
      expect(() => Retry.schedule(options)).toThrow(
        expect.objectContaining({ _tag: "ConfigError", reason: "invalid_value", path: `retry.${field}` })
      )
    })
  }
})

plain("the wait", () => {
  const pace: fc.Arbitrary<Pace> = fc.record({
    base: fc.double({ min: 0, max: 1e6, noNaN: true }),
    factor: fc.double({ min: 1, max: 10, noNaN: true }),
    maxDelay: fc.oneof(fc.double({ min: 0, max: 1e7, noNaN: true }), fc.constant(Number.POSITIVE_INFINITY)),
    jitter: fc.double({ min: 0, max: 1, noNaN: true })
  })
  const random = fc.double({ min: 0, max: 1, noNaN: true })

  it("is whole, no shorter than asked for, and no longer than that and the backoff allow", () => {
    fc.assert(
      fc.property(pace, fc.nat(20), fc.nat(100_000), random, (pace, failure, askedFor, random) => {
        const wait = waitAfter(pace, failure, askedFor, random)
        const backoff = Math.min(pace.maxDelay, pace.base * pace.factor ** failure)
        expect(wait).toBeGreaterThanOrEqual(askedFor)
        expect(wait).toBeGreaterThanOrEqual(Math.floor(backoff - backoff * pace.jitter))
        expect(wait).toBeLessThanOrEqual(Math.ceil(Math.max(askedFor + backoff * pace.jitter, backoff)))
        if (Number.isFinite(backoff)) expect(Number.isInteger(wait)).toBe(true)
      }),
      {
        numRuns: 2000,
        // The random share as a whole, whose sum with the rest comes out above the backoff.
        examples: [
          [{ base: 246306, factor: 5, maxDelay: Number.POSITIVE_INFINITY, jitter: 0.19555399375838164 }, 20, 0, 1]
        ]
      }
    )
  })
})
