import { join } from "node:path"
import { Effect, Layer } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { Telemetry } from "effect-foundation/Telemetry"
import { consumerStoreContract } from "../contract/ConsumerStore.js"
import { eventsConsumerContract } from "../contract/EventsConsumer.js"
import { directory } from "./sqlFixtures.js"

const client = Layer.unwrapScoped(Effect.map(directory, (path) => sqliteClient({ filename: join(path, "events.db") })))

eventsConsumerContract("SQLite", Layer.provide(EventsSql.layer, client))

consumerStoreContract(
  "SQLite",
  Effect.flatMap(Layer.build(Layer.merge(client, Telemetry.layer)), (context) =>
    Effect.provide(EventsSql.make(), context)
  ),
  (millis) => Effect.sleep(millis)
)
