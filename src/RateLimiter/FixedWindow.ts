import type { Rate } from "./Algorithm.js"
import { Decision } from "./Decision.js"

/**
 * A window opens with the first call that is admitted, lasts one interval, and the next opens with the first call
 * after it. In one window at most `maxRequests` are admitted; in a span of `interval` that lies across two, up to
 * twice as many. Two numbers a key.
 */
export interface State {
  start: number
  /** 0 where no window was opened yet. */
  used: number
}

export const fresh = (): State => ({ start: 0, used: 0 })

export const peek = (state: State, rate: Rate, cost: number, now: number): Decision => {
  const left = timeLeft(state, rate, now)
  const free = rate.maxRequests - (left > 0 ? state.used : 0)
  const admitted = cost <= free
  return new Decision(admitted, Math.max(0, free), admitted ? 0 : left, left)
}

export const take = (state: State, rate: Rate, cost: number, now: number): Decision => {
  const decision = peek(state, rate, cost, now)
  if (!decision.admitted) return decision
  if (decision.resetAfter === 0) {
    state.start = now
    state.used = 0
  }
  state.used += cost
  return new Decision(true, decision.remaining - cost, 0, timeLeft(state, rate, now))
}

const timeLeft = (state: State, rate: Rate, now: number): number =>
  state.used === 0 ? 0 : Math.max(0, state.start + rate.interval - now)
