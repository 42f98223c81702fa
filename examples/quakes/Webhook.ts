import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect } from "effect"
import { ServiceRegistry } from "effect-foundation"
import { serve } from "./Http.js"
import { Alert } from "./Journal.js"

/** Takes alerts by POST, as `alert-webhook` of the registry. Answers the list that it adds each to. */
export const startWebhook = Effect.gen(function* () {
  const received: Array<Alert> = []
  const receive = Effect.gen(function* () {
    received.push(yield* HttpServerRequest.schemaBodyJson(Alert))
    return HttpServerResponse.empty({ status: 202 })
  })
  const url = yield* serve(HttpRouter.empty.pipe(HttpRouter.post("/alerts", receive)))
  yield* ServiceRegistry.register("alert-webhook", url)
  return received as ReadonlyArray<Alert>
})
