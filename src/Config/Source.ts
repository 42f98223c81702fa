import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { ConfigError } from "../FoundationError.js"
import type { Json } from "../internal/json.js"
import { parsePath } from "./Path.js"
import { Problem } from "./Problem.js"

/** Where configuration comes from. What it states is read anew at each reload. */
export interface Source<out R = never> {
  /** What errors, changes and origins call it. */
  readonly name: string
  /** Everything that the source states, as named values in sections. */
  readonly read: Effect.Effect<Readonly<Record<string, unknown>>, ConfigError, R>
  /** Whether its values are text, to be decoded to the type asked for. Of a source that is not, text is text. */
  readonly text?: boolean
  /**
   * Whether its names know no case: each is taken for the name in an earlier source that has the same letters, whatever
   * its case, hyphens and underscores (`MAX_REQUESTS` for `maxRequests`), else written in camel case.
   */
  readonly loose?: boolean
  /** Paths, beneath which every value is secret, besides those whose names say so. */
  readonly secrets?: ReadonlyArray<string>
  /** Whether it is never read half-written, so that a watcher believes at once what it finds. */
  readonly atomic?: boolean
  /** An element for each time at which it may be worth to read the source again. Read anew only this one source is. */
  readonly watch?: Stream.Stream<unknown, never, R>
  /** Where it is there, what is set is written to this source. */
  readonly store?: Store
  /** Makes the source ready for one configuration, for which what it makes is used in its place. */
  readonly open?: Effect.Effect<Source<R>, ConfigError, R | Scope.Scope>
}

/** Takes what is set. It knows what the source stated when it was last read, and writes nothing over what is newer. */
export interface Store {
  /** How long a write may take, with the wait for others. */
  readonly deadline: Duration.DurationInput
  /** Runs in the fiber that sets, before everything else: fails where it cannot be written now. */
  readonly admits: Effect.Effect<void, ConfigError>
  /**
   * Has the source state a value at the path, and nothing else there: entirely or not at all. Fails with reason `conflict`
   * where something else than was read last stands at the path, around it or beneath it.
   *
   * Where the write is to be `alone`, all who write wait for it from before it is prepared, and `prepare` is given what the
   * source states if that is other than was read last: so it cannot conflict.
   */
  readonly write: (
    path: string,
    prepare: (refreshed?: Stated | Problem) => Write | Problem,
    alone: boolean
  ) => Effect.Effect<void, ConfigError>
}

/** Named values in sections. */
export type Stated = Readonly<Record<string, unknown>>

export interface Write {
  /** None, for nothing to be at the path. */
  readonly value: Json | undefined
  /** Why what the source would state after the write cannot be put in force. */
  readonly check: (stated: Stated) => Problem | undefined
}

/** What the sources together need. */
export type Needs<Sources extends ReadonlyArray<Source<unknown>>> = NeedsOf<Sources[number]>

/** Of no source, nothing: it is distributive. */
type NeedsOf<S> = S extends Source<infer R> ? R : never

export interface ObjectOptions {
  /** What errors, changes and origins call it: `object`. */
  readonly name?: string
  /** Paths, beneath which every value is secret. */
  readonly secrets?: ReadonlyArray<string>
}

/** A source that states the record; it is copied when it is read. A text in place of the options is the name. */
export const object = (record: Readonly<Record<string, unknown>>, options: string | ObjectOptions = {}): Source => {
  const { name = "object", secrets = [] } = typeof options === "string" ? { name: options } : options
  return { name, secrets, read: Effect.succeed(record) }
}

/** The variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

export interface EnvOptions {
  /**
   * What the name of a variable begins with: `FOUNDATION__`. With `""` every variable is a value, those of the system too:
   * names that cannot be a path (`__CF_USER_TEXT_ENCODING`) are passed over, and of two that differ only by case the one
   * whose capitals come first stands (`HTTP_PROXY` before `http_proxy`). With any other prefix both are a ConfigError.
   */
  readonly prefix?: string
  /** What stands between sections: `__`. */
  readonly separator?: string
  /** The variables: those of the process, as they are at each read. */
  readonly env?: Environment
  /** Paths, beneath which every value is secret: `server.maxRequests`. */
  readonly secrets?: ReadonlyArray<string>
}

/** The variables of this process. They are what this source is for, so it takes them from where they are. */
export const processEnvironment = (): Environment => process.env

/**
 * A source of environment variables: `FOUNDATION__SERVER__MAX_REQUESTS=8` states `server.maxRequests`. The values are text.
 *
 * The names are those that an earlier source has, where one has the same letters (`max_requests`, `MaxRequests`), else camel
 * case. The plain lower case, `server.max_requests`, is found as well.
 */
export const env = (options: EnvOptions = {}): Source => ({
  name: "env",
  text: true,
  loose: true,
  secrets: options.secrets ?? [],
  read: Effect.suspend(() => {
    const prefix = options.prefix ?? "FOUNDATION__"
    return sections(
      options.env ?? processEnvironment(),
      options.separator ?? "__",
      (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : undefined),
      prefix === ""
    )
  })
})

/**
 * Variables as a tree of sections: the name of each, less what is not part of it, split at the separator. Among `anyones`,
 * which nobody named for this program, a name that cannot be taken is passed over.
 */
export const sections = (
  variables: Environment,
  separator: string,
  nameOf: (variable: string) => string | undefined,
  anyones = false
): Effect.Effect<Readonly<Record<string, unknown>>, ConfigError> => {
  const out: Record<string, unknown> = Object.create(null)
  for (const variable of Object.keys(variables).sort()) {
    const name = nameOf(variable)
    const value = variables[variable]
    if (name === undefined || value === undefined) continue
    const path = name.toLowerCase().replaceAll(separator.toLowerCase(), ".")
    if (anyones && (path in out || parsePath(path) instanceof Problem)) continue
    if (path in out) {
      return new ConfigError({
        reason: "invalid_key",
        path,
        source: "env",
        message: `Two variables differ only by case, and both state "${path}"; remove one, such as ${variable}`
      })
    }
    out[path] = value
  }
  return Effect.succeed(out)
}
