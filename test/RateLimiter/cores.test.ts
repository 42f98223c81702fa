import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type Algorithm,
  fixedWindow,
  peekLine,
  type Rate,
  slidingWindow,
  tokenBucket
} from "../../src/RateLimiter/Algorithm.js"

/** A step of a caller: some time passes, then it asks for so much. */
interface Step {
  readonly pause: number
  readonly cost: number
}

const rates: fc.Arbitrary<Rate> = fc.record({
  maxRequests: fc.integer({ min: 1, max: 12 }),
  interval: fc.integer({ min: 1, max: 60 })
})

const stepsOf = (rate: Rate, max = 60): fc.Arbitrary<ReadonlyArray<Step>> =>
  fc.array(
    fc.record({
      pause: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: rate.interval * 2 })),
      cost: fc.integer({ min: 1, max: rate.maxRequests })
    }),
    { maxLength: max }
  )

const runs: fc.Arbitrary<{ rate: Rate; start: number; steps: ReadonlyArray<Step> }> = rates.chain((rate) =>
  fc.record({
    rate: fc.constant(rate),
    start: fc.constantFrom(0, 7, 1_763_791_000_000_000),
    steps: stepsOf(rate)
  })
)

interface Taken {
  readonly at: number
  readonly cost: number
}

/** Runs the steps, and answers what was admitted. */
const admissions = <State>(algorithm: Algorithm<State>, rate: Rate, start: number, steps: ReadonlyArray<Step>) => {
  const state = algorithm.fresh()
  const taken: Array<Taken> = []
  let now = start
  for (const { cost, pause } of steps) {
    now += pause
    if (algorithm.take(state, rate, cost, now).admitted) taken.push({ at: now, cost })
  }
  return { state, taken, now }
}

const sum = (taken: ReadonlyArray<Taken>) => taken.reduce((total, { cost }) => total + cost, 0)

/** What each algorithm should answer, computed from the whole history of admissions, slowly. */
interface Oracle {
  /** Whether a call of this cost at this time fits after these. */
  readonly fits: (taken: ReadonlyArray<Taken>, rate: Rate, cost: number, at: number) => boolean
}

const sliding: Oracle = {
  fits: (taken, rate, cost, at) => sum(taken.filter((one) => one.at > at - rate.interval)) + cost <= rate.maxRequests
}

const fixed: Oracle = {
  fits: (taken, rate, cost, at) => {
    let start = Number.NEGATIVE_INFINITY
    let used = 0
    for (const one of [...taken, { at, cost }]) {
      if (one.at >= start + rate.interval) {
        start = one.at
        used = 0
      }
      used += one.cost
    }
    return used <= rate.maxRequests
  }
}

/** In exact fractions: the level times the interval, in bigint. */
const bucket: Oracle = {
  fits: (taken, rate, cost, at) => {
    const interval = BigInt(rate.interval)
    const max = BigInt(rate.maxRequests)
    let level = max * interval
    let last: number | undefined
    for (const one of [...taken, { at, cost }]) {
      if (last !== undefined) level += BigInt(one.at - last) * max
      if (level > max * interval) level = max * interval
      last = one.at
      level -= BigInt(one.cost) * interval
    }
    return level >= 0n
  }
}

const first = (from: number, to: number, holds: (value: number) => boolean): number => {
  for (let value = from; value <= to; value++) if (holds(value)) return value
  throw new Error("none of them")
}

