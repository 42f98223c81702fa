import { expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import {
  type Algorithm,
  fixedWindow,
  peekLine,
  type Rate,
  slidingWindow,
  tokenBucket
} from "../../src/RateLimiter/Algorithm.js"
import type { Verdict } from "../../src/RateLimiter/Backend.js"
import type { Limit } from "../../src/RateLimiter/Policy.js"
import { Decisions } from "../../src/RateLimiter/Redis/Decisions.js"
import { Keys } from "../../src/RateLimiter/Redis/Keys.js"
import { describeRedis, freshPrefix, sharedRedisLayer } from "../support/redis.js"

/** What a caller does: lets time pass, then asks for so much, beside what others wait for. */
interface Step {
  readonly pause: number
  readonly cost: number
  readonly reserved: number
  readonly peeks: boolean
}

interface Run {
  readonly start: number
  /** One rate after the other, as an operator changes it. */
  readonly phases: ReadonlyArray<{ readonly rate: Rate; readonly steps: ReadonlyArray<Step> }>
}

const year = 366 * 24 * 60 * 60 * 1_000_000

/** What goes back further than a second is another matter in Redis. */
const longestStepBack = 1_000_000

/** Small ones, in which everything happens often; and those whose products do not fit into a double. */
const rates = (most: number): fc.Arbitrary<Rate> =>
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ maxRequests: fc.integer({ min: 1, max: 12 }), interval: fc.integer({ min: 1, max: 60 }) })
    },
    fc.constantFrom<Rate>(
      { maxRequests: 7, interval: 60_000_000 },
      { maxRequests: 300, interval: 1_000_000 },
      { maxRequests: 1_000_000, interval: 86_400_000_000 },
      { maxRequests: most, interval: year },
      { maxRequests: most - 1, interval: year - 1 },
      { maxRequests: most - 1, interval: 99_999_989 },
      { maxRequests: most, interval: 1 }
    )
  )

const stepsOf = (rate: Rate): fc.Arbitrary<ReadonlyArray<Step>> =>
  fc.array(
    fc.record({
      pause: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 3 }) },
        { weight: 4, arbitrary: fc.integer({ min: 0, max: rate.interval * 2 }) },
        // A clock that is set back a little.
        { weight: 1, arbitrary: fc.integer({ min: -rate.interval, max: 0 }) }
      ),
      cost: fc.oneof(
        fc.integer({ min: 1, max: rate.maxRequests }),
        fc.integer({ min: 1, max: Math.min(3, rate.maxRequests) })
      ),
      reserved: fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: rate.maxRequests * 3 }) }
      ),
      peeks: fc.boolean()
    }),
    { maxLength: 40, size: "max" }
  )

const runs = (most: number): fc.Arbitrary<Run> =>
  fc.record({
    start: fc.constantFrom(100_000_000_000_000, 1_763_791_000_000_000),
    phases: fc.array(
      rates(most).chain((rate) => fc.record({ rate: fc.constant(rate), steps: stepsOf(rate) })),
      { minLength: 1, maxLength: 3, size: "max" }
    )
  })

/** What the core in the process decides, as the backend there asks it. */
const oracle = <State>(algorithm: Algorithm<State>) => {
  const state = algorithm.fresh()
  return ({ cost, peeks, reserved }: Step, rate: Rate, now: number): Verdict => {
    const peeked = peekLine(algorithm, state, rate, cost + reserved, now)
    const decision = peeks || !peeked.admitted ? peeked : algorithm.take(state, rate, cost, now)
    return { ...decision, remaining: Math.max(0, decision.remaining - reserved) }
  }
}

const cases = [
  { name: "sliding-window", most: 10_000_000, oracle: () => oracle(slidingWindow) },
  { name: "fixed-window", most: 1_000_000_000, oracle: () => oracle(fixedWindow) },
  { name: "token-bucket", most: 1_000_000_000, oracle: () => oracle(tokenBucket) }
] as const

const decided = (ask: (done: (error: Error | undefined, verdicts: ReadonlyArray<Verdict>) => void) => void) =>
  new Promise<ReadonlyArray<Verdict>>((resolve, reject) =>
    ask((error, verdicts) => (error === undefined ? resolve(verdicts) : reject(error)))
  )

const test = (title: string, body: Effect.Effect<void, unknown, Redis | Scope.Scope>) =>
  it.scopedLive(title, () => body.pipe(Effect.provide(sharedRedisLayer), Effect.provide(Telemetry.layer)))

describeRedis("the scripts of the limits", () => {
  for (const { most, name, oracle } of cases) {
    test(
      `${name}: decides as the core in the process, whatever the rates, costs, lines and clock`,
      Effect.gen(function* () {
        const redis = yield* Redis
        const keys = new Keys(yield* freshPrefix, false)
        let now = 0
        const decisions = new Decisions(redis, keys, 5000, () => now)
        let key = 0
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(runs(most), async ({ phases, start }) => {
              const expected: Array<Verdict> = []
              const answers: Array<Promise<ReadonlyArray<Verdict>>> = []
              const decide = oracle()
              now = start
              let latest = start
              key++
              for (const { rate, steps } of phases) {
                const limit: Limit = { name: "model", algorithm: name, ...rate }
                for (const step of steps) {
                  now = Math.max(now + step.pause, latest - longestStepBack)
                  latest = Math.max(latest, now)
                  const { cost, peeks, reserved } = step
                  const request = { limit, key: `${key}`, cost, reserved }
                  expected.push(decide(step, rate, now))
                  answers.push(
                    decided((done) => (peeks ? decisions.peek(request, done) : decisions.take([request], done)))
                  )
                }
              }
              expect((await Promise.all(answers)).flat()).toEqual(expected)
            }),
            { numRuns: 1000 }
          )
        )
      })
    )
  }
})
