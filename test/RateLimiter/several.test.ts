import { describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { RateLimiter } from "effect-foundation/RateLimiter"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { expect } from "vitest"
import { type Algorithm, peekLine, type Rate, slidingWindow, tokenBucket } from "../../src/RateLimiter/Algorithm.js"
import { ManualClock, settled } from "../ManualClock.js"

const layer = RateLimiter.layer.pipe(Layer.provide(Telemetry.layer))

interface Part {
  readonly limit: number
  readonly cost: number
}

interface Call {
  readonly at: number
  readonly parts: ReadonlyArray<Part>
  /** When it is interrupted, if it still waits; -1 for never. */
  readonly leaves: number
}

interface Case {
  readonly rates: ReadonlyArray<Rate>
  readonly calls: ReadonlyArray<Call>
}

type Outcome = `admitted ${number}` | `left ${number}` | "waiting"

/**
 * What should happen: at each moment, and after each departure, those that wait are looked at in order of arrival, and
 * one is admitted where each of its limits has room for it beside all that those before it wait for.
 */
const oracle = <State>(algorithm: Algorithm<State>, { calls, rates }: Case, end: number): ReadonlyArray<Outcome> => {
  const limits = rates.map((rate) => ({ rate: { ...rate, interval: rate.interval * 1000 }, state: algorithm.fresh() }))
  const outcomes = new Map<Call, Outcome>()
  let line: ReadonlyArray<Call> = []
  const serve = (now: number) => {
    const reserved = limits.map(() => 0)
    for (const call of line) {
      const fits = call.parts.every(({ cost, limit }) => {
        const of = limits[limit]
        if (of === undefined) return false
        return peekLine(algorithm, of.state, of.rate, cost + (reserved[limit] ?? 0), now * 1000).admitted
      })
      for (const { cost, limit } of call.parts) {
        const of = limits[limit]
        if (fits && of !== undefined) expect(algorithm.take(of.state, of.rate, cost, now * 1000).admitted).toBe(true)
        if (!fits) reserved[limit] = (reserved[limit] ?? 0) + cost
      }
      if (fits) outcomes.set(call, `admitted ${now}`)
    }
    line = line.filter((call) => !outcomes.has(call))
  }
  for (let now = 0; now <= end; now++) {
    serve(now)
    for (const call of calls.filter(({ leaves }) => leaves === now)) {
      if (!line.includes(call)) continue
      outcomes.set(call, `left ${now}`)
      line = line.filter((other) => other !== call)
      serve(now)
    }
    for (const call of calls.filter(({ at }) => at === now)) {
      line = [...line, call]
      serve(now)
    }
  }
  return calls.map((call) => outcomes.get(call) ?? "waiting")
}

const run = (
  clock: ManualClock,
  algorithm: RateLimiter.Algorithm,
  { calls, rates }: Case,
  end: number
): Effect.Effect<ReadonlyArray<Outcome>, never, RateLimiter> =>
  Effect.gen(function* () {
    const fibers = new Map<Call, Fiber.RuntimeFiber<Outcome>>()
    for (let now = 0; now <= end; now++) {
      if (now > 0) yield* clock.advance(1)
      for (const call of calls.filter(({ leaves }) => leaves === now)) {
        const fiber = fibers.get(call)
        if (fiber !== undefined) yield* Effect.zipRight(Fiber.interrupt(fiber), settled)
      }
      for (const call of calls.filter(({ at }) => at === now)) {
        const limits = call.parts.map(({ cost, limit }) => ({
          ...rates[limit],
          name: `limit-${limit}`,
          algorithm,
          cost,
          onExceeded: "wait" as const,
          maxWait: Duration.infinity
        }))
        const made = Effect.map(
          Effect.zipRight(Effect.orDie(RateLimiter.consumeAll(limits)), Clock.currentTimeMillis),
          (at): Outcome => `admitted ${at}`
        )
        fibers.set(call, yield* Effect.zipLeft(Effect.fork(made), settled))
      }
    }
    const outcomes: Array<Outcome> = []
    for (const call of calls) {
      const fiber = fibers.get(call)
      if (fiber === undefined) return yield* Effect.dieMessage("a call was not made")
      const exit = fiber.unsafePoll()
      outcomes.push(exit === null ? "waiting" : Exit.isSuccess(exit) ? exit.value : `left ${call.leaves}`)
      yield* Fiber.interrupt(fiber)
    }
    return outcomes
  })

const cases: fc.Arbitrary<Case> = fc
  .array(
    fc
      .record({ maxRequests: fc.integer({ min: 1, max: 4 }), each: fc.integer({ min: 1, max: 3 }) })
      .map(({ each, maxRequests }) => ({ maxRequests, interval: maxRequests * each })),
    { minLength: 3, maxLength: 3 }
  )
  .chain((rates) => {
    const part = (limit: number) =>
      fc.integer({ min: 1, max: rates[limit]?.maxRequests ?? 1 }).map((cost) => ({ limit, cost }))
    const parts = fc
      .subarray([0, 1, 2], { minLength: 1 })
      .chain((limits) => fc.shuffledSubarray(limits, { minLength: limits.length }))
      .chain((limits) => fc.tuple(...limits.map(part)))
    const call = fc
      .record({ at: fc.integer({ min: 0, max: 10 }), parts, stays: fc.integer({ min: 1, max: 40 }) })
      .map(({ at, parts, stays }) => ({ at, parts, leaves: stays > 15 ? -1 : at + stays }))
    return fc.record({ rates: fc.constant(rates), calls: fc.array(call, { maxLength: 10 }) })
  })

describe("calls that wait for several limits at once, against a naive line", () => {
  const agrees = <State>(name: RateLimiter.Algorithm, algorithm: Algorithm<State>) =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(cases, async (one) => {
          const end = 60
          const clock = new ManualClock()
          const outcomes = await run(clock, name, one, end).pipe(
            Effect.provide(layer),
            Effect.withClock(clock),
            Effect.runPromise
          )
          expect(outcomes).toEqual(oracle(algorithm, one, end))
        }),
        { numRuns: 60 }
      )
    )

  it.live(
    "sliding-window: each is admitted as soon as nothing before it needs the room",
    () => agrees("sliding-window", slidingWindow),
    60_000
  )
  it.live(
    "token-bucket: each is admitted as soon as nothing before it needs the room",
    () => agrees("token-bucket", tokenBucket),
    60_000
  )
})
