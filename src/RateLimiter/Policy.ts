import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { ConfigError } from "../FoundationError.js"
import { DurationText, durationOf } from "../internal/durationText.js"
import { toMicros } from "../internal/monotonic.js"
import { alike, defaultName } from "../internal/policiesInForce.js"
import { mustBe, optional } from "../internal/policySchema.js"
import { type Wrong, wrongField } from "../internal/wrongField.js"
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
  /**
   * Whether a call that finds the limit used up fails or waits. A call that does not state it does as the first call did
   * that stated anything for the name; it fails where that did not state it either.
   */
  readonly onExceeded?: OnExceeded | undefined
  /** How long a call waits at most. Where not stated as with `onExceeded`; one interval where that did not state it. */
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

export const defaults = { name: defaultName, maxRequests: 100, interval: Duration.minutes(1) } as const

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

const isCount = (value: unknown, max: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= max

const mostRequests = (algorithm: AlgorithmName): number =>
  algorithm === "sliding-window" ? bounds.maxRequestsSliding : bounds.maxRequests

const wrong = (name: unknown, field: string, value: unknown, must: string): Either.Either<never, Wrong> =>
  Either.left({ name, field, value, must })

/** The mistake in the code as an error. */
export const invalid = (wrong: Wrong): ConfigError => wrongField("rateLimiter", "limit", wrong)

/** The policy, or what is wrong with the options; what they do not state is taken from `base`. */
export const parsePolicy = (options: PolicyOptions, base?: Policy): Either.Either<Policy, Wrong> => {
  const { name = base?.name ?? defaults.name } = options
  if (typeof name !== "string" || name.length === 0 || name.length > bounds.name) {
    const must = `a text of 1 to ${bounds.name} characters`
    return wrong(name, "name", name, must)
  }
  const { algorithm = base?.algorithm ?? "sliding-window", onExceeded = base?.onExceeded ?? "fail" } = options
  if (!algorithmNames.includes(algorithm)) {
    return wrong(name, "algorithm", algorithm, `one of ${algorithmNames.join(", ")}`)
  }
  if (onExceeded !== "fail" && onExceeded !== "wait") {
    return wrong(name, "onExceeded", onExceeded, `"fail" or "wait"`)
  }
  const { maxRequests = base?.maxRequests ?? defaults.maxRequests } = options
  const most = mostRequests(algorithm)
  if (!isCount(maxRequests, most)) {
    const other = most < bounds.maxRequests ? ` (${bounds.maxRequests} with fixed-window and token-bucket)` : ""
    return wrong(name, "maxRequests", maxRequests, `a whole number from 1 to ${most}${other}`)
  }
  const interval = durationOf(options.interval ?? base?.interval ?? defaults.interval)
  if (Option.isNone(interval) || !isCount(toMicros(interval.value), maxIntervalMicros)) {
    return wrong(name, "interval", options.interval, "a duration above zero, at most 366 days")
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

export const parseMaxWait = (name: string, value: unknown): Either.Either<Duration.Duration, Wrong> => {
  const maxWait = durationOf(value)
  return Option.isSome(maxWait) ? Either.right(maxWait.value) : wrong(name, "maxWait", value, "a duration, or infinity")
}

/** What is wrong with the cost of a call under this limit, if anything. */
export const wrongCost = (name: string, cost: unknown, maxRequests: number): ConfigError | undefined =>
  isCount(cost, maxRequests)
    ? undefined
    : invalid({
        name,
        field: "cost",
        value: cost,
        must: `a whole number from 1 to the ${maxRequests} that the limit admits in an interval`
      })

/** What is wrong with the key of a call, if anything. */
export const wrongKey = (name: string, key: unknown): ConfigError | undefined =>
  typeof key === "string" && key.length <= bounds.key
    ? undefined
    : invalid({ name, field: "key", value: key, must: `a text of up to ${bounds.key} characters` })

const MaxRequests = mustBe(Schema.Number, (value) =>
  isCount(value, bounds.maxRequests) ? undefined : `a whole number from 1 to ${bounds.maxRequests}`
)
const Interval = mustBe(DurationText, (interval) =>
  isCount(toMicros(interval), maxIntervalMicros) ? undefined : "a duration above zero, at most 366 days"
)

/** What the configuration may state under `rateLimiter.<name>`: what it leaves out is as in the code. */
export const ConfiguredPolicy = Schema.Struct({
  maxRequests: optional(MaxRequests),
  interval: optional(Interval),
  algorithm: optional(Schema.Literal(...algorithmNames)),
  onExceeded: optional(Schema.Literal("fail", "wait")),
  maxWait: optional(DurationText)
})
export type ConfiguredPolicy = typeof ConfiguredPolicy.Type

export const limitOf = ({ algorithm, interval, maxRequests, name }: Policy): Limit => ({
  name,
  algorithm,
  maxRequests,
  interval: toMicros(interval)
})

/** Whether the two admit the same. Whether to wait, and how long, calls may state for themselves. */
export const agree = (one: Policy, other: Policy): boolean =>
  one.maxRequests === other.maxRequests &&
  one.algorithm === other.algorithm &&
  Duration.equals(one.interval, other.interval)

/** `100 requests in 60 s` */
export const allowanceOf = ({ interval, maxRequests }: Policy): string =>
  `${maxRequests} ${maxRequests === 1 ? "request" : "requests"} in ${spanOf(interval)}`

export const describe = ({ algorithm, interval, maxRequests }: Policy): string =>
  `${maxRequests} in ${spanOf(interval)}, ${algorithm}`

/** The length as people write it, in one unit. */
export const spanOf = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  return millis >= 1000 && millis % 1000 === 0 ? `${millis / 1000} s` : `${millis} ms`
}

export const states = ({ algorithm, interval, maxRequests }: PolicyOptions): boolean =>
  maxRequests !== undefined || interval !== undefined || algorithm !== undefined

/** Whether both state the same rate in the same words. */
export const writtenAlike = (one: PolicyOptions, other: PolicyOptions): boolean =>
  one === other ||
  (one.maxRequests === other.maxRequests && one.algorithm === other.algorithm && alike(one.interval, other.interval))
