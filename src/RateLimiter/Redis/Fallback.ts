import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { StoreUnavailable } from "../../FoundationError.js"
import { hotError } from "../../internal/hotError.js"
import { monotonicMicros } from "../../internal/monotonic.js"
import type { RedisError } from "../../Redis/RedisError.js"
import type { Telemetry } from "../../Telemetry.js"
import type { Request, Verdict } from "../Backend.js"
import { Decision } from "../Decision.js"
import { Memory } from "../Memory.js"
import type { Limit } from "../Policy.js"
import type { Settings } from "./Options.js"

/** At most so often is it said in the log that Redis refuses what it is asked, in microseconds. */
const warnEvery = 60_000_000

/** What decides where Redis does not. */
export class Fallback {
  private readonly memory = new Memory()
  private readonly shares = new WeakMap<Limit, Limit>()
  private warnedAt = Number.NEGATIVE_INFINITY

  constructor(
    private readonly settings: Settings,
    private readonly telemetry: Telemetry.Service
  ) {}

  take(
    error: RedisError,
    requests: ReadonlyArray<Request>,
    clock: Clock.Clock
  ): Effect.Effect<ReadonlyArray<Verdict>, StoreUnavailable> {
    if (this.telemetry.enabled("rate_limiter.fallback")) {
      for (const { key, limit } of requests) {
        this.telemetry.emit(
          "rate_limiter.fallback",
          { count: 1 },
          { name: limit.name, key, action: this.settings.onUnavailable, reason: error.reason }
        )
      }
    }
    const decided = this.decide(error, requests, clock)
    return this.isToWarn(error, clock)
      ? Effect.zipRight(
          Effect.logWarning(`The rate limiter cannot use what it has in Redis. ${error.message}`),
          decided
        )
      : decided
  }

  peek(error: RedisError, request: Request, clock: Clock.Clock): Effect.Effect<Decision, StoreUnavailable> {
    switch (this.settings.onUnavailable) {
      case "fail":
        return unavailable(error, request.limit)
      case "allow":
        return Effect.succeed(allowed({ ...request, cost: 0 }))
      case "local": {
        const own = this.own(request)
        return Effect.sync(() => (isTooDear(own) ? tooDear(own) : this.memory.peek(own, clock)))
      }
    }
  }

  reset(limit: Limit, key: string): void {
    this.memory.reset(this.shareOf(limit), key)
  }

  private decide(
    error: RedisError,
    requests: ReadonlyArray<Request>,
    clock: Clock.Clock
  ): Effect.Effect<ReadonlyArray<Verdict>, StoreUnavailable> {
    switch (this.settings.onUnavailable) {
      case "fail":
        return unavailable(error, requests[0]?.limit)
      case "allow":
        return Effect.succeed(requests.map(allowed))
      case "local":
        return Effect.sync(() =>
          this.takeOwn(
            requests.map((request) => this.own(request)),
            clock
          )
        )
    }
  }

  private takeOwn(requests: ReadonlyArray<Request>, clock: Clock.Clock): ReadonlyArray<Verdict> {
    return requests.some(isTooDear)
      ? requests.map((request) => (isTooDear(request) ? tooDear(request) : this.memory.peek(request, clock)))
      : this.memory.take(requests, clock)
  }

  private own(request: Request): Request {
    return { ...request, limit: this.shareOf(request.limit) }
  }

  /** The part of the limit that this process has for itself: one object for each, by which the memory knows it. */
  private shareOf(limit: Limit): Limit {
    const { share } = this.settings
    if (share === 1) return limit
    let own = this.shares.get(limit)
    if (own === undefined) {
      own = { ...limit, maxRequests: Math.max(1, Math.floor(limit.maxRequests * share)) }
      this.shares.set(limit, own)
    }
    return own
  }

  /** That there is no connection, the connection says itself. */
  private isToWarn({ reason }: RedisError, clock: Clock.Clock): boolean {
    if (reason !== "refused") return false
    const now = monotonicMicros(clock)
    if (now - this.warnedAt < warnEvery) return false
    this.warnedAt = now
    return true
  }
}

const allowed = ({ cost, limit, reserved }: Request): Decision =>
  new Decision(true, Math.max(0, limit.maxRequests - cost - reserved), 0, 0)

/** A share may be less than one call costs: that call waits for Redis. */
const isTooDear = ({ cost, limit }: Request): boolean => cost > limit.maxRequests

const tooDear = ({ limit }: Request): Decision => new Decision(false, 0, limit.interval, limit.interval)

export const unavailable = (error: RedisError, limit: Limit | undefined): Effect.Effect<never, StoreUnavailable> =>
  // Made in the fiber that fails, whose correlation id it has.
  Effect.suspend(() =>
    Effect.fail(
      hotError(StoreUnavailable, "store_unavailable", {
        message: `Limit "${limit?.name}" could not be asked: ${error.message}; try again later`,
        component: "rate_limiter",
        context: { reason: error.reason, limiter: limit?.name ?? "" }
      })
    )
  )
