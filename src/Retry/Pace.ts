/** How waits grow, in milliseconds. */
export interface Pace {
  readonly base: number
  readonly factor: number
  readonly maxDelay: number
  /** From 0 to 1: the share of a wait that is random. */
  readonly jitter: number
}

/**
 * The wait after the n-th failure (from 0), in whole milliseconds: at least what is asked for, with the random share on
 * top of whichever is longer, that or the share of the backoff that is not random. `random` is from 0 to 1.
 */
export const waitAfter = (pace: Pace, failure: number, askedFor: number, random: number): number => {
  const backoff = Math.min(pace.maxDelay, pace.base * pace.factor ** failure)
  const spread = backoff * pace.jitter
  const wait = Math.max(askedFor, backoff - spread) + random * spread
  // The sum may come out an ulp above its bound, which the rounding up would make a millisecond.
  return Math.ceil(Math.min(wait, Math.max(askedFor + spread, backoff)))
}
