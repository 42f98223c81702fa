import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { ConfigError } from "../../FoundationError.js"
import { durationOf } from "../../internal/durationText.js"

/** What becomes of a call that Redis does not decide on. */
export type OnUnavailable = "allow" | "fail" | "local" | { readonly local: { readonly share: number } }

export interface Options {
  /**
   * What the keys in Redis begin with: `"effect-foundation"` where not stated. Those who state the same share their limits.
   * Without braces, which choose the slot in a cluster.
   */
  readonly prefix?: string | undefined
  /** How long a decision may take: 50 milliseconds where not stated. */
  readonly deadline?: Duration.DurationInput | undefined
  /**
   * What becomes of a call where Redis does not answer within the deadline, and, without waiting, of those after it until it
   * does.
   *
   * - `"local"`, where not stated: this process decides by limits of its own, which start unused: of `maxRequests` each, or
   *   of a `share` of it (rounded down, 1 at least). With `n` processes at most `n` times that is admitted in an interval,
   *   beside what Redis has admitted.
   * - `"allow"`: it is admitted, whatever the limit.
   * - `"fail"`: it fails with StoreUnavailable.
   *
   * A call that Redis did count, and whose answer came too late, stays counted: less may be admitted then, never more.
   */
  readonly onUnavailable?: OnUnavailable | undefined
  /**
   * How many units this process takes from Redis at once, where so many are left, to admit the next calls under the same
   * name and key without asking: 1 where not stated. In a span of `interval`, up to `batch - 1` more than `maxRequests`
   * are admitted for each process then; and up to so many that a process does not use are missing for the others until
   * they lapse. For limits well above the number of processes times the batch.
   */
  readonly batch?: number | undefined
  /**
   * In a cluster, gives each name and key a slot of its own, so that all nodes share the work. Then several limits cannot be
   * taken at once: such a call dies with ConfigError. Where not stated, all keys of a prefix are in one slot, and on one
   * node.
   */
  readonly spread?: boolean | undefined
}

/** Options that have been checked. */
export interface Settings {
  readonly prefix: string
  readonly deadlineMillis: number
  readonly onUnavailable: "allow" | "fail" | "local"
  readonly share: number
  readonly batch: number
  readonly spread: boolean
}

const longestPrefix = 128
const maxBatch = 1_000_000
const maxDeadline = Duration.toMillis("1 hour")

export const parseOptions = (options: Options): Either.Either<Settings, ConfigError> => {
  const { batch = 1, onUnavailable = "local", prefix = "effect-foundation", spread = false } = options
  if (
    typeof prefix !== "string" ||
    prefix === "" ||
    prefix.length > longestPrefix ||
    /[{}\p{Surrogate}]/u.test(prefix)
  ) {
    return invalid("prefix", `a text of 1 to ${longestPrefix} characters without braces`)
  }
  const deadline = Option.map(durationOf(options.deadline ?? "50 millis"), Duration.toMillis)
  if (Option.isNone(deadline) || !(deadline.value >= 1 && deadline.value <= maxDeadline)) {
    return invalid("deadline", "a duration from 1 millisecond to 1 hour")
  }
  const share = typeof onUnavailable === "object" ? onUnavailable?.local?.share : 1
  const action = typeof onUnavailable === "object" ? "local" : onUnavailable
  if (action !== "local" && action !== "allow" && action !== "fail") {
    return invalid("onUnavailable", `"allow", "fail", "local" or { local: { share } }`)
  }
  if (typeof share !== "number" || !(share > 0 && share <= 1)) {
    return invalid("onUnavailable", "with a share above 0, at most 1")
  }
  if (!Number.isSafeInteger(batch) || batch < 1 || batch > maxBatch) {
    return invalid("batch", `a whole number from 1 to ${maxBatch}`)
  }
  return Either.right({
    prefix,
    deadlineMillis: Math.ceil(deadline.value),
    onUnavailable: action,
    share,
    batch,
    spread: spread === true
  })
}

const invalid = (field: string, must: string): Either.Either<never, ConfigError> =>
  Either.left(
    new ConfigError({
      reason: "invalid_value",
      path: `rateLimiter.redis.${field}`,
      message: `${field} of the rate limiter on Redis must be ${must}`
    })
  )
