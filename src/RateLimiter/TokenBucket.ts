import type { Decision, Rate } from "./Algorithm.js"

/**
 * A bucket of `maxRequests` tokens that refills evenly, `maxRequests` an interval. It lets a full bucket through at once,
 * and then the rate: up to twice `maxRequests` in a span of `interval`.
 *
 * What is kept is the moment at which the bucket is full again (the virtual scheduling of GCRA), so that time refills it
 * without arithmetic. A token takes `interval / maxRequests` microseconds, seldom a whole number: the moment is a whole
 * microsecond and a part counted in `1 / maxRequests` of one. So nothing is ever rounded, and nothing drifts.
 */
export interface State {
  /** When it was last taken from. */
  takenAt: number
  fullAt: number
  /** In `[0, maxRequests)`. */
  part: number
  /** The rate in which the two are counted. */
  maxRequests: number
  interval: number
}

export const fresh = (): State => ({
  takenAt: 0,
  fullAt: Number.NEGATIVE_INFINITY,
  part: 0,
  maxRequests: 0,
  interval: 0
})

export const peek = (state: State, rate: Rate, cost: number, now: number): Decision => {
  const { micros, part } = missing(state, rate, now)
  const taken = plus(micros, part, cost, rate)
  const late = ceil(taken.micros, taken.part) - rate.interval
  return {
    admitted: late <= 0,
    remaining: tokens(micros, part, rate),
    retryAfter: Math.max(0, late),
    resetAfter: ceil(micros, part)
  }
}

export const take = (state: State, rate: Rate, cost: number, now: number): Decision => {
  const { micros, part } = missing(state, rate, now)
  const taken = plus(micros, part, cost, rate)
  if (ceil(taken.micros, taken.part) > rate.interval) return peek(state, rate, cost, now)
  state.takenAt = now
  state.fullAt = now + taken.micros
  state.part = taken.part
  state.maxRequests = rate.maxRequests
  state.interval = rate.interval
  return {
    admitted: true,
    remaining: tokens(taken.micros, taken.part, rate),
    retryAfter: 0,
    resetAfter: ceil(taken.micros, taken.part)
  }
}

/** A length of time: whole microseconds, and a part of one in `1 / maxRequests`. */
interface Time {
  readonly micros: number
  readonly part: number
}

const none: Time = { micros: 0, part: 0 }

const ceil = (micros: number, part: number): number => (part > 0 ? micros + 1 : micros)

/** How long the bucket takes to be full, if nothing is taken. */
const missing = (state: State, rate: Rate, now: number): Time => {
  const { fullAt, part } =
    state.maxRequests === rate.maxRequests && state.interval === rate.interval ? state : converted(state, rate)
  return fullAt < now ? none : { micros: fullAt - now, part }
}

/**
 * Under another rate, the tokens that were out after the last call are out still (in whole ones, and as far as the
 * bucket has so many), and the bucket has refilled at the new rate since: when the rate changed, it does not know.
 */
const converted = (state: State, rate: Rate): { readonly fullAt: number; readonly part: number } => {
  if (state.maxRequests === 0) return state
  const out = state.maxRequests - tokens(state.fullAt - state.takenAt, state.part, state)
  const { micros, part } = plus(0, 0, Math.min(out, rate.maxRequests), rate)
  return { fullAt: state.takenAt + micros, part }
}

/** The time, and the time that so many tokens take. */
const plus = (micros: number, part: number, cost: number, rate: Rate): Time => {
  const { quotient, remainder } = multiplyDivide(cost, rate.interval, 0, rate.maxRequests)
  const parts = part + remainder
  return parts < rate.maxRequests
    ? { micros: micros + quotient, part: parts }
    : { micros: micros + quotient + 1, part: parts - rate.maxRequests }
}

/** The whole tokens in a bucket that is full after this time. */
const tokens = (micros: number, part: number, rate: Rate): number =>
  micros >= rate.interval ? 0 : multiplyDivide(rate.interval - micros, rate.maxRequests, -part, rate.interval).quotient

/** `a * b + c` divided by `d`, exact: beyond 2^53 by way of bigint, as a million a day needs. */
const multiplyDivide = (
  a: number,
  b: number,
  c: number,
  d: number
): { readonly quotient: number; readonly remainder: number } => {
  if (a * b <= Number.MAX_SAFE_INTEGER) {
    const product = a * b + c
    // The remainder of whole doubles is exact, a quotient is not; without the remainder the division comes out even.
    const remainder = product % d
    return { quotient: (product - remainder) / d, remainder }
  }
  const exact = BigInt(a) * BigInt(b) + BigInt(c)
  return { quotient: Number(exact / BigInt(d)), remainder: Number(exact % BigInt(d)) }
}
