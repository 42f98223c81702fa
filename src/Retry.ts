import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constTrue } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import { ConfigError } from "./FoundationError.js"
import { parseDuration } from "./internal/durationText.js"
import { monotonicMicros } from "./internal/monotonic.js"
import { type Pace, waitAfter } from "./Retry/Pace.js"

export declare namespace Retry {
  interface Options<E = unknown> {
    /** How many retries follow the first attempt, at most: 3. */
    readonly times?: number | undefined
    /** The wait before the first retry, less jitter: 100 ms. */
    readonly base?: Duration.DurationInput | undefined
    /** By what the wait grows from one retry to the next, from 1 on: 2. */
    readonly factor?: number | undefined
    /** What the wait grows to at most: 30 seconds. A longer `retryAfter` of an error is waited for all the same. */
    readonly maxDelay?: Duration.DurationInput | undefined
    /** From 0 to 1, the share of the wait that is random: 0.5. */
    readonly jitter?: number | undefined
    /** From the first failure on, no wait is begun that would end later than this: infinity. */
    readonly maxElapsed?: Duration.DurationInput | undefined
    /** Which errors are worth another attempt: all. State the type of its parameter; `Effect.retry` then checks it. */
    readonly while?: ((error: E) => boolean) | undefined
  }
}

/**
 * A schedule for `Effect.retry` that waits at least as long as the error asks for.
 *
 * The wait before the n-th retry is `base · factor^(n-1)`, at most `maxDelay`, of which the share `jitter` is random. Where
 * the error has a `retryAfter` (as CircuitOpen and RateLimited have, and any error with a `Duration` of that name), the
 * wait is no shorter than that: the random share is added on top, so that those who were told the same do not all come
 * back at once. An infinite `retryAfter` ends the retries.
 *
 * It ends with the last error: after `times` retries, when `while` says no, or when the next wait would end past
 * `maxElapsed` (which counts from the first failure: a schedule does not see the first attempt begin). All errors are
 * retried unless `while` says no, a circuit that is forced open included: an operator may reset it. Defects and
 * interruptions are never retried. Time is monotonic; the output is the wait.
 *
 * Options that cannot be (`times` that are not a whole number from 0 on, a `factor` below 1, a `jitter` outside of 0 to 1, a
 * malformed duration) throw a ConfigError when the schedule is made.
 *
 * @example
 * import { Retry } from "effect-foundation/Retry"
 * import { Effect } from "effect"
 *
 * let attempts = 0
 * const flaky = Effect.suspend(() => (++attempts < 3 ? Effect.fail("busy" as const) : Effect.succeed(attempts)))
 *
 * const program = flaky.pipe(
 *   Effect.retry(Retry.schedule({ times: 5, base: "10 millis", while: (error) => error === "busy" })),
 *   Effect.tap((attempts) => Effect.log(`it took ${attempts} attempts`))
 * )
 *
 * Effect.runPromise(program)
 */
const schedule = <E = unknown>(options: Retry.Options<E> = {}): Schedule.Schedule<Duration.Duration, E> => {
  const { isWorth, maxElapsed, pace, times } = checked(options)
  return Schedule.makeWithState<State, E, Duration.Duration>({ retries: 0, since: undefined }, (now, error, state) =>
    Effect.zipWith(monotonicMillis, Random.next, (time, random) => {
      const { retries, since = time } = state
      const wait = waitAfter(pace, retries, retryAfterOf(error), random)
      const goesOn = retries < times && Number.isFinite(wait) && time - since + wait <= maxElapsed && isWorth(error)
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

/** What the error asks to wait for, in milliseconds. */
const retryAfterOf = (error: unknown): number =>
  Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter)
    ? Duration.toMillis(error.retryAfter)
    : 0

const checked = <E>(options: Retry.Options<E>) => {
  const { factor = 2, jitter = 0.5, maxElapsed = Duration.infinity, times = 3 } = options
  if (!Number.isSafeInteger(times) || times < 0) throw invalid("times", times, "a whole number from 0 on")
  if (!(factor >= 1 && Number.isFinite(factor))) throw invalid("factor", factor, "a number from 1 on")
  if (!(jitter >= 0 && jitter <= 1)) throw invalid("jitter", jitter, "a number from 0 to 1")
  const pace: Pace = {
    base: millisOf("base", options.base ?? 100),
    factor,
    maxDelay: millisOf("maxDelay", options.maxDelay ?? 30_000),
    jitter
  }
  if (!Number.isFinite(pace.base)) throw invalid("base", options.base, "a finite duration")
  return { pace, times, maxElapsed: millisOf("maxElapsed", maxElapsed), isWorth: options.while ?? constTrue }
}

const millisOf = (field: string, value: Duration.DurationInput): number => {
  const duration =
    typeof value === "number" || typeof value === "string" ? parseDuration(value) : Duration.decodeUnknown(value)
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