const laws = <State>(name: string, algorithm: Algorithm<State>, oracle: Oracle) =>
  describe(name, () => {
    it("admits, and tells what remains, as the naive oracle does", () => {
      fc.assert(
        fc.property(runs, ({ rate, start, steps }) => {
          const state = algorithm.fresh()
          const taken: Array<Taken> = []
          let now = start
          for (const { cost, pause } of steps) {
            now += pause
            const admitted = oracle.fits(taken, rate, cost, now)
            const decision = algorithm.take(state, rate, cost, now)
            expect(decision.admitted).toBe(admitted)
            if (admitted) taken.push({ at: now, cost })
            const most = first(0, rate.maxRequests, (less) => {
              const asked = rate.maxRequests - less
              return asked === 0 || oracle.fits(taken, rate, asked, now)
            })
            expect(decision.remaining).toBe(rate.maxRequests - most)
            const reset = first(now, now + rate.interval, (at) => oracle.fits(taken, rate, rate.maxRequests, at))
            expect(decision.resetAfter).toBe(reset - now)
          }
        }),
        { numRuns: 300 }
      )
    })

    it("gives an exact retryAfter: one microsecond before it a call is refused, at it admitted", () => {
      fc.assert(
        fc.property(runs, ({ rate, start, steps }) => {
          const { now, state, taken } = admissions(algorithm, rate, start, steps)
          for (let cost = 1; cost <= rate.maxRequests; cost++) {
            const { admitted, retryAfter } = algorithm.peek(state, rate, cost, now)
            expect(admitted).toBe(retryAfter === 0)
            expect(oracle.fits(taken, rate, cost, now + retryAfter)).toBe(true)
            expect(algorithm.peek(state, rate, cost, now + retryAfter).admitted).toBe(true)
            if (retryAfter > 0) {
              expect(oracle.fits(taken, rate, cost, now + retryAfter - 1)).toBe(false)
              expect(algorithm.peek(state, rate, cost, now + retryAfter - 1).admitted).toBe(false)
            }
          }
        }),
        { numRuns: 300 }
      )
    })

    it("lets a refused call, and a peek, change nothing", () => {
      fc.assert(
        fc.property(runs, ({ rate, start, steps }) => {
          const { now, state } = admissions(algorithm, rate, start, steps)
          const before = structuredClone(state)
          for (let cost = 1; cost <= rate.maxRequests; cost++) {
            const decision = algorithm.peek(state, rate, cost, now)
            expect(state).toEqual(before)
            if (decision.admitted) continue
            expect(algorithm.take(state, rate, cost, now)).toEqual(decision)
            expect(state).toEqual(before)
          }
        }),
        { numRuns: 300 }
      )
    })

    it("is as good as new one interval after the last admission", () => {
      fc.assert(
        fc.property(runs, ({ rate, start, steps }) => {
          const { now, state } = admissions(algorithm, rate, start, steps)
          const later = now + rate.interval
          expect(algorithm.peek(state, rate, rate.maxRequests, later)).toEqual(
            algorithm.peek(algorithm.fresh(), rate, rate.maxRequests, later)
          )
        })
      )
    })

    it("does not fail nor admit more when the clock is turned back", () => {
      fc.assert(
        fc.property(rates, fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 40 }), (rate, times) => {
          const state = algorithm.fresh()
          const backwards = times.sort((one, other) => other - one)
          const admitted = backwards.filter((now) => algorithm.take(state, { ...rate, interval: 100 }, 1, now).admitted)
          expect(admitted.length).toBeLessThanOrEqual(rate.maxRequests)
        })
      )
    })

    it("keeps what was taken when the policy changes, and never gives more than the new one allows", () => {
      fc.assert(
        fc.property(runs, rates, ({ rate, start, steps }, next) => {
          const { state, taken } = admissions(algorithm, rate, start, steps)
          const now = taken.at(-1)?.at ?? start
          const { remaining } = algorithm.peek(state, rate, 1, now)
          const same = { ...rate, maxRequests: next.maxRequests }
          const used = rate.maxRequests - remaining
          expect(algorithm.peek(state, same, 1, now).remaining).toBe(Math.max(0, next.maxRequests - used))
          let admitted = 0
          while (algorithm.take(state, next, 1, now).admitted) admitted++
          expect(admitted).toBeLessThanOrEqual(next.maxRequests)
          const { retryAfter } = algorithm.peek(state, next, 1, now)
          expect(retryAfter).toBeGreaterThan(0)
          expect(retryAfter).toBeLessThanOrEqual(next.interval)
          expect(algorithm.take(state, next, 1, now + retryAfter).admitted).toBe(true)
        })
      )
    })

    it("tells for calls of cost 1 in line exactly when each is admitted", () => {
      fc.assert(
        fc.property(runs, fc.integer({ min: 1, max: 40 }), ({ rate, start, steps }, length) => {
          const { now, state } = admissions(algorithm, rate, start, steps)
          while (algorithm.take(state, rate, 1, now).admitted);
          const expected = Array.from({ length }, (_, ahead) => peekLine(algorithm, state, rate, ahead + 1, now))
          let at = now
          for (const { admitted, retryAfter } of expected) {
            expect(admitted).toBe(false)
            at += algorithm.peek(state, rate, 1, at).retryAfter
            expect(algorithm.take(state, rate, 1, at).admitted).toBe(true)
            expect(now + retryAfter).toBe(at)
          }
        })
      )
    })

    it("never tells a call in line, of whatever cost, a longer wait than it has", () => {
      fc.assert(
        fc.property(runs, (run) => {
          const { rate, start, steps } = run
          const { now, state } = admissions(algorithm, rate, start, steps)
          while (algorithm.take(state, rate, 1, now).admitted);
          const costs = steps.map(({ cost }) => cost)
          let units = 0
          const expected = costs.map((cost) => {
            units += cost
            return peekLine(algorithm, state, rate, units, now).retryAfter
          })
          let at = now
          for (const [index, cost] of costs.entries()) {
            at += algorithm.peek(state, rate, cost, at).retryAfter
            expect(algorithm.take(state, rate, cost, at).admitted).toBe(true)
            expect(now + (expected[index] ?? 0)).toBeLessThanOrEqual(at)
          }
        })
      )
    })
  })

