import type * as FileSystem from "@effect/platform/FileSystem"
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { defaultFiles } from "./Config/Defaults.js"
import type * as Diff from "./Config/Diff.js"
import * as File from "./Config/File.js"
import * as Key_ from "./Config/Key.js"
import { getsNow, makeLive } from "./Config/Live.js"
import { makeProvider } from "./Config/Provider.js"
import type * as Sets from "./Config/Sets.js"
import type * as Snapshot_ from "./Config/Snapshot.js"
import * as Source_ from "./Config/Source.js"
import type * as Typed from "./Config/Typed.js"
import type { Condition } from "./Foundation/Health/Condition.js"
import type { ConfigError } from "./FoundationError.js"
import { accessing } from "./internal/access.js"
import type { Telemetry } from "./Telemetry.js"

export declare namespace Config {
  type Key<A> = Key_.Key<A>
  type Snapshot = Snapshot_.Snapshot
  type Change = Diff.Change
  type Source<R = never> = Source_.Source<R>
  type Default = Typed.Default
  type Widened<D> = Typed.Widened<D>
  type FileOptions = File.FileOptions
  type EnvOptions = Source_.EnvOptions
  type ObjectOptions = Source_.ObjectOptions
  type SetOptions = Sets.SetOptions

  interface Options<Sources extends ReadonlyArray<Source<unknown>>> {
    /** Later sources win over earlier ones. */
    readonly sources: Sources
    /** Keys that must be valid from the start. Other keys must be valid from when they are first read. */
    readonly keys?: ReadonlyArray<Key<unknown>>
  }

  interface Get<R = never> {
    <A>(key: Key<A>): Effect.Effect<A, ConfigError, R>
    (key: string): Effect.Effect<unknown, ConfigError, R>
    <const D extends Default>(key: string, fallback: D): Effect.Effect<Widened<D>, ConfigError, R>
  }

  interface Set<R = never> {
    <A>(key: Key<A>, value: NoInfer<A>, options?: SetOptions): Effect.Effect<void, ConfigError, R>
    (key: string, value: unknown, options?: SetOptions): Effect.Effect<void, ConfigError, R>
  }

  interface Update<R = never> {
    <A>(key: Key<A>, change: (value: A) => NoInfer<A>): Effect.Effect<A, ConfigError, R>
    (key: string, change: (value: unknown) => unknown): Effect.Effect<unknown, ConfigError, R>
  }

  interface Watch<R = never> {
    <A>(key: Key<A>): Stream.Stream<A, ConfigError, R>
    (key: string): Stream.Stream<unknown, ConfigError, R>
    <const D extends Default>(key: string, fallback: D): Stream.Stream<Widened<D>, ConfigError, R>
  }

  interface Service {
    readonly get: Get
    readonly set: Set
    readonly update: Update
    readonly unset: (key: string | Key<unknown>) => Effect.Effect<void, ConfigError>
    readonly reload: Effect.Effect<void, ConfigError>
    readonly changes: Stream.Stream<Change>
    readonly watch: Watch
    readonly origin: (key: string | Key<unknown>) => Effect.Effect<Option.Option<string>, ConfigError>
    readonly snapshot: Effect.Effect<Snapshot>
    /** The current snapshot, synchronously. It is the same object until a change is accepted. */
    readonly unsafeSnapshot: () => Snapshot
    readonly provider: ConfigProvider.ConfigProvider
    /** What `Foundation.health` says of it: degraded while a source cannot be used. */
    readonly health?: Effect.Effect<Condition>
  }
}

const make = <const Sources extends ReadonlyArray<Source_.Source<unknown>>>(
  options: Config.Options<Sources>
): Effect.Effect<Config.Service, ConfigError, Source_.Needs<Sources> | Telemetry | Scope.Scope> =>
  // What each source needs is a part of what all of them need.
  makeLive(options.sources as ReadonlyArray<Source_.Source<Source_.Needs<Sources>>>, options.keys ?? [])

