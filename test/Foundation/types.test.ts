import type { SqlClient } from "@effect/sql/SqlClient"
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { SqliteClient } from "@effect/sql-sqlite-node/SqliteClient"
import { Context, Layer } from "effect"
import type { ConfigError, EventError, Events, Foundation, RegistryError, Telemetry } from "effect-foundation"
import * as Postgres from "effect-foundation/Foundation/Postgres"
import * as Sqlite from "effect-foundation/Foundation/Sqlite"
import { describe, expectTypeOf, it } from "vitest"

class Broken extends Error {
  readonly _tag = "Broken"
}
class Needed extends Context.Tag("test/Needed")<Needed, string>() {}

describe("the types of the compositions on a database", () => {
  it("are the six services and the client, which need nothing", () => {
    const sqlite = Sqlite.layer({ filename: "x.db" })
    expectTypeOf(sqlite).toEqualTypeOf<
      Layer.Layer<Foundation | SqlClient | SqliteClient, ConfigError | EventError | RegistryError>
    >()
    const postgres = Postgres.layer({ url: "postgres://localhost/x", redis: { url: "redis://localhost" } })
    expectTypeOf(postgres).toEqualTypeOf<
      Layer.Layer<Foundation | SqlClient | PgClient, ConfigError | EventError | RegistryError>
    >()
  })

  it("have the errors and needs of a replacement in place of those that it replaces", () => {
    const events: Layer.Layer<Events, Broken, Needed | Telemetry> = Layer.fail(new Broken())
    const layer = Sqlite.layer({ filename: "x.db", events })
    expectTypeOf(layer).toEqualTypeOf<
      Layer.Layer<Foundation | SqlClient | SqliteClient, ConfigError | RegistryError | Broken, Needed>
    >()
  })
})