laws("sliding-window", slidingWindow, sliding)
laws("fixed-window", fixedWindow, fixed)
laws("token-bucket", tokenBucket, bucket)

describe("sliding-window", () => {
  it("admits in no span of an interval, wherever it starts, more than maxRequests", () => {
    fc.assert(
      fc.property(runs, ({ rate, start, steps }) => {
        const { now, taken } = admissions(slidingWindow, rate, start, steps)
        // Every span that starts at a microsecond of the run, the ones that no admission starts included.
        for (let from = Math.max(start - 2, now - 500); from <= now; from++) {
          const within = taken.filter(({ at }) => at >= from && at < from + rate.interval)
          expect(sum(within)).toBeLessThanOrEqual(rate.maxRequests)
        }
        for (const { at: from } of taken) {
          expect(sum(taken.filter(({ at }) => at >= from && at < from + rate.interval))).toBeLessThanOrEqual(
            rate.maxRequests
          )
        }
      }),
      { numRuns: 300 }
    )
  })

  it("refuses a call one microsecond before the oldest leaves, and admits it when it does", () => {
    const rate = { maxRequests: 1, interval: 10 }
    const state = slidingWindow.fresh()
    expect(slidingWindow.take(state, rate, 1, 5).admitted).toBe(true)
    expect(slidingWindow.take(state, rate, 1, 14).admitted).toBe(false)
    expect(slidingWindow.take(state, rate, 1, 15).admitted).toBe(true)
  })

  it("stays exact under a clock that is turned back: an admission then is as late as the latest before it", () => {
    const times = fc.array(fc.integer({ min: 0, max: 120 }), { maxLength: 40 })
    fc.assert(
      fc.property(rates, times, (rate, times) => {
        const state = slidingWindow.fresh()
        const taken: Array<Taken> = []
        let latest = 0
        for (const now of times) {
          latest = Math.max(latest, now)
          if (slidingWindow.take(state, rate, 1, now).admitted) taken.push({ at: latest, cost: 1 })
        }
        for (let from = 0; from <= 120; from++) {
          const within = taken.filter(({ at }) => at >= from && at < from + rate.interval)
          expect(sum(within)).toBeLessThanOrEqual(rate.maxRequests)
        }
      }),
      { numRuns: 500 }
    )
  })

  it("keeps one entry for all admissions of a microsecond", () => {
    const rate = { maxRequests: 1_000_000, interval: 60_000_000 }
    const state = slidingWindow.fresh()
    for (let index = 0; index < 1_000_000; index++) slidingWindow.take(state, rate, 1, 7)
    expect(state).toMatchObject({ size: 1, sum: 1_000_000 })
    expect(slidingWindow.take(state, rate, 1, 7)).toMatchObject({ admitted: false, retryAfter: 60_000_000 })
  })

  it("holds a million admissions in 16 MB, answers at once, and gives the memory back", () => {
    const rate = { maxRequests: 1_000_000, interval: 60_000_000 }
    const state = slidingWindow.fresh()
    for (let index = 0; index < 1_000_000; index++) slidingWindow.take(state, rate, 1, index * 10)
    expect(state.size).toBe(1_000_000)
    expect(state.ring.length * 8).toBeLessThanOrEqual(16 * 2 ** 20)
    expect(slidingWindow.peek(state, rate, 1, 10_000_000).retryAfter).toBe(50_000_000)
    expect(slidingWindow.peek(state, rate, 500_001, 10_000_000).retryAfter).toBe(55_000_000)
    expect(slidingWindow.take(state, rate, 1, 65_000_000)).toMatchObject({ admitted: true, remaining: 500_000 })
    slidingWindow.take(state, rate, 1, 130_000_000)
    expect(state.size).toBe(1)
    expect(state.ring.length).toBeLessThanOrEqual(128)
  })

  it("never holds more entries than maxRequests, nor a ring of more than twice as many", () => {
    fc.assert(
      fc.property(runs, ({ rate, start, steps }) => {
        const { state } = admissions(slidingWindow, rate, start, steps)
        expect(state.size).toBeLessThanOrEqual(rate.maxRequests)
        expect(state.ring.length / 2).toBeLessThan(Math.max(2, rate.maxRequests * 2))
      })
    )
  })

  it("stays exact when the sum of all that it ever admitted passes 2^53", () => {
    const rate = { maxRequests: 10_000_000, interval: 10 }
    const state = slidingWindow.fresh()
    slidingWindow.take(state, rate, 1, 0)
    // As if it had admitted so much before, without a moment in which the log was empty.
    state.gone = Number.MAX_SAFE_INTEGER - 5
    state.sum = state.gone + 1
    state.ring[1] = state.sum
    expect(slidingWindow.take(state, rate, 9_999_000, 5)).toMatchObject({ admitted: true, remaining: 999 })
    expect(slidingWindow.peek(state, rate, 1000, 5)).toMatchObject({ admitted: false, retryAfter: 5 })
    expect(slidingWindow.take(state, rate, 1000, 10)).toMatchObject({ admitted: true, remaining: 0 })
  })
})