const using = accessing(() => Config)

const streaming = <A, E>(use: (config: Config.Service) => Stream.Stream<A, E>): Stream.Stream<A, E, Config> =>
  Stream.unwrap(using((config) => Effect.succeed(use(config))))

const sourcesOf = <Sources extends ReadonlyArray<Source_.Source<unknown>>>(
  given: Sources | readonly [Config.Options<Sources>]
): Config.Options<Sources> => {
  const [first] = given
  return first !== undefined && "sources" in first ? first : { sources: given as Sources } // one or the other
}

interface LayerFrom {
  <const Sources extends ReadonlyArray<Source_.Source<unknown>>>(
    ...sources: Sources
  ): Layer.Layer<Config, ConfigError, Source_.Needs<Sources> | Telemetry>
  <const Sources extends ReadonlyArray<Source_.Source<unknown>>>(
    options: Config.Options<Sources>
  ): Layer.Layer<Config, ConfigError, Source_.Needs<Sources> | Telemetry>
}

const layerFrom: LayerFrom = <Sources extends ReadonlyArray<Source_.Source<unknown>>>(
  ...given: Sources | readonly [Config.Options<Sources>]
) =>
  Layer.scoped(
    Config,
    Effect.suspend(() => make(sourcesOf(given)))
  )

/**
 * Configuration that can change while the program runs. Sources are merged in order, reads are typed, values can be set on
 * top, and changes are a stream. A change is checked as a whole before it takes effect: it is accepted entirely or refused.
 *
 * Each `get` and each `snapshot` is atomic, but a reload can come between two `get`s. Read values that must fit together as
 * one section, with one key, or from one snapshot.
 *
 * Secrets are `Redacted` in snapshots, changes and untyped reads, and are never quoted in errors. A value is secret if
 *
 * - its name has the word password, passwd, passphrase, secret, token, credential, authorization or cookie in it, or one of
 *   the pairs api key, private key, access key and secret key (`dbPassword`, `API_KEY`), or ends in the word pass;
 * - the whole name of a section around it is such a word (`credentials`);
 * - it is a URL with a password in it;
 * - its source lists its path under `secrets`, or a key reads it with a schema that makes a `Redacted`.
 *
 * Numbers, booleans, dates and durations are never secret by name: `maxTokens` is not. Errors also do not quote text that
 * looks like a credential, such as `sk_live_…` or a long random string, though it is not secret otherwise.
 *
 * @example
 * import { Config, Telemetry } from "effect-foundation"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const Port = Config.Key("server.port", Schema.Number, { default: 8080 })
 *
 * const program = Effect.gen(function* () {
 *   const port = yield* Config.get(Port) // number
 *   const host = yield* Config.get("server.host", "localhost") // string
 *   yield* Config.set(Port, 9090)
 *   yield* Effect.log(host, port, yield* Config.get(Port))
 * })
 *
 * const Live = Config.layerFrom(Config.object({ server: { port: 3000 } }), Config.env()).pipe(
 *   Layer.provide(Telemetry.layer)
 * )
 *
 * Effect.runPromise(program.pipe(Effect.provide(Live)))
 */
export class Config extends Context.Tag("effect-foundation/Config")<Config, Config.Service>() {
  /**
   * A path, the schema of its value, and optionally a default for when there is none. Make it once, at the top of a module.
   *
   * The schema decodes the value that the sources give. Text from the environment is first converted to what the schema
   * expects: `"8080"` to a number, `"a,b"` to a list, JSON to an object. The schema must be synchronous and need no
   * services. What it decodes to `Redacted` is secret everywhere. With an invalid path, every use of the key fails with a
   * ConfigError.
   *
   * It has a capital letter because the `key` of a tag is already its name.
   */
  static readonly Key = Key_.Key.make

  /**
   * A plain object as a source, with an optional name, or `{ name, secrets }`. It is copied at each load, so a change made
   * to the object takes effect at the next reload.
   */
  static readonly object = Source_.object

