import * as Duration from "effect/Duration"
import { ConfigError } from "../../FoundationError.js"
import { acceptDuration, anyLength, type Span, timed } from "../../internal/acceptDuration.js"
import { acceptPrefix } from "../../internal/Sql/Names.js"

export interface Options {
  /**
   * The address of this process, under which the others see the fibers that are registered here: how they call it is
   * between them. Without it only addresses can be registered.
   */
  readonly advertise?: URL | string
  /**
   * For how long the database keeps what is registered here for this process without hearing from it: 15 seconds, and at
   * least one. It is renewed at a third of that. Short, the name of a process that died is free soon; long, a process or
   * a database may be away longer before registrations are given up.
   */
  readonly lease?: Duration.DurationInput
  /** How long `register`, `join`, `update` and the making of the layer wait for the database: 5 seconds. */
  readonly deadline?: Duration.DurationInput
  /**
   * How old may be what is known of other processes, before a lookup of theirs fails with RegistryError `stale`. No bound
   * by default: what was known last is answered. What is registered here is always answered.
   */
  readonly maxStaleness?: Duration.DurationInput
  /** What a lookup does past `maxStaleness`: `"fail"` by default. `"answer"` is as without the bound. */
  readonly onStale?: "answer" | "fail"
  /** How often a SQLite file is asked for changes, and PostgreSQL while it cannot notify: 200 milliseconds, and 1 second. */
  readonly pollInterval?: Duration.DurationInput
  /** How often all registrations are read and compared, in case that a notification was lost: 1 minute. */
  readonly compareInterval?: Duration.DurationInput
  /** What the names of the tables start with: `"foundation"`. Registries with different prefixes know nothing of each other. */
  readonly prefix?: string
  /** As of `ServiceRegistry.layerMemory`: registrations of all processes count. */
  readonly capacity?: number
}

/** The options as they are used. */
export interface Accepted {
  readonly advertise: URL | undefined
  readonly lease: Duration.Duration
  readonly deadline: Duration.Duration
  readonly maxStaleness: Duration.Duration
  readonly pollInterval: Duration.Duration
  readonly compareInterval: Duration.Duration
  readonly prefix: string
}

export const acceptOptions = (options: Options, dialect: "sqlite" | "pg"): Accepted | ConfigError => {
  const prefix = acceptPrefix(options.prefix)
  if (prefix instanceof ConfigError) return prefix
  const { advertise, onStale = "fail" } = options
  // "localhost:80" is a URL too, of the scheme "localhost:": nobody means that.
  if (typeof advertise === "string" && !(advertise.includes("://") && URL.canParse(advertise))) {
    return wrong("advertise", 'must be a URL, as in "http://10.0.0.1:8080"')
  }
  if (onStale !== "fail" && onStale !== "answer") return wrong("onStale", 'must be "fail" or "answer"')
  const accept = (option: keyof Options, value: Duration.DurationInput, span: Span = timed) =>
    acceptDuration(`serviceRegistry.${option}`, value, span)
  const lease = accept("lease", options.lease ?? "15 seconds", leases)
  if (lease instanceof ConfigError) return lease
  const deadline = accept("deadline", options.deadline ?? "5 seconds")
  if (deadline instanceof ConfigError) return deadline
  const maxStaleness = accept("maxStaleness", options.maxStaleness ?? Duration.infinity, anyLength)
  if (maxStaleness instanceof ConfigError) return maxStaleness
  const pollInterval = accept("pollInterval", options.pollInterval ?? (dialect === "sqlite" ? 200 : "1 second"))
  if (pollInterval instanceof ConfigError) return pollInterval
  const compareInterval = accept("compareInterval", options.compareInterval ?? "1 minute")
  if (compareInterval instanceof ConfigError) return compareInterval
  return {
    advertise: advertise === undefined ? undefined : new URL(advertise),
    lease,
    deadline,
    maxStaleness: onStale === "answer" ? Duration.infinity : maxStaleness,
    pollInterval,
    compareInterval,
    prefix
  }
}

const leases: Span = { least: 1000, most: 86_400_000, says: "must be a duration from 1 second to 1 day" }

const wrong = (option: string, problem: string): ConfigError =>
  new ConfigError({
    reason: "invalid_value",
    path: `serviceRegistry.${option}`,
    message: `The option ${option} of the service registry ${problem}`
  })
