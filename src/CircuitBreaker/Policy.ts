import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Durations from "../internal/durationText.js"
import { toMicros } from "../internal/monotonic.js"
import { alike, defaultName } from "../internal/policiesInForce.js"
import { mustBe, optional } from "../internal/policySchema.js"
import type { Wrong } from "../internal/wrongField.js"
import type { Outcome, Rules } from "./Circuit.js"
import type { RateTrip, Trip } from "./Trip.js"

/** When a circuit opens: after `maxFailures` failures in a row, or by the share of failures in a window. */
export type TripOptions = { readonly type: "consecutive" } | RateTripOptions

export interface RateTripOptions {
  readonly type: "rate"
  /** The last so many calls (at most 100,000), or the calls of the last stretch of time. */
  readonly window: { readonly count: number } | { readonly duration: Duration.DurationInput }
  /** From 0 to 1; the circuit opens when it is reached. At 0 any failure reaches it. */
  readonly failureRate: number
  /** From 0 to 1; goes with `slowCallDuration`. */
  readonly slowCallRate?: number | undefined
  /** A call that takes this long is slow, whether it succeeds or not. */
  readonly slowCallDuration?: Duration.DurationInput | undefined
  /** With fewer outcomes in the window nothing is judged: 10 where not stated, or the size of a smaller window. */
  readonly minimumCalls?: number | undefined
}

/** What a policy states about a circuit; each field that is not stated has its default. */
export interface PolicyOptions {
  /** Calls of one name share one circuit: `"default"` where not stated. */
  readonly name?: string | undefined
  /** How long the work may take: 5 seconds where not stated, `Duration.infinity` for no bound; a number is milliseconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /**
   * The circuit opens at this many failures with no success between them: 5 where not stated. Not together with
   * `trip: { type: "rate" }`, which does not count so.
   */
  readonly maxFailures?: number | undefined
  /** How long an opening lasts: 10 seconds where not stated. A Schedule states the lengths of consecutive openings. */
  readonly resetTimeout?: Duration.DurationInput | Schedule.Schedule<unknown> | undefined
  /** Failures in a row where not stated. */
  readonly trip?: TripOptions | undefined
  /** How many calls a half-open circuit lets through, all of which must succeed for it to close: 1 where not stated. */
  readonly probes?: number | undefined
}

/** A policy, and what the call adds to it. */
export interface CallOptions<A = unknown, E = unknown> extends PolicyOptions {
  /** What the end of a call counts as. Of the call, not of the policy: two calls of one name may differ in it. */
  readonly classify?: ((exit: Exit.Exit<A, E>) => Outcome) | undefined
  /**
   * For how long what has failed asks to be left alone, as a server does with `Retry-After`: the opening that such failures
   * cause lasts at least until then, unless a call succeeds before.
   */
  readonly retryAfter?: ((exit: Exit.Exit<A, E>) => Duration.DurationInput | undefined) | undefined
}

/** A policy that has been checked. It serves as options: `execute(effect, policy)`. */
export interface Policy {
  readonly name: string
  readonly timeout: Duration.Duration
  /** None where the trip is a rate. */
  readonly maxFailures: number | undefined
  readonly resetTimeout: Duration.Duration | Schedule.Schedule<unknown>
  readonly trip: TripOptions
  readonly probes: number
}

/** A policy as calls and backends need it, in plain numbers. Another object after any change. */
export interface Terms {
  readonly policy: Policy
  readonly rules: Rules
  readonly timeoutMillis: number
  /** Whether the time that a call took is of interest to the circuit. */
  readonly timed: boolean
}

export const defaults = {
  name: defaultName,
  timeout: Duration.seconds(5),
  maxFailures: 5,
  resetTimeout: Duration.seconds(10),
  trip: { type: "consecutive" },
  probes: 1
} as const satisfies Policy

/** The most that the numbers of a policy may be. */
export const bounds = {
  name: 256,
  maxFailures: Number.MAX_SAFE_INTEGER,
  probes: 1000,
  /** The window takes a byte for each call. */
  window: 100_000,
  /** What a timer can count. */
  resetTimeout: Duration.millis(2 ** 31 - 1)
} as const

const defaultMinimumCalls = 10

