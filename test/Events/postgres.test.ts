import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Layer, ManagedRuntime } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { afterAll } from "vitest"
import { eventsContract } from "../contract/Events.js"
import { freshDatabase } from "../support/postgres.js"

/** One database and one pool of connections for all tests. */
const shared = ManagedRuntime.make(
  Layer.unwrapScoped(Effect.map(freshDatabase, (url) => postgresClient({ url, maxConnections: 4 })))
)
afterAll(() => shared.dispose())

/** A log as new. To make its tables anew for each of the hundreds that properties take would be most of their time. */
const emptied = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`truncate foundation_events, foundation_events_streams`
  yield* sql`alter sequence foundation_events_position restart`
})

const empty = Layer.provide(
  Layer.tap(EventsSql.layer(), () => emptied),
  Layer.effectContext(shared.runtimeEffect.pipe(Effect.map(({ context }) => context)))
)

eventsContract("PostgreSQL", empty)
