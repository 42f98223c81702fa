import { it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { RateLimiter } from "effect-foundation/RateLimiter"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { describe, expect } from "vitest"
import {
  type Algorithm,
  type AlgorithmName,
  algorithmNames,
  fixedWindow,
  slidingWindow,
  tokenBucket
} from "../../src/RateLimiter/Algorithm.js"
import type { Request } from "../../src/RateLimiter/Backend.js"
import type { Decision } from "../../src/RateLimiter/Decision.js"
import { Memory } from "../../src/RateLimiter/Memory.js"
import type { Limit } from "../../src/RateLimiter/Policy.js"
import { ManualClock } from "../ManualClock.js"

const second = 1_000_000

const limitOf = (name: string, algorithm: AlgorithmName = "sliding-window", maxRequests = 2): Limit => ({
  name,
  algorithm,
  maxRequests,
  interval: 60 * second
})

const request = (limit: Limit, key: string): Request => ({ limit, key, cost: 1, reserved: 0 })

/** A clock that is set by hand, in microseconds. */
const clockAt = () => {
  const clock = new ManualClock()
  return { clock, advance: (millis: number) => Effect.runSync(clock.advance(millis)) }
}

type Take = (limit: Limit, cost: number, now: number) => Decision

/** A state that nobody forgets, and what takes from it. */
const core = <State>(algorithm: Algorithm<State>): Take => {
  const state = algorithm.fresh()
  return (limit, cost, now) => algorithm.take(state, limit, cost, now)
}

const cores: Record<AlgorithmName, () => Take> = {
  "sliding-window": () => core(slidingWindow),
  "fixed-window": () => core(fixedWindow),
  "token-bucket": () => core(tokenBucket)
}

describe("keys", () => {
  for (const algorithm of algorithmNames) {
    it(`${algorithm}: of a million that were seen once, none is kept when the interval has passed`, () => {
      const memory = new Memory()
      const { advance, clock } = clockAt()
      const limit = limitOf("once", algorithm)
      for (let index = 0; index < 1_000_000; index++) memory.take([request(limit, `key-${index}`)], clock)
      expect(memory.keys).toBe(1_000_000)
      advance(60_000)
      memory.take([request(limit, "next")], clock)
      expect(memory.keys).toBe(1)
    })
  }

  it("that come steadily are kept for at most two intervals", () => {
    const memory = new Memory()
    const { advance, clock } = clockAt()
    const limit = limitOf("steady")
    let most = 0
    for (let index = 0; index < 60_000; index++) {
      memory.take([request(limit, `key-${index}`)], clock)
      advance(10)
      most = Math.max(most, memory.keys)
    }
    // 6000 in an interval.
    expect(most).toBeLessThanOrEqual(12_001)
  })

  it("that stay in use are kept once each", () => {
    const memory = new Memory()
    const { advance, clock } = clockAt()
    for (let index = 0; index < 20; index++) {
      memory.take([request(limitOf("used"), "a")], clock)
      memory.take([request(limitOf("used"), "b")], clock)
      expect(memory.keys).toBe(2)
      advance(35_000)
    }
  })

  it("of a name that is no longer called go when others are called", () => {
    const memory = new Memory()
    const { advance, clock } = clockAt()
    for (let index = 0; index < 1000; index++) memory.take([request(limitOf("idle"), `key-${index}`)], clock)
    const busy = limitOf("busy")
    memory.take([request(busy, "one")], clock)
    advance(60_000)
    for (let index = 0; index < 5; index++) memory.take([request(busy, `other-${index}`)], clock)
    expect(memory.keys).toBe(5)
  })

  it("are never forgotten while it matters: random keys, times and algorithms, against states that nobody forgets", () => {
    const steps = fc.array(
      fc.record({ key: fc.constantFrom("a", "b", "c", "d"), pause: fc.integer({ min: 0, max: 70_000 }) }),
      { maxLength: 60 }
    )
    fc.assert(
      fc.property(fc.constantFrom(...algorithmNames), steps, (algorithm, steps) => {
        const memory = new Memory()
        const { advance, clock } = clockAt()
        const limit = limitOf("shared", algorithm)
        const apart = new Map<string, Take>()
        let now = 0
        for (const { key, pause } of steps) {
          advance(pause)
          now += pause * 1000
          const own = apart.get(key) ?? cores[algorithm]()
          apart.set(key, own)
          expect(memory.take([request(limit, key)], clock)).toEqual([own(limit, 1, now)])
        }
      })
    )
  })

  it("past the bound are refused while the others are in use, and those lose nothing", () => {
    const memory = new Memory({ maxKeys: 3 })
    const { advance, clock } = clockAt()
    const limit = limitOf("bounded", "sliding-window", 1)
    for (const key of ["a", "b", "c"]) expect(memory.take([request(limit, key)], clock)[0]?.admitted).toBe(true)
    advance(10_000)
    expect(memory.take([request(limit, "d")], clock)).toMatchObject([
      { admitted: false, full: true, retryAfter: 50 * second }
    ])
    expect(memory.take([request(limit, "a")], clock)).toMatchObject([{ admitted: false, retryAfter: 50 * second }])
    expect(memory.keys).toBe(3)
    advance(50_000)
    expect(memory.take([request(limit, "d")], clock)).toMatchObject([{ admitted: true }])
    expect(memory.keys).toBe(1)
  })

  it.effect("past the bound make an error that says so", () => {
    const layer = RateLimiter.layerMemory({ maxKeys: 1 }).pipe(Layer.provide(Telemetry.layer))
    return Effect.gen(function* () {
      yield* RateLimiter.consume({ key: "a" })
      const error = yield* Effect.flip(RateLimiter.consume({ key: "b" }))
      expect(error).toMatchObject({ _tag: "RateLimited", context: { reason: "keys_full" } })
      expect(error.message).toContain("maxKeys")
      yield* RateLimiter.reset({ key: "a" })
      yield* RateLimiter.consume({ key: "b" })
    }).pipe(Effect.provide(layer))
  })

  it.effect("have a bound that can be", () =>
    Effect.gen(function* () {
      for (const maxKeys of [0, 1.5, Number.NaN]) {
        const refused = Effect.flip(RateLimiter.make({ maxKeys }))
        expect(yield* refused).toMatchObject({ _tag: "ConfigError", path: "rateLimiter.maxKeys" })
      }
    }).pipe(Effect.provide(Telemetry.layer))
  )
})
