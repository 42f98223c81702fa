import { Decision } from "./Decision.js"
import * as FixedWindow from "./FixedWindow.js"
import * as SlidingWindow from "./SlidingWindow.js"
import * as TokenBucket from "./TokenBucket.js"

/** How much is admitted in how long: units of cost, and whole microseconds. */
export interface Rate {
  readonly maxRequests: number
  readonly interval: number
}

/** What decides. `take` changes the state it is given, and only where it admits; `peek` never does. */
export interface Algorithm<State> {
  readonly fresh: () => State
  readonly peek: (state: State, rate: Rate, cost: number, now: number) => Decision
  readonly take: (state: State, rate: Rate, cost: number, now: number) => Decision
}

export const algorithmNames = ["sliding-window", "fixed-window", "token-bucket"] as const
export type AlgorithmName = (typeof algorithmNames)[number]

export const slidingWindow: Algorithm<SlidingWindow.State> = SlidingWindow
export const fixedWindow: Algorithm<FixedWindow.State> = FixedWindow
export const tokenBucket: Algorithm<TokenBucket.State> = TokenBucket

/**
 * `peek` for more units than the limit has, as those have that wait in line: each full limit's worth takes an interval.
 * For calls of cost 1 the time is exact. For others it is a lower bound, since a large call may leave a gap before it
 * that no call behind it may use.
 */
export const peekLine = <State>(
  algorithm: Algorithm<State>,
  state: State,
  rate: Rate,
  units: number,
  now: number
): Decision => {
  const intervals = Math.ceil(units / rate.maxRequests) - 1
  if (intervals <= 0) return algorithm.peek(state, rate, units, now)
  const { remaining, resetAfter, retryAfter } = algorithm.peek(state, rate, units - intervals * rate.maxRequests, now)
  return new Decision(false, remaining, retryAfter + intervals * rate.interval, resetAfter)
}
