import * as Duration from "effect/Duration"
import { ConfigError } from "../../FoundationError.js"
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
  const accepted = {
    advertise: advertise === undefined ? undefined : new URL(advertise),
    lease: Duration.decode(options.lease ?? "15 seconds"),
    deadline: Duration.decode(options.deadline ?? "5 seconds"),
    maxStaleness: onStale === "answer" ? Duration.infinity : Duration.decode(options.maxStaleness ?? Duration.infinity),
    pollInterval: Duration.decode(options.pollInterval ?? (dialect === "sqlite" ? "200 millis" : "1 second")),
    compareInterval: Duration.decode(options.compareInterval ?? "1 minute"),
    prefix
  }
  const millis = Duration.toMillis(accepted.lease)
  if (!(millis >= 1000 && millis <= 86_400_000)) return wrong("lease", "must be from 1 second to 1 day")
  for (const name of ["deadline", "pollInterval", "compareInterval"] as const) {
    const millis = Duration.toMillis(accepted[name])
    if (!(millis >= 1 && millis < 2 ** 31)) return wrong(name, "must be from 1 millisecond to 24 days")
  }
  return accepted
}

const wrong = (option: string, problem: string): ConfigError =>
  new ConfigError({
    reason: "invalid_value",
    path: `serviceRegistry.${option}`,
    message: `The option ${option} of the service registry ${problem}`
  })