  /**
   * Environment variables as a source: `FOUNDATION__SERVER__MAX_REQUESTS=8` is `server.maxRequests`. Values are text, and
   * are converted to the type that a read asks for. A variable goes to the name of an earlier source with the same letters,
   * ignoring case, hyphens and underscores (`max_requests`); if there is none, its name becomes camel case.
   *
   * With `prefix: ""` all variables are read. Those whose name is not a valid path are skipped, and of two that differ only
   * by case the upper-case one counts.
   */
  static readonly env = Source_.env

  /**
   * A JSON, YAML, TOML or .env file as a source, watched for changes. At most 16 MiB (YAML 4 MiB), 100 sections deep and a
   * million values. It is read again after 50 ms without a change. If it is then empty or broken, it is read once more after
   * 250 ms; if it is still broken, the last good configuration stays in force and a warning is logged.
   */
  static readonly file = File.file

  /**
   * Makes the service from the sources. Fails with a ConfigError if a source cannot be read, or the value of one of the
   * `keys` is missing or invalid.
   */
  static readonly make = make

  /**
   * Reads one file and, over it, the variables `FOUNDATION__SECTION__KEY`. The file is the one named by the variable
   * `FOUNDATION_CONFIG`, which must exist; without it, the first of `foundation.config.yaml`, `.yml`, `.json` and `.toml` in
   * the working directory, if there is one.
   */
  static readonly layer: Layer.Layer<Config, ConfigError, Telemetry | FileSystem.FileSystem> = Layer.scoped(
    Config,
    Effect.flatMap(defaultFiles, (files) => make({ sources: [...files, Source_.env()] }))
  )

  /**
   * A layer from sources, where later ones win over earlier ones; or from `{ sources, keys }`, where every key must be valid
   * from the start.
   */
  static readonly layerFrom = layerFrom

  /**
   * Lets `effect/Config` read the live values. A path without a live value is read from the ConfigProvider that is current
   * when this layer is built: the environment, unless you set another. A live value always wins, even an invalid one.
   */
  static readonly layerProvider: Layer.Layer<never, never, Config> = Layer.unwrapEffect(
    Effect.configProviderWith((other) =>
      Effect.map(Config, (config) => Layer.setConfigProvider(makeProvider(config.unsafeSnapshot, other)))
    )
  )

  /**
   * Reads the value at a dotted path.
   *
   * - `get(path)` gives the raw value, or `undefined` if there is none. A section is a frozen object, a secret is
   *   `Redacted`.
   * - `get(path, fallback)` gives a value of the fallback's type, or the fallback if there is no value. A Duration can be
   *   written as milliseconds or as text like `"5 seconds"`. A text fallback reveals a secret; a `Redacted` one keeps it
   *   hidden.
   * - `get(key)` gives the value decoded by the key's schema, or the key's default.
   *
   * Fails with a ConfigError: `invalid_value` if the value has another type, `invalid_key` if the path is not valid. Once a
   * value has been read as a type, or a key has been read, a `set` or reload that would break that is refused.
   */
  static readonly get: Config.Get<Config> = ((key: string, fallback: Typed.Default) =>
    using((config) => {
      const getNow = getsNow.get(config.get)
      return getNow === undefined ? config.get(key, fallback) : getNow(key, fallback)
    })) as Config.Get<Config>

  /**
   * Sets a value over all sources. It survives reloads until it is unset, and replaces the whole section if there is one at
   * the path. Fails with a ConfigError, and changes nothing, if the value is invalid or a read that depends on it would
   * break. At most 10,000 values can be set. With `{ since: snapshot }` it also fails, with `conflict`, if the value is
   * another than in that snapshot.
   *
   * If there is a source that is written to (`ConfigSql.source({ writable: true })`), the value is written there instead, to
   * the last one if there are several, and takes its place among the sources: what earlier sources state in the same section
   * stays, and where a later source states the path the set fails with `read_only`. It fails with `conflict` if another
   * process has changed the value and this one has not seen that yet; by then it has.
   */
  static readonly set: Config.Set<Config> = (
    key: string | Config.Key<unknown>,
    value: unknown,
    options?: Config.SetOptions
  ) => using((config) => (typeof key === "string" ? config.set(key, value, options) : config.set(key, value, options)))

