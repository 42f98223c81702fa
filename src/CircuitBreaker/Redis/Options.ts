import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { ConfigError } from "../../FoundationError.js"
import { durationOf } from "../../internal/durationText.js"

/** What a call gets where Redis does not answer. */
export type OnUnavailable = "allow" | "fail" | "local"

export interface Options {
  /**
   * What the keys and the channel in Redis begin with: `"effect-foundation"` where not stated. Those who state the same
   * share their circuits. No braces: they choose the slot in a cluster.
   */
  readonly prefix?: string | undefined
  /**
   * Whose calls a circuit counts.
   *
   * - `"shared"`, where not stated: those of all processes. For what fails for everybody alike: a provider, a database.
   * - `"local"`: each process those of its own, with a circuit of its own. For where one process may be sick alone (no
   *   route, a full disk): it opens nothing for the rest. While the circuits of k others are open, as they advise (six or
   *   seven count at most), it takes 1/(1+k) of the failures, or of the rate, to open this one: a real outage opens one
   *   after the other faster and faster, and what a healthy process sees now and then does not. Calls never wait for
   *   Redis, but for the first.
   *
   * `forceOpen`, `disable` and `reset` hold for all processes in both.
   */
  readonly mode?: "shared" | "local" | undefined
  /**
   * What becomes of calls where Redis does not answer within the deadline, and, without waiting, of those after them until
   * it does; and of those of a circuit that Redis refuses to decide on, since it is full, or a key holds something else.
   * Circuits of mode `"local"` decide by themselves in any case.
   *
   * - `"local"`, where not stated: a circuit in the process takes over from what is known, and counts what it sees.
   * - `"allow"`: they go through, and nothing is counted.
   * - `"fail"`: they fail with StoreUnavailable.
   */
  readonly onUnavailable?: OnUnavailable | undefined
  /** How long a decision may take: 50 milliseconds where not stated. */
  readonly deadline?: Duration.DurationInput | undefined
  /**
   * How long the place of a probe is kept for a process that has died: 3 seconds where not stated, 100 milliseconds at
   * least. While the probe runs, it is renewed three times as often.
   */
  readonly lease?: Duration.DurationInput | undefined
  /**
   * How old what this process knows of a circuit may be at most: 1 second where not stated, 10 milliseconds at least.
   * Changes are heard of within milliseconds; where a notification was lost, within this. In use, a circuit is read again
   * in the background at half of it; a call waits for Redis only where the circuit was not used for so long.
   */
  readonly staleness?: Duration.DurationInput | undefined
  /** How many circuits this process keeps: 10,000 where not stated. */
  readonly maxCircuits?: number | undefined
}

/** Options that have been checked. Times in microseconds, but for the deadline, which is a timer's. */
export interface Settings {
  readonly prefix: string
  readonly mode: "shared" | "local"
  readonly onUnavailable: OnUnavailable
  readonly deadlineMillis: number
  readonly lease: number
  readonly staleness: number
}

const longestPrefix = 128
const day = 24 * 60 * 60 * 1000

export const settingsOf = (options: Options): Either.Either<Settings, ConfigError> =>
  Either.gen(function* () {
    const { mode = "shared", prefix = "effect-foundation", onUnavailable = "local" } = options
    if (typeof prefix !== "string" || !/^[^{}\s\p{Surrogate}]+$/u.test(prefix) || prefix.length > longestPrefix) {
      yield* wrong("prefix", `a text of 1 to ${longestPrefix} characters without braces and blanks`)
    }
    if (mode !== "shared" && mode !== "local") yield* wrong("mode", `"shared" or "local"`)
    if (onUnavailable !== "allow" && onUnavailable !== "fail" && onUnavailable !== "local") {
      yield* wrong("onUnavailable", `"allow", "fail" or "local"`)
    }
    return {
      prefix,
      mode,
      onUnavailable,
      deadlineMillis: Math.ceil(yield* millisOf("deadline", options.deadline ?? 50, 1)),
      lease: Math.ceil(1000 * (yield* millisOf("lease", options.lease ?? 3000, 100))),
      staleness: Math.ceil(1000 * (yield* millisOf("staleness", options.staleness ?? 1000, 10)))
    }
  })

const millisOf = (field: string, input: Duration.DurationInput, least: number): Either.Either<number, ConfigError> => {
  const millis = Option.map(durationOf(input), Duration.toMillis)
  return Option.isSome(millis) && millis.value >= least && millis.value <= day
    ? Either.right(millis.value)
    : wrong(field, `a duration from ${least} ms to a day`)
}

const wrong = (field: string, must: string): Either.Either<never, ConfigError> =>
  Either.left(
    new ConfigError({
      reason: "invalid_value",
      path: `circuitBreaker.redis.${field}`,
      message: `${field} of the circuits in Redis must be ${must}`
    })
  )
