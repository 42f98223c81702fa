import type * as Clock from "effect/Clock"
import { monotonicMicros } from "../internal/monotonic.js"
import { type Algorithm, fixedWindow, peekLine, slidingWindow, tokenBucket } from "./Algorithm.js"
import type { Backend, Request, Verdict } from "./Backend.js"
import type { Decision } from "./Decision.js"
import type { Limit } from "./Policy.js"

export interface MemoryOptions {
  /**
   * How many keys are kept at most, of all names together: a million where not stated. While so many are in use, a call
   * under a new key is refused, since to forget another would let that one exceed its limit.
   */
  readonly maxKeys?: number | undefined
}

/** How many keys are kept where the options do not say. */
export const defaultMaxKeys = 1_000_000

/** How many names are looked after each time that one has forgotten keys or got a new one. */
const namesPerSweep = 2

/** While all keys are in use, all names are looked after at most once in so many microseconds. */
const fullSweepEvery = 1_000_000

/** The states of one name. */
interface Keys {
  limit: Limit
  readonly size: number
  readonly peek: (request: Request, now: number) => Decision
  /** Decides, and takes if it admits. `mayAdd` is whether there is room for another key. */
  readonly take: (request: Request, now: number, mayAdd: boolean) => Verdict
  readonly has: (key: string) => boolean
  readonly remove: (key: string) => void
  /** Forgets the keys whose state is as fresh as none, where it is time to; answers whether it was. */
  readonly turn: (now: number) => boolean
  /** Whether all keys are as if never used. */
  readonly isUnused: (limit: Limit, now: number) => boolean
  /** How long until the next turn. */
  readonly turnsIn: (now: number) => number
}

/**
 * Two generations of keys: those taken from since the last turn, and those of the turn before. One interval after its
 * last admission a key is as if it had never been used, in every algorithm; so when an interval has passed since the last
 * turn, the elder generation goes as a whole, with no timer and no walk over the keys. What is kept are the keys of the
 * last two intervals.
 */
class Generations<State> implements Keys {
  limit: Limit
  /** Counted here: the sizes of two maps, asked for twice a call, are 0.05 µs. */
  size = 0
  private readonly algorithm: Algorithm<State>
  private readonly unused: State
  private current = new Map<string, State>()
  private previous = new Map<string, State>()
  private turnedAt: number
  private takenAt: number

  constructor(limit: Limit, algorithm: Algorithm<State>, now: number) {
    this.limit = limit
    this.algorithm = algorithm
    this.unused = algorithm.fresh()
    this.turnedAt = now
    this.takenAt = now
  }

  has(key: string): boolean {
    return this.current.has(key) || this.previous.has(key)
  }

  peek({ cost, key, limit, reserved }: Request, now: number): Decision {
    const state = this.current.get(key) ?? this.previous.get(key) ?? this.unused
    const decision = peekLine(this.algorithm, state, limit, cost + reserved, now)
    return reserved === 0 ? decision : { ...decision, remaining: Math.max(0, decision.remaining - reserved) }
  }

  take(request: Request, now: number, mayAdd: boolean): Verdict {
    const { cost, key, limit, reserved } = request
    if (reserved > 0) {
      const decision = this.peek(request, now)
      if (!decision.admitted) return decision
    }
    let state = this.current.get(key)
    if (state === undefined) {
      state = this.previous.get(key)
      if (state === undefined && !mayAdd) return full(this.turnsIn(now))
      state ??= this.algorithm.fresh()
      const decision = this.algorithm.take(state, limit, cost, now)
      // A key that is refused was not used, and stays in its generation.
      if (!decision.admitted) return decision
      if (!this.previous.delete(key)) this.size++
      this.current.set(key, state)
      this.takenAt = now
      return without(decision, reserved)
    }
    const decision = this.algorithm.take(state, limit, cost, now)
    if (!decision.admitted) return decision
    this.takenAt = now
    return without(decision, reserved)
  }

  remove(key: string): void {
    if (this.current.delete(key) || this.previous.delete(key)) this.size--
  }

  turn(now: number): boolean {
    if (now - this.turnedAt < this.limit.interval) return false
    this.previous = now - this.takenAt < this.limit.interval ? this.current : new Map()
    this.current = new Map()
    this.size = this.previous.size
    this.turnedAt = now
    return true
  }

  isUnused(limit: Limit, now: number): boolean {
    return this.size === 0 || now - this.takenAt >= Math.max(limit.interval, this.limit.interval)
  }

  turnsIn(now: number): number {
    return this.turnedAt + this.limit.interval - now
  }
}

const without = (decision: Decision, reserved: number): Decision =>
  reserved === 0 ? decision : { ...decision, remaining: Math.max(0, decision.remaining - reserved) }

const full = (retryAfter: number): Verdict => ({ admitted: false, remaining: 0, retryAfter, resetAfter: 0, full: true })

