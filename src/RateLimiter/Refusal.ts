import * as Duration from "effect/Duration"
import { RateLimited } from "../FoundationError.js"
import { bareError } from "../internal/hotError.js"
import { waitOf } from "../internal/monotonic.js"
import type { NamedLimit } from "./NamedLimit.js"
import { spanOf } from "./Policy.js"

/** Why a call was not admitted. */
export type Reason = "used_up" | "wait_too_long" | "line_full" | "cost_above_limit" | "keys_full"

/** How many may wait under one name and key; past it, a call is refused at once. */
export const maxWaiting = 10_000

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
  const wait = waitOf(retryAfter)
  const error = bareError(RateLimited)
  error._tag = "RateLimited"
  error.code = "rate_limited"
  error.message = `Limit "${named.name}"${key === "" ? "" : ` for "${key}"`}: ${explain(named, cost, reason, wait)}`
  error.limiter = named.name
  error.key = key
  error.limit = limit.maxRequests
  error.interval = policy.interval
  error.retryAfter = wait
  error.context = { reason, cost, algorithm: limit.algorithm }
  error.correlationId = correlationId
  return error
}

const explain = ({ limit, policy }: NamedLimit, cost: number, reason: Reason, wait: Duration.Duration): string => {
  const allowed = `${limit.maxRequests} ${limit.maxRequests === 1 ? "request" : "requests"} in ${spanOf(policy.interval)}`
  const are = limit.maxRequests === 1 ? "is" : "are"
  switch (reason) {
    case "used_up":
      return `${allowed} ${are} used up; try again in ${Duration.toMillis(wait)} ms`
    case "wait_too_long":
      return `${allowed} ${are} used up, and the wait of ${Duration.toMillis(wait)} ms is longer than maxWait allows; try again after it`
    case "line_full":
      return `${allowed} ${are} used up, and ${maxWaiting} calls wait already; try again in ${Duration.toMillis(wait)} ms`
    case "cost_above_limit":
      return `the cost of ${cost} is above the ${allowed} that the configuration allows now; lower the cost or raise maxRequests`
    case "keys_full":
      return `as many keys are in use as may be kept (maxKeys), and this is a new one; try again in ${Duration.toMillis(wait)} ms`
  }
}
