import type { Rate } from "./Algorithm.js"
import { Decision } from "./Decision.js"

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
  const out = missing(state, rate, now)
  return standing(out, plus(out, cost, rate), rate)
}

export const take = (state: State, rate: Rate, cost: number, now: number): Decision => {
  const out = missing(state, rate, now)
  const taken = plus(out, cost, rate)
  const resetAfter = ceil(taken)
  if (resetAfter > rate.interval) return standing(out, taken, rate)
  state.takenAt = now
  state.fullAt = now + taken.micros
  state.part = taken.part
  state.maxRequests = rate.maxRequests
  state.interval = rate.interval
  return new Decision(true, tokens(taken, rate), 0, resetAfter)
}

/** How the bucket stands, for a call with which it would take so long to be full. */
const standing = (out: Time, taken: Time, rate: Rate): Decision => {
  const late = ceil(taken) - rate.interval
  return new Decision(late <= 0, tokens(out, rate), Math.max(0, late), ceil(out))
}

/** A length of time: whole microseconds, and a part of one in `1 / maxRequests`. */
interface Time {
  readonly micros: number
  readonly part: number
}

const none: Time = { micros: 0, part: 0 }

const ceil = ({ micros, part }: Time): number => (part > 0 ? micros + 1 : micros)

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
  const out = state.maxRequests - tokens({ micros: state.fullAt - state.takenAt, part: state.part }, state)
  const { micros, part } = plus(none, Math.min(out, rate.maxRequests), rate)
  return { fullAt: state.takenAt + micros, part }
}

/** The time, and the time that so many tokens take. */
const plus = ({ micros, part }: Time, cost: number, rate: Rate): Time => {
  const { quotient, remainder } = multiplyDivide(cost, rate.interval, 0, rate.maxRequests)
  const parts = part + remainder
  return parts < rate.maxRequests
    ? { micros: micros + quotient, part: parts }
    : { micros: micros + quotient + 1, part: parts - rate.maxRequests }
}

/** The whole tokens in a bucket that is full after this time: all but those that are out, whole or in part. */
const tokens = ({ micros, part }: Time, rate: Rate): number => {
  if (micros >= rate.interval) return 0
  const { quotient, remainder } = multiplyDivide(micros, rate.maxRequests, part, rate.interval)
  return rate.maxRequests - quotient - (remainder > 0 ? 1 : 0)
}

interface Division {
  readonly quotient: number
  readonly remainder: number
}

/** `a * b + c` divided by `d`, exact. */
const multiplyDivide = (a: number, b: number, c: number, d: number): Division => {
  const product = a * b + c
  if (product > Number.MAX_SAFE_INTEGER) return divideBig(a, b, c, d)
  // The remainder of whole doubles is exact, a quotient is not; without the remainder the division comes out even.
  const remainder = product % d
  return { quotient: (product - remainder) / d, remainder }
}

/** Beyond 2^53, as with a million a day of which a tenth is out. */
const divideBig = (a: number, b: number, c: number, d: number): Division => {
  const exact = BigInt(a) * BigInt(b) + BigInt(c)
  return { quotient: Number(exact / BigInt(d)), remainder: Number(exact % BigInt(d)) }
}
