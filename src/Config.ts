import * as FileSystem from "@effect/platform/FileSystem"
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Diff from "./Config/Diff.js"
import * as File from "./Config/File.js"
import * as Key_ from "./Config/Key.js"
import { makeLive } from "./Config/Live.js"
import { makeProvider } from "./Config/Provider.js"
import type * as Snapshot_ from "./Config/Snapshot.js"
import * as Source_ from "./Config/Source.js"
import type * as Typed from "./Config/Typed.js"
import type { ConfigError } from "./FoundationError.js"
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

  interface Options<Sources extends ReadonlyArray<Source<unknown>>> {
    /** In this order, later ones over earlier ones. */
    readonly sources: Sources
    /** Keys that must hold from the start. Those that are read later must hold from then on. */
    readonly keys?: ReadonlyArray<Key<unknown>>
  }

  interface Get<R = never> {
    <A>(key: Key<A>): Effect.Effect<A, ConfigError, R>
    (key: string): Effect.Effect<unknown, ConfigError, R>
    <const D extends Default>(key: string, fallback: D): Effect.Effect<Widened<D>, ConfigError, R>
  }

  interface Set<R = never> {
    <A>(key: Key<A>, value: NoInfer<A>): Effect.Effect<void, ConfigError, R>
    (key: string, value: unknown): Effect.Effect<void, ConfigError, R>
  }

  interface Watch<R = never> {
    <A>(key: Key<A>): Stream.Stream<A, ConfigError, R>
    (key: string): Stream.Stream<unknown, ConfigError, R>
    <const D extends Default>(key: string, fallback: D): Stream.Stream<Widened<D>, ConfigError, R>
  }

  interface Service {
    readonly get: Get
    readonly set: Set
    readonly unset: (key: string | Key<unknown>) => Effect.Effect<void, ConfigError>
    readonly reload: Effect.Effect<void, ConfigError>
    readonly changes: Stream.Stream<Change>
    readonly watch: Watch
    readonly origin: (key: string | Key<unknown>) => Effect.Effect<Option.Option<string>, ConfigError>
    readonly snapshot: Effect.Effect<Snapshot>
    /** The snapshot in force, in a synchronous step. It is the same object until a change has been accepted. */
    readonly unsafeSnapshot: () => Snapshot
    readonly provider: ConfigProvider.ConfigProvider
  }
}

const make = <const Sources extends ReadonlyArray<Source_.Source<unknown>>>(
  options: Config.Options<Sources>
): Effect.Effect<Config.Service, ConfigError, Source_.Needs<Sources> | Telemetry | Scope.Scope> =>
  // What each source needs is a part of what all of them need.
  makeLive(options.sources as ReadonlyArray<Source_.Source<Source_.Needs<Sources>>>, options.keys ?? [])

/** The files that are looked for in the working directory; the first that is there is taken. */
const defaultFiles = ["yaml", "yml", "json", "toml"].map((extension) => `foundation.config.${extension}`)

const defaultSources = Effect.gen(function* () {
  const named = Source_.processEnvironment().FOUNDATION_CONFIG
  if (named !== undefined && named !== "") return [File.file(named), Source_.env()] as const
  const fs = yield* FileSystem.FileSystem
  for (const path of defaultFiles) {
    // A file of which that cannot be told is taken: reading it then says why.
    if (yield* Effect.orElseSucceed(fs.exists(path), () => true)) return [File.file(path), Source_.env()] as const
  }
  return [Source_.env()] as const
})

