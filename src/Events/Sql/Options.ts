import type * as Duration from "effect/Duration"
import { ConfigError } from "../../FoundationError.js"
import { acceptDuration } from "../../internal/acceptDuration.js"
import { acceptPrefix } from "../../internal/Sql/Names.js"

export interface Options {
  /** What the names of all tables begin with: `"foundation"`, and so `foundation_events`. Each prefix is a log of its own. */
  readonly prefix?: string
  /** How long a call may take: 5 seconds. Past it, it fails with `storage_unavailable`. */
  readonly deadline?: Duration.DurationInput
  /**
   * How often subscribers look for what other processes have stored where the database cannot tell them: on SQLite, and
   * while the listening connection to PostgreSQL is down. 1 second.
   */
  readonly pollInterval?: Duration.DurationInput
  /**
   * What an event that was stored survives, on SQLite:
   *
   * - `"process"`, the default: the end of the process, `kill -9` included. A power failure or a crash of the operating
   *   system may take the last events with it, never leave half of one or damage the file.
   * - `"power"`: those too, where the disk keeps what it confirms. Each commit waits for the disk.
   *
   * It holds for the whole connection, and so for all else that is written over it. PostgreSQL decides it itself, by
   * `synchronous_commit`.
   */
  readonly durability?: "process" | "power"
}

export interface Settings {
  readonly prefix: string
  readonly deadline: Duration.Duration
  readonly pollInterval: Duration.Duration
  readonly durability: "process" | "power"
}

/** The options, checked and completed, or which of them is wrong. */
export const settingsOf = (options: Options): Settings | ConfigError => {
  const prefix = acceptPrefix(options.prefix)
  if (prefix instanceof ConfigError) return prefix
  const deadline = acceptDuration("events.deadline", options.deadline ?? "5 seconds")
  if (deadline instanceof ConfigError) return deadline
  const pollInterval = acceptDuration("events.pollInterval", options.pollInterval ?? "1 second")
  if (pollInterval instanceof ConfigError) return pollInterval
  const durability: unknown = options.durability ?? "process"
  if (durability !== "process" && durability !== "power") {
    return invalid("durability", `must be "process" or "power"`)
  }
  return { prefix, deadline, pollInterval, durability }
}

const invalid = (option: string, problem: string): ConfigError =>
  new ConfigError({ reason: "invalid_value", path: `events.${option}`, message: `events.${option} ${problem}` })
