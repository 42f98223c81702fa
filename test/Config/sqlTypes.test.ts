import type { FileSystem } from "@effect/platform/FileSystem"
import type { SqlClient } from "@effect/sql/SqlClient"
import { expectTypeOf, it } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { Config } from "effect-foundation/Config"
import * as ConfigSql from "effect-foundation/Config/Sql"
import type { ConfigError } from "effect-foundation/FoundationError"
import type { Telemetry } from "effect-foundation/Telemetry"

const Port = Config.Key("port", Schema.Number)

it("a table as a source needs a client of SQL", () => {
  expectTypeOf(Config.layerFrom(Config.object({}), ConfigSql.source())).toEqualTypeOf<
    Layer.Layer<Config, ConfigError, Telemetry | SqlClient>
  >()
  expectTypeOf(ConfigSql.layer({ writable: true })).toEqualTypeOf<
    Layer.Layer<Config, ConfigError, Telemetry | FileSystem | SqlClient>
  >()
})

it("an update by key is of the type of its schema, and by path of what nobody knows", () => {
  expectTypeOf(Config.update(Port, (port) => port + 1)).toEqualTypeOf<Effect.Effect<number, ConfigError, Config>>()
  expectTypeOf(Config.update("port", (port) => port)).toEqualTypeOf<Effect.Effect<unknown, ConfigError, Config>>()
  // @ts-expect-error: the key is of numbers
  expectTypeOf(Config.update(Port, (port) => String(port)))
})

it("a set may be bound to a snapshot", () => {
  expectTypeOf(Effect.flatMap(Config.snapshot, (since) => Config.set(Port, 1, { since }))).toEqualTypeOf<
    Effect.Effect<void, ConfigError, Config>
  >()
})
