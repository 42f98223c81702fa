import type { Rate } from "./Algorithm.js"
import { Decision } from "./Decision.js"

/**
 * The log of what was admitted, which makes the window exact. An admission at `t` counts for every call before
 * `t + interval`, and not for one at `t + interval`; so in no half-open span `[s, s + interval)`, wherever `s` lies, is
 * more than `maxRequests` admitted.
 *
 * Admissions in the same microsecond share an entry. An entry is 16 bytes (its time, and the sum of all costs up to and
 * with it), and there are at most as many as admissions in the window, so never more than `maxRequests`: a limit of a
 * million can take 16 MB a key. No exact window does with less, since each admission leaves it at a time of its own.
 * The sums make the two searches (what has expired, what has to) binary: a call costs O(1), at worst O(log maxRequests).
 */
export interface State {
  /** A ring of pairs: time, running sum. Its length is twice a power of two; it doubles when full. */
  ring: Array<number>
  /** The position of the oldest entry, counted in entries. */
  head: number
  size: number
  /** The running sum of what has left the log. */
  gone: number
  /** The running sum of all: that of the newest entry. */
  sum: number
}

export const fresh = (): State => ({ ring: [], head: 0, size: 0, gone: 0, sum: 0 })

export const peek = (state: State, rate: Rate, cost: number, now: number): Decision =>
  standing(state, rate, cost, now, countExpired(state, rate, now))

export const take = (state: State, rate: Rate, cost: number, now: number): Decision => {
  const expired = countExpired(state, rate, now)
  const free = rate.maxRequests - (state.sum - sumBefore(state, expired))
  if (cost > free) return standing(state, rate, cost, now, expired)
  if (expired > 0) drop(state, expired)
  // The log stays in order even under a clock that somebody turned back.
  const at = state.size === 0 ? now : Math.max(now, timeOf(state, state.size - 1))
  append(state, at, cost)
  return new Decision(true, free - cost, 0, at + rate.interval - now)
}

/** How the window stands for a call of this cost, while so many entries no longer count. */
const standing = (state: State, rate: Rate, cost: number, now: number, expired: number): Decision => {
  const gone = sumBefore(state, expired)
  const free = rate.maxRequests - (state.sum - gone)
  const resetAfter = expired === state.size ? 0 : timeOf(state, state.size - 1) + rate.interval - now
  if (cost <= free) return new Decision(true, free, 0, resetAfter)
  const last = firstReaching(state, expired, gone + cost - free)
  // A cost above the limit has no such entry: it would not be admitted if all had left.
  const retryAfter = last < state.size ? timeOf(state, last) + rate.interval - now : rate.interval
  return new Decision(false, Math.max(0, free), retryAfter, resetAfter)
}

const slot = (state: State, index: number): number => ((state.head + index) & (state.ring.length / 2 - 1)) * 2

// Every index is below `size`, so the ring has a number there.
const timeOf = (state: State, index: number): number => state.ring[slot(state, index)] as number
const sumOf = (state: State, index: number): number => state.ring[slot(state, index) + 1] as number

/** The running sum before the entry. */
const sumBefore = (state: State, index: number): number => (index === 0 ? state.gone : sumOf(state, index - 1))

/** How many entries, of the oldest, no longer count. */
const countExpired = (state: State, rate: Rate, now: number): number => {
  const before = now - rate.interval
  if (state.size === 0 || timeOf(state, 0) > before) return 0
  if (timeOf(state, state.size - 1) <= before) return state.size
  let low = 1
  let high = state.size - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (timeOf(state, middle) > before) high = middle
    else low = middle + 1
  }
  return low
}

/** The first entry, from `from` on, whose running sum is at least this; `size` where there is none. */
const firstReaching = (state: State, from: number, sum: number): number => {
  let low = from
  let high = state.size
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sumOf(state, middle) >= sum) high = middle
    else low = middle + 1
  }
  return low
}

const drop = (state: State, count: number): void => {
  if (count === state.size) {
    state.head = 0
    state.gone = 0
    state.sum = 0
  } else {
    state.gone = sumOf(state, count - 1)
    state.head = (state.head + count) & (state.ring.length / 2 - 1)
  }
  state.size -= count
  // A burst does not hold its memory for ever.
  const capacity = state.ring.length / 2
  if (capacity > smallRing && state.size < capacity / 8) resize(state, powerOfTwo(state.size * 2))
}

const append = (state: State, at: number, cost: number): void => {
  // Sums stay below 2^53: what has left is taken out of them before.
  if (state.sum + cost > Number.MAX_SAFE_INTEGER) rebase(state)
  state.sum += cost
  if (state.size > 0 && timeOf(state, state.size - 1) === at) {
    state.ring[slot(state, state.size - 1) + 1] = state.sum
    return
  }
  if (state.ring.length === 0) {
    state.ring = [at, state.sum]
  } else {
    if (state.size * 2 === state.ring.length) resize(state, state.size * 2)
    const free = slot(state, state.size)
    state.ring[free] = at
    state.ring[free + 1] = state.sum
  }
  state.size++
}

/** Rings of up to so many entries are not made smaller. */
const smallRing = 64

/** The least power of two that is not less, from 1 on. */
const powerOfTwo = (count: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, count)))

const resize = (state: State, capacity: number): void => {
  // Filled with a fraction, the array is one of doubles from the start: 8 bytes an element, and never converted.
  const ring = new Array<number>(capacity * 2).fill(0.5)
  for (let index = 0; index < state.size; index++) {
    ring[index * 2] = timeOf(state, index)
    ring[index * 2 + 1] = sumOf(state, index)
  }
  state.ring = ring
  state.head = 0
}

const rebase = (state: State): void => {
  for (let index = 0; index < state.size; index++) {
    const at = slot(state, index) + 1
    state.ring[at] = (state.ring[at] as number) - state.gone
  }
  state.sum -= state.gone
  state.gone = 0
}
