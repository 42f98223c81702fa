import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Layer } from "effect"
import { Telemetry } from "effect-foundation"
import * as ServiceRegistrySql from "effect-foundation/ServiceRegistry/Sql"

/** The registry that all processes share. A short lease: a name is free two seconds after its holder was killed. */
export const SharedRegistry = Layer.unwrapEffect(
  Effect.map(Config.redacted("DATABASE_URL"), (url) =>
    ServiceRegistrySql.layer({ lease: "2 seconds" }).pipe(Layer.provide(PgClient.layer({ url })))
  )
).pipe(Layer.provide(Telemetry.layer))
