import { expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { type Algorithm, fixedWindow, slidingWindow, tokenBucket } from "../../src/RateLimiter/Algorithm.js"
import { startChild } from "../support/child.js"
import { describeRedis, freshPrefix, sharedRedis, urlOf } from "../support/redis.js"
import type { Order, Tally } from "./redisHammer.js"

/** Small enough to be used up at once; some do not divide evenly. */
const limits = [
  { name: "even", maxRequests: 50, interval: "200 millis", algorithm: "sliding-window", maxCost: 1 },
  { name: "odd", maxRequests: 7, interval: "61 millis", algorithm: "sliding-window", maxCost: 3 },
  { name: "many", maxRequests: 300, interval: "1 second", algorithm: "sliding-window", maxCost: 5 },
  { name: "window", maxRequests: 7, interval: "60 millis", algorithm: "fixed-window", maxCost: 3 },
  { name: "bucket", maxRequests: 300, interval: "1 second", algorithm: "token-bucket", maxCost: 5 }
] as const

type Taken = readonly [at: number, cost: number]

/** The most that is admitted in a span of the interval, wherever it starts. */
const mostInAnySpan = (taken: ReadonlyArray<Taken>, interval: number): number => {
  let most = 0
  let sum = 0
  let first = 0
  for (const [at, cost] of taken) {
    sum += cost
    // The span is half open: what is a whole interval older is outside.
    for (let oldest = taken[first]; oldest !== undefined && oldest[0] <= at - interval; oldest = taken[first]) {
      sum -= oldest[1]
      first++
    }
    most = Math.max(most, sum)
  }
  return most
}

/** Whether the core in one process would have admitted the same. */
const refusedBy = <State>(
  algorithm: Algorithm<State>,
  taken: ReadonlyArray<Taken>,
  maxRequests: number,
  interval: number
) => {
  const state = algorithm.fresh()
  return taken.filter(([at, cost]) => !algorithm.take(state, { maxRequests, interval }, cost, at).admitted)
}

describeRedis("four processes that share limits", () => {
  it.scopedLive(
    "together never exceed one in any span of its interval, by the time of Redis",
    () =>
      Effect.gen(function* () {
        const order: Order = {
          url: urlOf(yield* sharedRedis),
          prefix: yield* freshPrefix,
          limits,
          millis: 3000
        }
        const tallies = yield* Effect.forEach(
          Array.from({ length: 4 }),
          () =>
            Effect.gen(function* () {
              const child = yield* startChild<Tally, Order>(new URL("./redisHammer.ts", import.meta.url))
              yield* child.send(order)
              return yield* child.receive
            }),
          { concurrency: "unbounded" }
        )
        // Each process had its part.
        for (const { admitted, refused } of tallies) {
          expect(Object.keys(admitted)).not.toEqual([])
          expect(Object.keys(refused)).not.toEqual([])
        }
        for (const { algorithm, interval, maxCost, maxRequests, name } of limits) {
          const micros = Duration.toMillis(interval) * 1000
          const taken = tallies.flatMap(({ admitted }) => admitted[name] ?? []).sort(([one], [other]) => one - other)
          switch (algorithm) {
            case "sliding-window":
              // Never more, and none is refused for which there is room. How much is wanted is up to the machine.
              expect(mostInAnySpan(taken, micros), name).toBeLessThanOrEqual(maxRequests)
              if (tallies.some(({ refused }) => refused[name] !== undefined)) {
                expect(mostInAnySpan(taken, micros), name).toBeGreaterThan(maxRequests - maxCost)
              }
              expect(refusedBy(slidingWindow, taken, maxRequests, micros)).toEqual([])
              break
            case "fixed-window":
              expect(refusedBy(fixedWindow, taken, maxRequests, micros)).toEqual([])
              break
            case "token-bucket":
              expect(refusedBy(tokenBucket, taken, maxRequests, micros)).toEqual([])
              break
          }
        }
      }),
    60_000
  )
})
