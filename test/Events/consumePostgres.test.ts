import { Effect, Layer } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { Telemetry } from "effect-foundation/Telemetry"
import { consumerStoreContract } from "../contract/ConsumerStore.js"
import { eventsConsumerContract } from "../contract/EventsConsumer.js"
import { freshDatabase } from "../support/postgres.js"

const client = Layer.unwrapScoped(Effect.map(freshDatabase, (url) => postgresClient({ url, maxConnections: 6 })))

eventsConsumerContract("PostgreSQL", Layer.provide(EventsSql.layer, client))

consumerStoreContract(
  "PostgreSQL",
  Effect.flatMap(Layer.build(Layer.merge(client, Telemetry.layer)), (context) =>
    Effect.provide(EventsSql.make(), context)
  ),
  (millis) => Effect.sleep(millis)
)
