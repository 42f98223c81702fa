import { Effect } from "effect"
import { Events } from "effect-foundation/Events"
import { memoryDefault } from "effect-foundation/Events/Memory"
import { consumerStoreContract } from "../contract/ConsumerStore.js"
import { eventsConsumerContract } from "../contract/EventsConsumer.js"

eventsConsumerContract("memory", Events.layer)
consumerStoreContract("memory", memoryDefault, (millis) => Effect.sleep(millis))
