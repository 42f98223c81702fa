import { HttpRouter, HttpServerError, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Option, Schema } from "effect"
import * as RateLimit from "effect-foundation/Http/RateLimit"
import { history, list, place, ship, Wish } from "./Orders.js"

const Id = Schema.Struct({ id: Schema.String.pipe(Schema.pattern(/^[\w-]{1,64}$/)) })
const Page = Schema.Struct({
  limit: Schema.optionalWith(Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, 100)), { default: () => 10 })
})
const Parcel = Schema.Struct({ carrier: Schema.NonEmptyString })

/** Sent again with the same `Idempotency-Key`, it is the same order. */
const postOrder = Effect.gen(function* () {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  const { id } = yield* Schema.decodeUnknown(Id)({ id: headers["idempotency-key"] ?? crypto.randomUUID() })
  const order = yield* place(id, yield* HttpServerRequest.schemaBodyJson(Wish))
  return yield* HttpServerResponse.json(order, { status: 201, headers: { location: `/orders/${id}` } })
})

const getOrders = HttpServerRequest.schemaSearchParams(Page).pipe(
  Effect.flatMap(({ limit }) => list(limit)),
  Effect.flatMap((orders) => HttpServerResponse.json(orders))
)

const getHistory = Effect.gen(function* () {
  const { id } = yield* HttpRouter.schemaPathParams(Id)
  const events = yield* history(id)
  if (Option.isSome(events)) return yield* HttpServerResponse.json(events.value)
  return yield* new HttpServerError.RouteNotFound({ request: yield* HttpServerRequest.HttpServerRequest })
})

const postShipment = Effect.gen(function* () {
  const { id } = yield* HttpRouter.schemaPathParams(Id)
  const { carrier } = yield* HttpServerRequest.schemaBodyJson(Parcel)
  yield* ship(id, carrier)
  return HttpServerResponse.empty()
})

/** The orders, for so many requests of one address at a time as the configuration says. */
export const orders = HttpRouter.empty.pipe(
  HttpRouter.post("/orders", postOrder),
  HttpRouter.get("/orders", getOrders),
  HttpRouter.get("/orders/:id", getHistory),
  HttpRouter.post("/orders/:id/shipment", postShipment),
  HttpRouter.use(RateLimit.middleware({ name: "api" }))
)
