import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import { ConfigError } from "./FoundationError.js"
import { durationOf } from "./internal/durationText.js"
import { monotonicMicros } from "./internal/monotonic.js"
import { type Pace, waitAfter } from "./Retry/Pace.js"

export declare namespace Retry {
  interface Options {
    /** The maximum number of retries after the first attempt: 3. */
    readonly times?: number | undefined
    /** The wait before the first retry, before jitter: 100 ms. */
    readonly base?: Duration.DurationInput | undefined
    /** What each wait is multiplied by to get the next one, at least 1: 2. */
    readonly factor?: number | undefined
    /** The longest wait: 30 seconds. An error's `retryAfter` may still exceed it. */
    readonly maxDelay?: Duration.DurationInput | undefined
    /** The share of the wait that is random, from 0 to 1: 0.5. */
    readonly jitter?: number | undefined
    /** Stops when the next wait would end later than this after the first failure: infinity. */
    readonly maxElapsed?: Duration.DurationInput | undefined
    /**
     * What the error asks to wait for, where it says so in another way than by a `Duration` named `retryAfter`; `now` is in
     * milliseconds since 1970. `Http/Client` has one for responses with a `Retry-After` header.
     */
    readonly retryAfter?: ((error: unknown, now: number) => Duration.DurationInput | undefined) | undefined
  }
}

/**
 * A schedule for `Effect.retry` with exponential backoff and jitter that respects the `retryAfter` of an error.
 *
 * The wait before the n-th retry is `base · factor^(n-1)`, at most `maxDelay`, of which the share `jitter` is random. If
 * the error has a `retryAfter` (CircuitOpen, RateLimited, or any error with a `Duration` of that name), the wait is at
 * least that long, with the random share added on top so that clients do not all retry at the same moment.
 *
 * The retries end, with the last error, after `times` retries, when the next wait would end past `maxElapsed`, or when
 * `retryAfter` is infinite. `maxElapsed` counts from the first failure, not from the start of the first attempt. Every
 * error is retried, including CircuitOpen of a circuit that is forced open; pass `while` to `Effect.retry` to choose.
 * Defects and interruptions are never retried. Time is monotonic, and the schedule outputs the wait.
 *
 * Throws a ConfigError, when the schedule is made, if an option is invalid.
 *
 * @example
 * import { Retry } from "effect-foundation/Retry"
 * import { Effect } from "effect"
 *
 * let attempts = 0
 * const flaky = Effect.suspend(() => (++attempts < 3 ? Effect.fail("busy" as const) : Effect.succeed(attempts)))
 *
 * const program = flaky.pipe(
 *   Effect.retry({ schedule: Retry.schedule({ times: 5, base: "10 millis" }), while: (error) => error === "busy" }),
 *   Effect.tap((attempts) => Effect.log(`it took ${attempts} attempts`))
 * )
 *
 * Effect.runPromise(program)
 */
const schedule = (options: Retry.Options = {}): Schedule.Schedule<Duration.Duration, unknown> => {
  const { maxElapsed, pace, retryAfter, times } = checked(options)
  return Schedule.makeWithState<State, unknown, Duration.Duration>(
    { retries: 0, since: undefined },
    (now, error, state) =>
      Effect.zipWith(monotonicMillis, Random.next, (time, random) => {
        const { retries, since = time } = state
        const wait = waitAfter(pace, retries, retryAfter(error, now), random)
        const goesOn = retries < times && Number.isFinite(wait) && time - since + wait <= maxElapsed
        const decision = goesOn
          ? ScheduleDecision.continueWith(ScheduleInterval.after(now + wait))
          : ScheduleDecision.done
        return [{ retries: retries + 1, since }, Duration.millis(wait), decision] as const
      })
  )
}

interface State {
  readonly retries: number
  /** When the first failure was seen, in monotonic milliseconds. */
  readonly since: number | undefined
}

const monotonicMillis = Effect.clockWith((clock) => Effect.sync(() => monotonicMicros(clock) / 1000))

/** What the error asks to wait for. */
const retryAfterOf = (error: unknown): Duration.Duration | undefined =>
  Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter) ? error.retryAfter : undefined

const checked = (options: Retry.Options) => {
  const { factor = 2, jitter = 0.5, maxElapsed = Duration.infinity, retryAfter = retryAfterOf, times = 3 } = options
  if (!Number.isSafeInteger(times) || times < 0) throw invalid("times", times, "a whole number of at least 0")
  if (!(factor >= 1 && Number.isFinite(factor))) throw invalid("factor", factor, "a finite number of at least 1")
  if (!(jitter >= 0 && jitter <= 1)) throw invalid("jitter", jitter, "a number from 0 to 1")
  const pace: Pace = {
    base: millisOf("base", options.base ?? 100),
    factor,
    maxDelay: millisOf("maxDelay", options.maxDelay ?? 30_000),
    jitter
  }
  if (!Number.isFinite(pace.base)) throw invalid("base", options.base, "a finite duration")
  return {
    pace,
    times,
    maxElapsed: millisOf("maxElapsed", maxElapsed),
    /** In milliseconds. */
    retryAfter: (error: unknown, now: number) =>
      Option.match(durationOf(retryAfter(error, now)), { onNone: () => 0, onSome: Duration.toMillis })
  }
}

const millisOf = (field: string, value: Duration.DurationInput): number => {
  const duration = durationOf(value)
  if (Option.isNone(duration)) throw invalid(field, value, "a duration")
  return Duration.toMillis(duration.value)
}

const invalid = (field: string, value: unknown, must: string): ConfigError =>
  new ConfigError({
    reason: "invalid_value",
    path: `retry.${field}`,
    message: `${field} of Retry.schedule must be ${must}, but is ${String(value)}`
  })

export const Retry = { schedule } as const