/** Runs the method of the service that the fiber has. */
const using = <A, E>(use: (config: Config.Service) => Effect.Effect<A, E>): Effect.Effect<A, E, Config> =>
  Effect.withFiberRuntime<A, E, Config>((fiber) =>
    // The type of the effect asks for the service, so the context of the fiber that runs it has it.
    use(Context.unsafeGet(fiber.currentContext as Context.Context<Config>, Config))
  )

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
 * Configuration that changes while the program runs: sources merged in order, typed reads, values set on top, and the
 * changes as a stream. What is in force is always whole and valid: a change is accepted altogether, or not at all.
 *
 * One `get`, and one `snapshot`, is atomic. Two `get`s are not one: what must fit together is read as one section, with one
 * key, or from one snapshot.
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
   * A path with the schema of what stands there, and the value where nothing does. Make it once, at the top of a module.
   *
   * The schema decodes what the sources state; text of the environment is first read as what the schema takes (`"8080"` for
   * a number, `"a,b"` for a list, JSON for an object). The schema must not need services or time. What it makes `Redacted` is
   * secret everywhere. A path that cannot be one is a ConfigError of those who use the key.
   */
  static readonly Key = Key_.Key.make

  /** A source that states the record; it is copied when it is read, so a change of it is seen at the next reload. */
  static readonly object = Source_.object

  /**
   * The environment as a source: `FOUNDATION__SERVER__MAX_REQUESTS=8` states `server.maxRequests`, as text. A name is that of
   * an earlier source with the same letters, whatever their case, hyphens and underscores, else camel case.
   */
  static readonly env = Source_.env

  /**
   * A JSON, YAML, TOML or .env file as a source, watched. It may hold 16 MiB (YAML 4 MiB), be 100 sections deep and state a
   * million values. It is read again once it has not changed for 50 ms; what is then empty or broken is believed after
   * 250 ms more, and a broken file leaves the last good configuration in force.
   */
  static readonly file = File.file

  /** The service over the sources. Fails where a source cannot be read, or one of the `keys` does not hold. */
  static readonly make = make

  /**
   * The file that the variable `FOUNDATION_CONFIG` names, which must exist, else the first there is in the working
   * directory of `foundation.config.yaml`, `.yml`, `.json` and `.toml`; then the variables `FOUNDATION__SECTION__KEY`.
   */
  static readonly layer: Layer.Layer<Config, ConfigError, Telemetry | FileSystem.FileSystem> = Layer.scoped(
    Config,
    Effect.flatMap(defaultSources, (sources) => make({ sources }))
  )

  /** A layer from the sources, later ones over earlier ones; or from `{ sources, keys }`, with keys that must hold. */
  static readonly layerFrom = layerFrom

  /**
   * Lets `effect/Config` read the live values. Where there is none, it reads on from the provider that was in force where
   * this layer is built: the environment, unless you have set another.
   */
  static readonly layerProvider: Layer.Layer<never, never, Config> = Layer.unwrapEffect(
    Effect.configProviderWith((other) =>
      Effect.map(Config, (config) => Layer.setConfigProvider(makeProvider(config.unsafeSnapshot, other)))
    )
  )

  /**
   * The value at a dotted path.
   *
   * - `get(path)`: as it is, `undefined` where there is none; a section as a frozen object, a secret as `Redacted`.
   * - `get(path, fallback)`: of the type of the fallback, which stands in where there is no value. Durations are
   *   milliseconds or text like `"5 seconds"`. Asking for a text reveals a secret; a `Redacted` fallback keeps it hidden.
   * - `get(key)`: what the schema of the key makes of it, or the default of the key.
   *
   * Fails with a ConfigError, reason `invalid_value`, for a value of another type, `invalid_key` for no possible path. A type
   * that was read once must hold from then on: what would break it is refused when it is set or reloaded.
   */
  static readonly get: Config.Get<Config> = ((key: string, ...rest: readonly [Typed.Default]) =>
    using((config) => config.get(key, ...rest))) as Config.Get<Config>

  /**
   * Puts the value on top of all sources, until it is unset: reloads leave it. It takes the place of the whole section, where
   * there is one. Refused altogether, with a ConfigError, if the value or a key that depends on it does not hold.
   * At most 10,000 values may be set.
   */
  static readonly set: Config.Set<Config> = (key: string | Config.Key<unknown>, value: unknown) =>
    using((config) => (typeof key === "string" ? config.set(key, value) : config.set(key, value)))

  /** Takes back what was set at the path and beneath it. */
  static readonly unset = (key: string | Config.Key<unknown>): Effect.Effect<void, ConfigError, Config> =>
    using((config) => config.unset(key))

  /**
   * Reads every source again and puts all of it in force in one step. If one source cannot be read or one value does not hold,
   * nothing changes, and the ConfigError names it. Calls that come while one runs share the next. To interrupt a call
   * does not stop the reload.
   */
  static readonly reload: Effect.Effect<void, ConfigError, Config> = using((config) => config.reload)

  /**
   * Each accepted change of a value, once, in order, from when the stream is run. Nobody waits for a slow subscriber: what
   * it has not taken is kept for 64 accepted sets and reloads, then merged to one change for each key, with the newest value.
   */
  static readonly changes: Stream.Stream<Config.Change, never, Config> = streaming((config) => config.changes)

  /**
   * The value now, and then each new one: `get` as a stream, with nothing missed in between. A slow reader may skip values,
   * never the newest.
   */
  static readonly watch: Config.Watch<Config> = ((key: string, ...rest: readonly [Typed.Default]) =>
    streaming((config) => config.watch(key, ...rest))) as Config.Watch<Config>

  /** The name of the source that the value comes from; `"set"` for one that was set, none where there is no value. */
  static readonly origin = (
    key: string | Config.Key<unknown>
  ): Effect.Effect<Option.Option<string>, ConfigError, Config> => using((config) => config.origin(key))

  /** All values at one moment. */
  static readonly snapshot: Effect.Effect<Config.Snapshot, never, Config> = using((config) => config.snapshot)

  /**
   * The live values for `effect/Config`. Each load reads one snapshot, the one in force when it begins.
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
