import type * as Clock from "effect/Clock"
import { monotonicMicros } from "../../internal/monotonic.js"
import type { RedisError } from "../../Redis/RedisError.js"
import type { Request, Verdict } from "../Backend.js"
import type { Limit } from "../Policy.js"
import type { Decided, Decisions } from "./Decisions.js"
import type { Keys } from "./Keys.js"

/** How many keys have a stock at most. One past that takes the place of the oldest, whose units are lost. */
const maxStocks = 10_000

interface Waiting {
  readonly request: Request
  readonly clock: Clock.Clock
  readonly since: number
  readonly done: Decided
}

/** The units of one name and key that this process has taken, and not yet given to a call. */
interface Stock {
  limit: Limit
  units: number
  /** What Redis had left, and until when, by the clock of this process. */
  remaining: number
  resetAt: number
  /** The calls that wait for the answer that is under way, or for the next; the first of them has asked. */
  waiting: Array<Waiting>
}

/**
 * Units taken from Redis in batches. Of the calls under one name and key, one asks at a time; those that come meanwhile
 * wait for what it brings, and the next asks for all of them. When none waits, at most `batch - 1` units are left over.
 */
export class Stocks {
  private readonly stocks = new Map<string, Stock>()

  constructor(
    private readonly decisions: Decisions,
    private readonly keys: Keys,
    private readonly batch: number,
    private readonly millis: number
  ) {}

  /** The units that are there for the key. */
  unitsOf(limit: Limit, key: string): number {
    return this.stocks.get(this.keys.of(limit, key))?.units ?? 0
  }

  /** Admits the call from what is there, in this step; undefined where that is not enough. */
  takeNow(request: Request, clock: Clock.Clock): Verdict | undefined {
    const stock = this.stocks.get(this.keys.of(request.limit, request.key))
    return stock === undefined || stock.waiting.length > 0 ? undefined : give(stock, request, clock)
  }

  take(request: Request, clock: Clock.Clock, done: Decided): void {
    const key = this.keys.of(request.limit, request.key)
    let stock = this.stocks.get(key)
    if (stock === undefined) {
      stock = { limit: request.limit, units: 0, remaining: 0, resetAt: 0, waiting: [] }
      this.add(key, stock)
    }
    stock.waiting.push({ request, clock, since: monotonicMicros(clock), done })
    if (stock.waiting.length === 1) this.ask(key, stock)
  }

  forget(limit: Limit, key: string): void {
    const stock = this.stocks.get(this.keys.of(limit, key))
    if (stock !== undefined) stock.units = 0
  }

  private add(key: string, stock: Stock): void {
    this.stocks.set(key, stock)
    if (this.stocks.size <= maxStocks) return
    for (const [oldest, { waiting }] of this.stocks) {
      if (waiting.length > 0) continue
      this.stocks.delete(oldest)
      return
    }
  }

  /** Asks for the first that waits, and for so much more that all who wait have theirs. */
  private ask(key: string, stock: Stock): void {
    const [first] = stock.waiting
    if (first === undefined) return
    const { request } = first
    if (stock.limit !== request.limit) {
      // Another policy: what was taken under the one before is not handed out under this.
      stock.limit = request.limit
      stock.units = 0
    }
    const wanted = stock.waiting.reduce((sum, { request }) => sum + request.cost, 0) - stock.units
    // Less than it costs is there.
    const cost = request.cost - stock.units
    const more = Math.min(Math.max(this.batch, wanted), request.limit.maxRequests) - cost
    this.decisions.one({ ...request, cost }, true, Math.max(0, more), this.left(first), (error, verdicts, taken) => {
      const [verdict] = verdicts
      if (error !== undefined || verdict === undefined) this.fail(key, stock, error)
      else if (verdict.admitted) this.deal(key, stock, verdict, taken)
      else this.refuse(key, stock, verdict)
    })
  }

  /** What is left of the deadline of the call, in whole milliseconds. */
  private left({ clock, since }: Waiting): number {
    return Math.max(1, Math.ceil(this.millis - (monotonicMicros(clock) - since) / 1000))
  }

  /** For all who wait: while Redis does not answer the first, another call would not be sent. */
  private fail(key: string, stock: Stock, error: RedisError | undefined): void {
    const waiting = stock.waiting
    stock.waiting = []
    this.tidy(key, stock)
    for (const { done } of waiting) done(error, [], 0)
  }

  /** In order of arrival, as far as it goes; the next then asks. */
  private deal(key: string, stock: Stock, { remaining, resetAfter }: Verdict, taken: number): void {
    const [first] = stock.waiting
    stock.units += taken
    stock.remaining = remaining
    if (first !== undefined) stock.resetAt = monotonicMicros(first.clock) + resetAfter
    const waiting = stock.waiting
    let served = 0
    const verdicts: Array<Verdict> = []
    for (const { clock, request } of waiting) {
      const verdict = give(stock, request, clock)
      if (verdict === undefined) break
      verdicts.push(verdict)
      served++
    }
    stock.waiting = waiting.slice(served)
    if (stock.waiting.length > 0) this.ask(key, stock)
    else this.tidy(key, stock)
    for (const [index, verdict] of verdicts.entries()) waiting[index]?.done(undefined, [verdict], 0)
  }

  /**
   * The first is refused, and those who ask for as much. Of the others, who asks for less has what is there; for the rest
   * Redis decides, one by one and at once.
   */
  private refuse(key: string, stock: Stock, verdict: Verdict): void {
    const [first, ...others] = stock.waiting
    stock.waiting = []
    const verdicts = others.map(({ clock, request }) => {
      const isAlike = request.cost === first?.request.cost && request.limit === stock.limit
      return isAlike ? verdict : give(stock, request, clock)
    })
    this.tidy(key, stock)
    first?.done(undefined, [verdict], 0)
    for (const [index, other] of others.entries()) {
      const verdict = verdicts[index]
      if (verdict === undefined) this.decisions.one(other.request, true, 0, this.left(other), other.done)
      else other.done(undefined, [verdict], 0)
    }
  }

  private tidy(key: string, stock: Stock): void {
    if (stock.units === 0 && stock.waiting.length === 0 && this.stocks.get(key) === stock) this.stocks.delete(key)
  }
}

const give = (stock: Stock, { cost, limit }: Request, clock: Clock.Clock): Verdict | undefined => {
  if (stock.units < cost || stock.limit !== limit) return undefined
  stock.units -= cost
  return {
    admitted: true,
    remaining: stock.remaining + stock.units,
    retryAfter: 0,
    resetAfter: Math.max(0, stock.resetAt - monotonicMicros(clock))
  }
}
