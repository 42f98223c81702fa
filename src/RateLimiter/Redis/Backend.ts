import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { ConfigError, type StoreUnavailable } from "../../FoundationError.js"
import type { Answer } from "../../internal/answer.js"
import type { RedisError } from "../../Redis/RedisError.js"
import { slotOf } from "../../Redis/Slot.js"
import type { Redis } from "../../Redis.js"
import type { Telemetry } from "../../Telemetry.js"
import type { Backend, Request, Verdict } from "../Backend.js"
import type { Decision } from "../Decision.js"
import type { Limit } from "../Policy.js"
import { type Decided, Decisions } from "./Decisions.js"
import { Fallback, unavailable } from "./Fallback.js"
import { Keys } from "./Keys.js"
import type { Settings } from "./Options.js"
import { Stocks } from "./Stocks.js"

/** The limits of all processes: what Redis decides within the deadline, and what is done where it does not. */
export class RedisBackend implements Backend {
  private readonly keys: Keys
  private readonly decisions: Decisions
  private readonly stocks: Stocks | undefined
  private readonly fallback: Fallback
  /** Whether limits that are taken at once may be in different slots. */
  private readonly isSpread: boolean

  constructor(redis: Redis.Service, settings: Settings, telemetry: Telemetry.Service) {
    const { batch, deadlineMillis, prefix, spread } = settings
    this.keys = new Keys(prefix, spread)
    this.decisions = new Decisions(redis, this.keys, deadlineMillis)
    this.stocks = batch === 1 ? undefined : new Stocks(this.decisions, this.keys, batch, deadlineMillis)
    this.fallback = new Fallback(settings, telemetry)
    this.isSpread = redis.isCluster && spread
  }

  take(requests: ReadonlyArray<Request>, clock: Clock.Clock): Answer<ReadonlyArray<Verdict>, StoreUnavailable> {
    const { decisions, stocks } = this
    const [only] = requests
    if (only === undefined || requests.length > 1) {
      if (this.isSpread) this.checkSlots(requests)
      return this.decided(requests, clock, (done) => decisions.take(requests, done))
    }
    // What others wait for, Redis has to leave.
    if (stocks === undefined || only.reserved > 0) {
      return this.decided(requests, clock, (done) => decisions.take(requests, done))
    }
    const verdict = stocks.takeNow(only, clock)
    return verdict === undefined ? this.decided(requests, clock, (done) => stocks.take(only, clock, done)) : [verdict]
  }

  peek(request: Request, clock: Clock.Clock): Answer<Decision, StoreUnavailable> {
    return Effect.async<Decision, StoreUnavailable>((resume) =>
      this.decisions.peek(request, (error, [decision]) => {
        if (error !== undefined) resume(Effect.suspend(() => this.fallback.peek(error, request, clock)))
        else if (decision !== undefined) resume(Effect.succeed(this.withStock(request, decision)))
      })
    )
  }

  reset(limit: Limit, key: string): Answer<void, StoreUnavailable> {
    this.stocks?.forget(limit, key)
    this.fallback.reset(limit, key)
    return Effect.catchAll(this.decisions.reset(limit, key), (error) => unavailable(error, limit))
  }

  private decided(
    requests: ReadonlyArray<Request>,
    clock: Clock.Clock,
    ask: (done: Decided) => void
  ): Effect.Effect<ReadonlyArray<Verdict>, StoreUnavailable> {
    return Effect.async((resume) => {
      let isThisStep = true
      ask((error: RedisError | undefined, verdicts) => {
        if (error === undefined) return resume(Effect.succeed(verdicts))
        const fallback = Effect.suspend(() => this.fallback.take(error, requests, clock))
        // Calls without a pause would keep this process from hearing that Redis is there again.
        if (isThisStep) setImmediate(() => resume(fallback))
        else resume(fallback)
      })
      isThisStep = false
    })
  }

  /** As it is with the units that this process has already. */
  private withStock(request: Request, decision: Decision): Decision {
    const units = this.stocks?.unitsOf(request.limit, request.key) ?? 0
    if (units === 0) return decision
    const isThere = request.reserved === 0 && request.cost <= units
    return {
      admitted: decision.admitted || isThere,
      remaining: decision.remaining + units,
      retryAfter: isThere ? 0 : decision.retryAfter,
      resetAfter: decision.resetAfter
    }
  }

  private checkSlots(requests: ReadonlyArray<Request>): void {
    const slots = new Set(requests.map(({ key, limit }) => slotOf(this.keys.of(limit, key))))
    if (slots.size === 1) return
    const names = requests.map(({ limit }) => `"${limit.name}"`).join(", ")
    throw new ConfigError({
      reason: "invalid_value",
      path: "rateLimiter.redis.spread",
      message: `The limits ${names} are taken at once, and are in different slots of the cluster: leave out spread`
    })
  }
}