const keysOf = (limit: Limit, now: number): Keys => {
  switch (limit.algorithm) {
    case "sliding-window":
      return new Generations(limit, slidingWindow, now)
    case "fixed-window":
      return new Generations(limit, fixedWindow, now)
    case "token-bucket":
      return new Generations(limit, tokenBucket, now)
  }
}

/** The backend in this process: every call is one synchronous step. */
export class Memory implements Backend {
  private readonly names = new Map<string, Keys>()
  /** Those of the last call: the same limit again is not looked up. */
  private last: Keys | undefined
  private readonly maxKeys: number
  private size = 0
  private hand = this.names.values()
  private sweptAt = Number.NEGATIVE_INFINITY

  constructor(options: MemoryOptions = {}) {
    this.maxKeys = options.maxKeys ?? defaultMaxKeys
  }

  /** How many keys are kept. */
  get keys(): number {
    return this.size
  }

  takeNow(request: Request, clock: Clock.Clock): Verdict {
    return this.takeOne(request, monotonicMicros(clock))
  }

  take(requests: ReadonlyArray<Request>, clock: Clock.Clock): ReadonlyArray<Verdict> {
    const [only] = requests
    if (only !== undefined && requests.length === 1) return [this.takeNow(only, clock)]
    const now = monotonicMicros(clock)
    const verdicts = requests.map((request) => this.peekOne(request, now))
    return verdicts.every((verdict) => verdict.admitted)
      ? requests.map((request) => this.takeOne(request, now))
      : verdicts
  }

  peek(request: Request, clock: Clock.Clock): Decision {
    const now = monotonicMicros(clock)
    const keys = this.names.get(request.limit.name)
    // To have been asked about is no use: what is not there is not added.
    return (keys?.limit.algorithm === request.limit.algorithm ? keys : keysOf(request.limit, now)).peek(request, now)
  }

  reset(limit: Limit, key: string): void {
    const keys = this.names.get(limit.name)
    if (keys !== undefined) this.changing(keys, () => keys.remove(key))
  }

  forget(limit: Limit, clock: Clock.Clock): boolean {
    const keys = this.names.get(limit.name)
    if (keys === undefined) return true
    if (!keys.isUnused(limit, monotonicMicros(clock))) return false
    this.size -= keys.size
    this.names.delete(limit.name)
    if (this.last === keys) this.last = undefined
    return true
  }

  private takeOne(request: Request, now: number): Verdict {
    const keys = this.keysFor(request.limit, now)
    const before = keys.size
    const verdict = keys.take(request, now, this.hasRoom(keys, request, now))
    if (keys.size !== before) {
      this.size++
      this.sweep(now, namesPerSweep)
    }
    return verdict
  }

  private peekOne(request: Request, now: number): Verdict {
    const keys = this.keysFor(request.limit, now)
    return this.hasRoom(keys, request, now) || keys.has(request.key) ? keys.peek(request, now) : full(keys.turnsIn(now))
  }

  private hasRoom(keys: Keys, request: Request, now: number): boolean {
    if (this.size < this.maxKeys) return true
    if (keys.has(request.key) || now - this.sweptAt < fullSweepEvery) return false
    this.sweptAt = now
    this.sweep(now, this.names.size)
    return this.size < this.maxKeys
  }

  private keysFor(limit: Limit, now: number): Keys {
    let keys = this.last
    if (keys === undefined || keys.limit !== limit) {
      keys = this.names.get(limit.name)
      if (keys === undefined || keys.limit !== limit) keys = this.renew(keys, limit, now)
      this.last = keys
    }
    this.turn(keys, now)
    return keys
  }

  /** The states under a new policy: those that are there, unless another algorithm counts in them. */
  private renew(keys: Keys | undefined, limit: Limit, now: number): Keys {
    if (keys !== undefined && keys.limit.algorithm === limit.algorithm) {
      keys.limit = limit
      return keys
    }
    this.size -= keys?.size ?? 0
    const renewed = keysOf(limit, now)
    this.names.set(limit.name, renewed)
    return renewed
  }

  private turn(keys: Keys, now: number): void {
    const before = keys.size
    if (!keys.turn(now)) return
    this.size -= before - keys.size
    this.sweep(now, namesPerSweep)
  }

  /** Looks after the next few names, so that one that is no longer called does not keep its keys. */
  private sweep(now: number, count: number): void {
    for (let index = 0; index < count; index++) {
      let next = this.hand.next()
      if (next.done === true) {
        this.hand = this.names.values()
        next = this.hand.next()
        if (next.done === true) return
      }
      const keys = next.value
      this.changing(keys, () => keys.turn(now))
    }
  }

  private changing(keys: Keys, change: () => void): void {
    const before = keys.size
    change()
    this.size -= before - keys.size
  }
}