/** The policy, or what is wrong with the options; what they do not state is taken from `base`. */
export const parsePolicy = (options: PolicyOptions, base: Policy = defaults): Either.Either<Policy, Wrong> => {
  const { name = base.name } = options
  return Either.gen(function* () {
    yield* check(nameText(name), name, "name", name)
    const { probes = base.probes, resetTimeout = base.resetTimeout, timeout = base.timeout } = options
    const trip = options.trip === undefined ? base.trip : yield* parseTrip(name, options.trip)
    yield* check(stray(options.maxFailures, trip), name, "maxFailures", options.maxFailures)
    const { maxFailures = base.maxFailures ?? defaults.maxFailures } = options
    yield* check(count(maxFailures, bounds.maxFailures), name, "maxFailures", maxFailures)
    yield* check(count(probes, bounds.probes), name, "probes", probes)
    return {
      name,
      timeout: yield* durationOf(name, "timeout", timeout, aboveZero),
      maxFailures: trip.type === "rate" ? undefined : maxFailures,
      resetTimeout: isSchedule(resetTimeout)
        ? resetTimeout
        : yield* durationOf(name, "resetTimeout", resetTimeout, finite),
      trip,
      probes
    }
  })
}

const parseTrip = (name: string, trip: TripOptions): Either.Either<TripOptions, Wrong> =>
  Either.gen(function* () {
    // Checked as if it came from anywhere: of plain JavaScript, or read from a file.
    if (trip?.type === "consecutive") return { type: "consecutive" }
    yield* check(trip?.type === "rate" ? undefined : `"consecutive" or "rate"`, name, "trip.type", trip?.type)
    const { failureRate, slowCallDuration, slowCallRate, window } = trip
    const isWindow = typeof window === "object" && window !== null && "count" in window !== "duration" in window
    const must = 'a count of calls or a duration: { count: 100 } or { duration: "1 minute" }'
    yield* check(isWindow ? undefined : must, name, "trip.window", window)
    if ("count" in window) yield* check(count(window.count, bounds.window), name, "trip.window.count", window.count)
    yield* check(rate(failureRate), name, "trip.failureRate", failureRate)
    if (slowCallRate !== undefined) yield* check(rate(slowCallRate), name, "trip.slowCallRate", slowCallRate)
    const most = "count" in window ? window.count : bounds.maxFailures
    const { minimumCalls = Math.min(most, defaultMinimumCalls) } = trip
    yield* check(count(minimumCalls, bounds.maxFailures), name, "trip.minimumCalls", minimumCalls)
    const parsed = {
      type: "rate" as const,
      window:
        "count" in window
          ? { count: window.count }
          : { duration: yield* durationOf(name, "trip.window.duration", window.duration, finite) },
      failureRate,
      slowCallRate,
      slowCallDuration:
        slowCallDuration === undefined
          ? undefined
          : yield* durationOf(name, "trip.slowCallDuration", slowCallDuration, aboveZero),
      minimumCalls
    }
    const wrong = contradiction(parsed)
    if (wrong !== undefined) yield* check(wrong.must, name, `trip.${wrong.field}`, trip[wrong.field])
    return parsed
  })

/** Fields that are each right and do not go together. */
const contradiction = (
  trip: RateTripOptions
): { readonly field: "slowCallRate" | "minimumCalls"; readonly must: string } | undefined => {
  if ((trip.slowCallRate === undefined) !== (trip.slowCallDuration === undefined)) {
    return { field: "slowCallRate", must: "stated together with slowCallDuration, or neither of them" }
  }
  if ("count" in trip.window && (trip.minimumCalls ?? 1) > trip.window.count) {
    return { field: "minimumCalls", must: "no more than the window holds, or nothing is ever judged" }
  }
  return undefined
}

/** What only circuits look at that count failures in a row. */
const stray = (maxFailures: unknown, trip: TripOptions): string | undefined =>
  trip.type === "rate" && maxFailures !== undefined
    ? 'left out, since the trip of this circuit is a rate (or state trip: { type: "consecutive" })'
    : undefined

// Each answers what a value must be, where it is not that.
const nameText = (value: unknown) =>
  typeof value === "string" && value.length >= 1 && value.length <= bounds.name
    ? undefined
    : `a text of 1 to ${bounds.name} characters`
const count = (value: unknown, most: number) =>
  Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most
    ? undefined
    : `a whole number from 1 ${most === Number.MAX_SAFE_INTEGER ? "on" : `to ${most}`}`
const rate = (value: unknown) =>
  typeof value === "number" && value >= 0 && value <= 1 ? undefined : "a number from 0 to 1"
const aboveZero = (value: Duration.Duration) =>
  Duration.toMillis(value) > 0 ? undefined : "a duration above zero, or infinity"
const finite = (value: Duration.Duration) =>
  Duration.toMillis(value) > 0 && Duration.lessThanOrEqualTo(value, bounds.resetTimeout)
    ? undefined
    : "a duration above zero, at most 24 days"

const check = (must: string | undefined, name: unknown, field: string, value: unknown) =>
  must === undefined ? Either.right(undefined) : Either.left({ name, field, value, must })