  /**
   * Sets the value to what the function makes of it, and answers that. No change of another fiber or process is lost: the
   * function is given the newest value, while a source that is written to is locked for all others. It may run again, and
   * what it throws is a defect. Where it makes the same of every value, it sets that whatever others have set. Fails as
   * `set` does, but never with `conflict`.
   *
   * @example
   * import { Config, Telemetry } from "effect-foundation"
   * import { Effect, Layer, Schema } from "effect"
   *
   * const Visits = Config.Key("visits", Schema.Number, { default: 0 })
   *
   * const Live = Config.layerFrom().pipe(Layer.provide(Telemetry.layer))
   *
   * Effect.runPromise(Config.update(Visits, (n) => n + 1).pipe(Effect.provide(Live))).then(console.log)
   */
  static readonly update: Config.Update<Config> = ((
    key: string | Config.Key<unknown>,
    change: (value: unknown) => unknown
  ) =>
    using((config) =>
      typeof key === "string" ? config.update(key, change) : config.update(key, change)
    )) as Config.Update<Config>

  /**
   * Removes what was set at the path and below it, so that the values of the sources apply again. From a source that is
   * written to it removes what stands there, whoever wrote it. Fails as `set` does.
   */
  static readonly unset = (key: string | Config.Key<unknown>): Effect.Effect<void, ConfigError, Config> =>
    using((config) => config.unset(key))

  /**
   * Reads every source again and switches to the result in one step. If a source cannot be read or a value is invalid,
   * nothing changes, and the ConfigError names it. Calls made during a reload share the next one. Interrupting a call does
   * not stop the reload.
   */
  static readonly reload: Effect.Effect<void, ConfigError, Config> = using((config) => config.reload)

  /**
   * Every accepted change of a value, once and in order, from the moment the stream runs. A slow subscriber holds up nobody:
   * once it is 64 sets or reloads behind, what waits for it is merged into one change per key, with the newest value.
   */
  static readonly changes: Stream.Stream<Config.Change, never, Config> = streaming((config) => config.changes)

  /**
   * `get` as a stream: the current value, then each new one. No change between the two is missed. A slow reader can skip
   * values, but always gets the newest.
   */
  static readonly watch: Config.Watch<Config> = ((key: string, ...rest: readonly [Typed.Default]) =>
    streaming((config) => config.watch(key, ...rest))) as Config.Watch<Config>

  /** The name of the source that a value comes from, `"set"` if it was set over all of them, or none if there is no value. */
  static readonly origin = (
    key: string | Config.Key<unknown>
  ): Effect.Effect<Option.Option<string>, ConfigError, Config> => using((config) => config.origin(key))

  /** All values as they are now. A snapshot never changes. */
  static readonly snapshot: Effect.Effect<Config.Snapshot, never, Config> = using((config) => config.snapshot)

  /**
   * The live values as a ConfigProvider for `effect/Config`. Each load reads from one snapshot, taken when it starts.
   *
   * @example
   * import { Config, Telemetry } from "effect-foundation"
   * import { Config as EffectConfig, Effect, Layer } from "effect"
   *
   * const Live = Config.layerProvider.pipe(
   *   Layer.provide(Config.layerFrom(Config.object({ server: { port: 3000 } }))),
   *   Layer.provide(Telemetry.layer)
   * )
   *
   * Effect.runPromise(EffectConfig.nested(EffectConfig.number("port"), "server").pipe(Effect.provide(Live))).then(console.log)
   */
  static readonly provider: Effect.Effect<ConfigProvider.ConfigProvider, never, Config> = using((config) =>
    Effect.succeed(config.provider)
  )
}
