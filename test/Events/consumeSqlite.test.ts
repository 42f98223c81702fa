import { Effect, Layer } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { Telemetry } from "effect-foundation/Telemetry"
import { consumerStoreContract } from "../contract/ConsumerStore.js"
import { eventsConsumerContract } from "../contract/EventsConsumer.js"
import { places } from "./consumerDatabases.js"
import { clientAt } from "./consumerProcess.js"

const client = Layer.unwrapScoped(Effect.map(places.SQLite, clientAt))

eventsConsumerContract("SQLite", Layer.provide(EventsSql.layer(), client))

consumerStoreContract(
  "SQLite",
  Effect.flatMap(Layer.build(Layer.merge(client, Telemetry.layer)), (context) =>
    Effect.provide(EventsSql.make(), context)
  ),
  (millis) => Effect.sleep(millis)
)
