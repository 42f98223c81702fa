import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ConfigError } from "../FoundationError.js"
import { DurationText, parseDuration } from "../internal/durationText.js"
import { jsonSafe } from "../internal/jsonSafe.js"
import { toMicros } from "../internal/monotonic.js"
import { type AlgorithmName, algorithmNames, type Rate } from "./Algorithm.js"

/** What a limit allows, in the code's terms: each field that is not stated has its default. */
export interface PolicyOptions {
  /** What is limited: "default" where not stated. Names come from the program, subjects go into `key`. */
  readonly name?: string | undefined
  /** The units of cost that an interval admits: 100 where not stated. */
  readonly maxRequests?: number | undefined
  /** One minute where not stated; a number is milliseconds. */
  readonly interval?: Duration.DurationInput | undefined
  /** `"sliding-window"`, which is exact, where not stated. */
  readonly algorithm?: AlgorithmName | undefined
  /** Whether a call that finds the limit used up fails or waits: it fails where not stated. */
  readonly onExceeded?: OnExceeded | undefined
  /** How long a call waits at most: one interval where not stated. */
  readonly maxWait?: Duration.DurationInput | undefined
}

export type OnExceeded = "fail" | "wait"

/** A policy that has been checked. It serves as options: `{ ...policy, key }`. */
export interface Policy {
  readonly name: string
  /**
   * The one subject for all. Here so that `{ ...policy, key }` changes a field and does not add one: 0.03 µs in place of
   * 2.3 in V8.
   */
  readonly key: string
  readonly maxRequests: number
  readonly interval: Duration.Duration
  readonly algorithm: AlgorithmName
  readonly onExceeded: OnExceeded
  readonly maxWait: Duration.Duration
}

/** The rate of a policy under its name: all that a backend needs to know. Another object after any change. */
export interface Limit extends Rate {
  readonly name: string
  readonly algorithm: AlgorithmName
}

export const defaults = { name: "default", maxRequests: 100, interval: Duration.minutes(1) } as const

/** The most that `maxRequests` may be. */
export const bounds = {
  maxRequests: 1_000_000_000,
  /** The log of a sliding window takes 16 bytes a request: 160 MB a key here. */
  maxRequestsSliding: 10_000_000,
  interval: Duration.days(366),
  name: 256,
  key: 256
} as const

const maxIntervalMicros = toMicros(bounds.interval)

const invalid = (name: string, field: string, value: unknown, must: string): ConfigError => {
  const got = typeof value === "string" ? JSON.stringify(jsonSafe(value)) : String(jsonSafe(value))
  return new ConfigError({
    reason: "invalid_value",
    path: `rateLimiter.${name}.${field}`,
    message: `${field} of the limit ${JSON.stringify(name)} must be ${must}, but is ${got}`
  })
}

const isCount = (value: unknown, max: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= max

const mostRequests = (algorithm: AlgorithmName): number =>
  algorithm === "sliding-window" ? bounds.maxRequestsSliding : bounds.maxRequests

/** The duration that the value states, where it is one; a malformed text or number is none. */
const durationOf = (value: unknown): Option.Option<Duration.Duration> =>
  typeof value === "number" || typeof value === "string" ? parseDuration(value) : Duration.decodeUnknown(value)

/** The policy, or what is wrong with the options; what they do not state is taken from `base`. */
export const parsePolicy = (options: PolicyOptions, base?: Policy): Either.Either<Policy, ConfigError> => {
  const { name = base?.name ?? defaults.name } = options
  if (typeof name !== "string" || name.length === 0 || name.length > bounds.name) {
    const must = `a text of 1 to ${bounds.name} characters`
    return Either.left(invalid(typeof name === "string" ? name.slice(0, 32) : "?", "name", name, must))
  }
  const { algorithm = base?.algorithm ?? "sliding-window", onExceeded = base?.onExceeded ?? "fail" } = options
  if (!algorithmNames.includes(algorithm)) {
    return Either.left(invalid(name, "algorithm", algorithm, `one of ${algorithmNames.join(", ")}`))
  }
  if (onExceeded !== "fail" && onExceeded !== "wait") {
    return Either.left(invalid(name, "onExceeded", onExceeded, `"fail" or "wait"`))
  }
  const { maxRequests = base?.maxRequests ?? defaults.maxRequests } = options
  const most = mostRequests(algorithm)
  if (!isCount(maxRequests, most)) {
    const other = most < bounds.maxRequests ? ` (${bounds.maxRequests} with fixed-window and token-bucket)` : ""
    return Either.left(invalid(name, "maxRequests", maxRequests, `a whole number from 1 to ${most}${other}`))
  }
  const interval = durationOf(options.interval ?? base?.interval ?? defaults.interval)
  if (Option.isNone(interval) || !isCount(toMicros(interval.value), maxIntervalMicros)) {
    return Either.left(invalid(name, "interval", options.interval, "a duration above zero, at most 366 days"))
  }
  const maxWait = parseMaxWait(name, options.maxWait ?? base?.maxWait ?? interval.value)
  return Either.map(maxWait, (maxWait) => ({
    name,
    key: "",
    maxRequests,
    interval: interval.value,
    algorithm,
    onExceeded,
    maxWait
  }))
}

export const parseMaxWait = (name: string, value: unknown): Either.Either<Duration.Duration, ConfigError> => {
  const maxWait = durationOf(value)
  return Option.isSome(maxWait)
    ? Either.right(maxWait.value)
    : Either.left(invalid(name, "maxWait", value, "a duration, or infinity"))
}

/** What is wrong with the cost of a call under this limit, if anything. */
export const wrongCost = (name: string, cost: unknown, maxRequests: number): ConfigError | undefined =>
  isCount(cost, maxRequests)
    ? undefined
    : invalid(name, "cost", cost, `a whole number from 1 to the ${maxRequests} that the limit admits in an interval`)

/** What is wrong with the key of a call, if anything. */
export const wrongKey = (name: string, key: unknown): ConfigError | undefined =>
  typeof key === "string" && key.length <= bounds.key
    ? undefined
    : invalid(name, "key", typeof key === "string" ? key.slice(0, 32) : key, `a text of up to ${bounds.key} characters`)

const Interval = DurationText.pipe(
  Schema.filter((interval) => isCount(toMicros(interval), maxIntervalMicros), {
    message: () => "an interval is a duration above zero, at most 366 days"
  })
)

/** What the configuration may state under `rateLimiter.<name>`: what it leaves out is as in the code. */
export const ConfiguredPolicy = Schema.Struct({
  maxRequests: Schema.optional(Schema.Int.pipe(Schema.between(1, bounds.maxRequests))),
  interval: Schema.optional(Interval),
  algorithm: Schema.optional(Schema.Literal(...algorithmNames)),
  onExceeded: Schema.optional(Schema.Literal("fail", "wait")),
  maxWait: Schema.optional(DurationText)
}).annotations({ identifier: "RateLimiterPolicy" })
export type ConfiguredPolicy = typeof ConfiguredPolicy.Type

export const limitOf = ({ algorithm, interval, maxRequests, name }: Policy): Limit => ({
  name,
  algorithm,
  maxRequests,
  interval: toMicros(interval)
})
