import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { CorrelationId, Events, FoundationLive } from "effect-foundation"
import { checkout, Payments } from "./Checkout.js"

const program = Effect.gen(function* () {
  const order = { id: "o-1", customer: "ada", cents: 1999 }
  yield* checkout(order).pipe(CorrelationId.with("request-1"))
  yield* checkout(order).pipe(CorrelationId.with("request-2")) // sent again: nothing is charged, nothing is stored
  for (const event of yield* Events.get()) {
    yield* Effect.log(`${event.position} ${event.type} ${JSON.stringify(event.data)} by ${event.correlationId}`)
  }
})

program.pipe(Effect.provide(Layer.merge(FoundationLive, Payments.layer)), NodeRuntime.runMain)