describe("token-bucket", () => {
  it("counts exactly beyond 2^53 too", () => {
    const large = fc.record({
      maxRequests: fc.integer({ min: 1, max: 1_000_000_000 }),
      interval: fc.integer({ min: 1_000_000_000, max: 31_622_400_000_000 })
    })
    fc.assert(
      fc.property(large, fc.double({ min: 0, max: 1, noNaN: true }), (rate, share) => {
        const cost = Math.max(1, Math.round(rate.maxRequests * share))
        const state = tokenBucket.fresh()
        const decision = tokenBucket.take(state, rate, cost, 0)
        const exact = BigInt(cost) * BigInt(rate.interval)
        expect(state.fullAt).toBe(Number(exact / BigInt(rate.maxRequests)))
        expect(state.part).toBe(Number(exact % BigInt(rate.maxRequests)))
        expect(decision).toMatchObject({ admitted: true, remaining: rate.maxRequests - cost })
      })
    )
  })

  it.each([
    { maxRequests: 1_000_000, interval: 86_400_000_000 },
    { maxRequests: 999_983, interval: 86_399_999_999 },
    { maxRequests: 7, interval: 60_000_000 },
    { maxRequests: 300, interval: 1_000_000 },
    { maxRequests: 1_000_000_000, interval: 31_622_400_000_000 }
  ])("does not drift: $maxRequests in $interval µs, taken one by one, end exactly one interval later", (rate) => {
    const start = 1_763_791_000_000_000
    const state = tokenBucket.fresh()
    expect(tokenBucket.take(state, rate, rate.maxRequests, start)).toMatchObject({ admitted: true, remaining: 0 })
    const count = Math.min(rate.maxRequests, 50_000)
    let now = start
    for (let index = 1; index <= count; index++) {
      now += tokenBucket.peek(state, rate, 1, now).retryAfter
      const exact = (BigInt(rate.interval) * BigInt(index) + BigInt(rate.maxRequests) - 1n) / BigInt(rate.maxRequests)
      if (now !== start + Number(exact)) expect(now).toBe(start + Number(exact))
      if (!tokenBucket.take(state, rate, 1, now).admitted) expect.fail(`refused at ${now}`)
    }
    expect(tokenBucket.peek(state, rate, 1, now).remaining).toBe(0)
  })
})
