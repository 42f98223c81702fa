import {
  HttpClient,
  HttpClientRequest,
  HttpClientResponse,
  HttpServerRespondable,
  HttpServerResponse
} from "@effect/platform"
import { Data, Effect } from "effect"
import { ServiceRegistry } from "effect-foundation"
import * as Client from "effect-foundation/Http/Client"
import type { Order } from "./Orders.js"

/** The provider is not to be reached, or says that it cannot. What of it the client is told is the status. */
export class PaymentFailed extends Data.TaggedError("PaymentFailed")<{ readonly cause: unknown }> {
  [HttpServerRespondable.symbol]() {
    return HttpServerResponse.empty({ status: 502 })
  }
}

/** The circuit's policy is in the configuration. The provider charges once for each key, so one more attempt does no harm. */
const resilient = Client.resilient({ name: "payments", retry: { times: 1, base: "20 millis" } })

/** Has the provider charge the order. Fails fast (CircuitOpen) while the provider is known to fail. */
export const charge = (order: Order) =>
  Effect.gen(function* () {
    const { process } = yield* ServiceRegistry.lookup("payments")
    const client = resilient(yield* HttpClient.HttpClient)
    const request = yield* HttpClientRequest.post(new URL("/charges", String(process))).pipe(
      HttpClientRequest.setHeader("idempotency-key", order.id),
      HttpClientRequest.bodyJson({ customer: order.customer, cents: order.cents })
    )
    yield* client.execute(request).pipe(Effect.flatMap(HttpClientResponse.filterStatusOk))
  }).pipe(
    Effect.catchTags({
      HttpBodyError: Effect.die,
      RequestError: (cause) => new PaymentFailed({ cause }),
      ResponseError: (cause) => new PaymentFailed({ cause })
    })
  )
