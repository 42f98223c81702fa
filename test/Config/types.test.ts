import type { FileSystem } from "@effect/platform/FileSystem"
import { expectTypeOf, it } from "@effect/vitest"
import {
  type Duration,
  Duration as Durations,
  Effect,
  type Layer,
  Redacted,
  Schema,
  type Scope,
  type Stream
} from "effect"
import { Config } from "effect-foundation/Config"
import type { ConfigError } from "effect-foundation/FoundationError"
import type { Telemetry } from "effect-foundation/Telemetry"

type Read<A> = Effect.Effect<A, ConfigError, Config>

it("a read without a default is of what nobody knows", () => {
  expectTypeOf(Config.get("port")).toEqualTypeOf<Read<unknown>>()
})

it("a read with a default is of the type of the default, not of the default itself", () => {
  expectTypeOf(Config.get("port", 8080)).toEqualTypeOf<Read<number>>()
  expectTypeOf(Config.get("host", "localhost")).toEqualTypeOf<Read<string>>()
  expectTypeOf(Config.get("debug", false)).toEqualTypeOf<Read<boolean>>()
  expectTypeOf(Config.get("supply", 10n)).toEqualTypeOf<Read<bigint>>()
  expectTypeOf(Config.get("timeout", Durations.seconds(5))).toEqualTypeOf<Read<Duration.Duration>>()
  expectTypeOf(Config.get("tags", ["a", "b"])).toEqualTypeOf<Read<ReadonlyArray<string>>>()
  expectTypeOf(Config.get("ports", [1, 2])).toEqualTypeOf<Read<ReadonlyArray<number>>>()
  expectTypeOf(Config.get("none", [])).toEqualTypeOf<Read<ReadonlyArray<string>>>()
  expectTypeOf(Config.get("key", Redacted.make(""))).toEqualTypeOf<Read<Redacted.Redacted<string>>>()
  const known: ReadonlyArray<string> = ["a"]
  expectTypeOf(Config.get("tags", known)).toEqualTypeOf<Read<ReadonlyArray<string>>>()
})

it("a read by key is of the type of its schema", () => {
  const Port = Config.Key("port", Schema.Number, { default: 8080 })
  expectTypeOf(Port).toEqualTypeOf<Config.Key<number>>()
  expectTypeOf(Config.get(Port)).toEqualTypeOf<Read<number>>()
  const When = Config.Key("when", Schema.Date)
  expectTypeOf(Config.get(When)).toEqualTypeOf<Read<Date>>()
  const Server = Config.Key("server", Schema.Struct({ password: Schema.Redacted(Schema.String) }))
  expectTypeOf(Config.get(Server)).toEqualTypeOf<Read<{ readonly password: Redacted.Redacted<string> }>>()
  // @ts-expect-error the default must be of the type of the schema
  Config.Key("port", Schema.Number, { default: "8080" })
})

it("an object is no default: its fields would not be checked", () => {
  // @ts-expect-error a section is read with a key
  expectTypeOf(Config.get("server", { port: 1 }))
})

it("a value that is set by key is of the type of the key", () => {
  const Port = Config.Key("port", Schema.Number)
  expectTypeOf(Config.set(Port, 1)).toEqualTypeOf<Read<void>>()
  expectTypeOf(Config.set("port", 1)).toEqualTypeOf<Read<void>>()
  // @ts-expect-error it is a number
  expectTypeOf(Config.set(Port, "1"))
})

it("a watch is typed as a read is", () => {
  type Watched<A> = Stream.Stream<A, ConfigError, Config>
  expectTypeOf(Config.watch("port")).toEqualTypeOf<Watched<unknown>>()
  expectTypeOf(Config.watch("port", 1)).toEqualTypeOf<Watched<number>>()
  expectTypeOf(Config.watch(Config.Key("port", Schema.Number))).toEqualTypeOf<Watched<number>>()
  expectTypeOf(Config.changes).toEqualTypeOf<Stream.Stream<Config.Change, never, Config>>()
})

it("a layer needs what its sources need", () => {
  expectTypeOf(Config.layerFrom()).toEqualTypeOf<Layer.Layer<Config, ConfigError, Telemetry>>()
  expectTypeOf(Config.layerFrom(Config.object({}))).toEqualTypeOf<Layer.Layer<Config, ConfigError, Telemetry>>()
  expectTypeOf(Config.layerFrom(Config.object({}), Config.env())).toEqualTypeOf<
    Layer.Layer<Config, ConfigError, Telemetry>
  >()
  expectTypeOf(Config.layerFrom(Config.object({}), Config.file("a.json"))).toEqualTypeOf<
    Layer.Layer<Config, ConfigError, Telemetry | FileSystem>
  >()
  const Port = Config.Key("port", Schema.Number)
  expectTypeOf(Config.layerFrom({ sources: [Config.file("a.json")], keys: [Port] })).toEqualTypeOf<
    Layer.Layer<Config, ConfigError, Telemetry | FileSystem>
  >()
  expectTypeOf(Config.make({ sources: [Config.env()] })).toEqualTypeOf<
    Effect.Effect<Config.Service, ConfigError, Telemetry | Scope.Scope>
  >()
  expectTypeOf(Config.layer).toEqualTypeOf<Layer.Layer<Config, ConfigError, Telemetry | FileSystem>>()
  expectTypeOf(Config.layerProvider).toEqualTypeOf<Layer.Layer<never, never, Config>>()
})

it("the tag yields the service, and keeps its own `key`, which is its name", () => {
  expectTypeOf(Effect.flatMap(Config, Effect.succeed)).toEqualTypeOf<Effect.Effect<Config.Service, never, Config>>()
  expectTypeOf(Config.key).toEqualTypeOf<"effect-foundation/Config">()
})

it("a source says which of its values are secret", () => {
  expectTypeOf(Config.object({}, { name: "app", secrets: ["stripe"] })).toEqualTypeOf<Config.Source>()
  expectTypeOf(Config.object({}, "app")).toEqualTypeOf<Config.Source>()
  expectTypeOf(Config.env({ secrets: ["stripe"] })).toEqualTypeOf<Config.Source>()
})
