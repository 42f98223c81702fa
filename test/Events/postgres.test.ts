import { Effect, Layer, ManagedRuntime } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { afterAll } from "vitest"
import { eventsContract } from "../contract/Events.js"
import { sharedPostgres } from "../support/postgres.js"

/** One pool of connections for all tests, and tables of its own for each. */
const client = ManagedRuntime.make(
  Layer.unwrapEffect(Effect.map(sharedPostgres, (url) => postgresClient({ url, maxConnections: 4 })))
)
afterAll(() => client.dispose())

let logs = 0
const inTables = Layer.suspend(() => EventsSql.layerWith({ prefix: `contract_${process.pid}_${logs++}` })).pipe(
  Layer.provide(Layer.effectContext(Effect.promise(() => client.runtime()).pipe(Effect.map(({ context }) => context))))
)

eventsContract("PostgreSQL", inTables)