const durationOf = (
  name: string,
  field: string,
  value: unknown,
  problem: (duration: Duration.Duration) => string | undefined
): Either.Either<Duration.Duration, Wrong> =>
  Option.match(Durations.durationOf(value), {
    onNone: () => Either.left({ name, field, value, must: "a duration" }),
    onSome: (duration) => Either.map(check(problem(duration), name, field, value), () => duration)
  })

export const isSchedule = (value: unknown): value is Schedule.Schedule<unknown> => Schedule.isSchedule(value)

const Timeout = mustBe(Durations.DurationText, aboveZero)
const Length = mustBe(Durations.DurationText, finite)
const Rate = mustBe(Schema.Number, rate)
const Count = (most: number) => mustBe(Schema.Number, (value) => count(value, most))

/** What the configuration may state under `circuitBreaker.<name>`: what it leaves out is as in the code. */
export const ConfiguredPolicy = Schema.Struct({
  timeout: optional(Timeout),
  maxFailures: optional(Count(bounds.maxFailures)),
  resetTimeout: optional(Length),
  probes: optional(Count(bounds.probes)),
  trip: optional(
    Schema.Union(
      Schema.Struct({ type: Schema.Literal("consecutive") }),
      Schema.Struct({
        type: Schema.Literal("rate"),
        window: Schema.Union(Schema.Struct({ count: Count(bounds.window) }), Schema.Struct({ duration: Length })),
        failureRate: Rate,
        slowCallRate: optional(Rate),
        slowCallDuration: optional(Timeout),
        minimumCalls: optional(Count(bounds.maxFailures))
      }).pipe(
        Schema.filter((trip) => {
          const wrong = contradiction(trip)
          return wrong === undefined ? undefined : { path: [wrong.field], message: `must be ${wrong.must}` }
        })
      )
    )
  )
}).pipe(
  Schema.filter(({ maxFailures, trip }) => {
    const must = trip === undefined ? undefined : stray(maxFailures, trip)
    return must === undefined ? undefined : { path: ["maxFailures"], message: `must be ${must}` }
  })
)
export type ConfiguredPolicy = typeof ConfiguredPolicy.Type

export const termsOf = (policy: Policy): Terms => {
  const trip = tripOf(policy)
  return {
    policy,
    rules: {
      trip,
      probes: policy.probes,
      lease: Duration.isFinite(policy.timeout) ? toMicros(policy.timeout) : undefined
    },
    timeoutMillis: Duration.toMillis(policy.timeout),
    timed: trip.type === "rate" && trip.slow !== undefined
  }
}

const tripOf = ({ maxFailures, trip }: Policy): Trip => {
  if (trip.type === "consecutive") return { type: "consecutive", maxFailures: maxFailures ?? defaults.maxFailures }
  const { failureRate, minimumCalls = 1, slowCallDuration, slowCallRate } = trip
  const window: RateTrip["window"] =
    "count" in trip.window
      ? { type: "count", size: trip.window.count }
      : { type: "time", micros: toMicros(trip.window.duration) }
  const slow =
    slowCallRate === undefined || slowCallDuration === undefined
      ? undefined
      : { rate: slowCallRate, micros: toMicros(slowCallDuration) }
  return { type: "rate", window, failureRate, slow, minimumCalls }
}

/** Whether the two are the same policy. Two schedules cannot be compared: they are taken to be. */
export const agree = (one: Policy, other: Policy): boolean =>
  one.maxFailures === other.maxFailures &&
  one.probes === other.probes &&
  Duration.equals(one.timeout, other.timeout) &&
  (isSchedule(one.resetTimeout)
    ? isSchedule(other.resetTimeout)
    : !isSchedule(other.resetTimeout) && Duration.equals(one.resetTimeout, other.resetTimeout)) &&
  JSON.stringify(tripOf(one)) === JSON.stringify(tripOf(other))

export const describe = ({ maxFailures, probes, resetTimeout, timeout, trip }: Policy): string =>
  `timeout ${Duration.format(timeout)}, ` +
  (trip.type === "rate" ? `trip at a failure rate of ${trip.failureRate}` : `maxFailures ${maxFailures}`) +
  `, resetTimeout ${isSchedule(resetTimeout) ? "by a schedule" : Duration.format(resetTimeout)}, probes ${probes}`

export const states = ({ maxFailures, probes, resetTimeout, timeout, trip }: PolicyOptions): boolean =>
  timeout !== undefined ||
  maxFailures !== undefined ||
  resetTimeout !== undefined ||
  trip !== undefined ||
  probes !== undefined

/** Whether both state the same in the same words. */
export const writtenAlike = (one: PolicyOptions, other: PolicyOptions): boolean =>
  one === other ||
  (one.maxFailures === other.maxFailures &&
    one.probes === other.probes &&
    alike(one.timeout, other.timeout) &&
    alike(one.resetTimeout, other.resetTimeout) &&
    alike(one.trip, other.trip))
