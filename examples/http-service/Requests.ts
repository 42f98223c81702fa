import { HttpMiddleware, HttpServerRequest } from "@effect/platform"
import { Duration, Effect } from "effect"
import { Telemetry } from "effect-foundation"

/** Tells of each request when it is answered, whatever the answer. */
export const told = HttpMiddleware.make((app) =>
  Effect.gen(function* () {
    const { method } = yield* HttpServerRequest.HttpServerRequest
    const [duration, response] = yield* Effect.timed(app)
    yield* Telemetry.execute(
      "shop.request",
      { duration: Duration.toMillis(duration) },
      { method, status: response.status }
    )
    return response
  })
)
