import * as Duration from "effect/Duration"
import { RateLimited } from "../FoundationError.js"
import { bareError } from "../internal/hotError.js"
import { millisOf } from "../internal/monotonic.js"
import type { NamedLimit } from "./NamedLimit.js"
import { allowanceOf, type Policy } from "./Policy.js"

/** Why a call was not admitted. */
export type Reason = "used_up" | "wait_too_long" | "line_full" | "cost_above_limit" | "keys_full"

/** How many may wait under one name and key; past it, a call is refused at once. */
export const maxWaiting = 10_000

/** What is said of each refusal under one policy: refusals are many, so it is put together once. */
export interface Wording {
  /** `Limit "api": `, and `Limit "api" for "`, before a key. */
  readonly ofAll: string
  readonly ofOne: string
  readonly allowance: string
  readonly usedUp: string
  readonly tryAgainIn: string
}

export const wordingOf = (policy: Policy): Wording => {
  const limit = `Limit "${policy.name}"`
  const allowance = allowanceOf(policy)
  const usedUp = `${allowance} ${policy.maxRequests === 1 ? "is" : "are"} used up`
  return { ofAll: `${limit}: `, ofOne: `${limit} for "`, allowance, usedUp, tryAgainIn: `${usedUp}; try again in ` }
}

interface Refused {
  readonly named: NamedLimit
  readonly key: string
  readonly cost: number
}

/** The error of a refused call; `retryAfter` in microseconds. */
export const refusal = (
  { cost, key, named }: Refused,
  reason: Reason,
  retryAfter: number,
  correlationId: string
): RateLimited => {
  const { limit, policy } = named
  const millis = millisOf(retryAfter)
  const { ofAll, ofOne } = named.wording
  const message = (key === "" ? ofAll : `${ofOne}${key}": `) + explain(named.wording, cost, reason, millis)
  const error = bareError(RateLimited, "rate_limited", message)
  error.limiter = named.name
  error.key = key
  error.limit = limit.maxRequests
  error.interval = policy.interval
  error.retryAfter = Duration.millis(millis)
  error.context = { reason, cost, algorithm: limit.algorithm }
  error.correlationId = correlationId
  return error
}

const explain = ({ allowance, tryAgainIn, usedUp }: Wording, cost: number, reason: Reason, millis: number): string => {
  switch (reason) {
    case "used_up":
      return `${tryAgainIn}${millis} ms`
    case "wait_too_long":
      return `${usedUp}, and the wait of ${millis} ms is longer than maxWait allows; try again after it`
    case "line_full":
      return `${usedUp}, and ${maxWaiting} calls wait already; try again in ${millis} ms`
    case "cost_above_limit":
      return `the cost of ${cost} is above the ${allowance} that the configuration allows now; lower the cost or raise maxRequests`
    case "keys_full":
      return `as many keys are in use as may be kept (maxKeys), and this is a new one; try again in ${millis} ms`
  }
}
