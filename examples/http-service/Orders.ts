import { Array, Effect, Option, Schema } from "effect"
import { Events, Telemetry } from "effect-foundation"
import { charge } from "./Payments.js"

/** What a customer sends. */
export class Wish extends Schema.Class<Wish>("Wish")({
  customer: Schema.NonEmptyString,
  item: Schema.NonEmptyString,
  cents: Schema.Int.pipe(Schema.positive())
}) {}

export class Order extends Wish.extend<Order>("Order")({ id: Schema.String }) {}

const Parcel = Schema.Struct({ carrier: Schema.NonEmptyString })

export const OrderPaid = Events.define("order_paid", Order)
const OrderShipped = Events.define("order_shipped", Parcel)

const streamOf = (id: string) => `order-${id}`

/** Charges the order, and stores it, once for each id, however often it is asked to. */
export const place = (id: string, wish: Wish) =>
  Effect.gen(function* () {
    const order = new Order({ ...wish, id })
    yield* charge(order)
    yield* OrderPaid.store(order, { id, stream: streamOf(id) })
    return order
  }).pipe(Telemetry.span("orders.place"))

/** The newest orders first. */
export const list = (limit: number) =>
  Effect.map(
    OrderPaid.get({ limit, order: "desc" }),
    Array.map(({ data }) => data)
  )

/** All that has happened to the order, oldest first; nothing where there is no such order. */
export const history = (id: string) =>
  Effect.map(Events.get({ stream: streamOf(id) }), (events) =>
    Option.liftPredicate(
      Array.map(events, ({ type, data, timestamp, version, correlationId }) => ({
        type,
        data,
        timestamp,
        version,
        correlationId
      })),
      Array.isNonEmptyArray
    )
  )

/** Hands over an order that is paid and not shipped yet: the second of two that do so at a time meets a VersionConflict. */
export const ship = (id: string, carrier: string) =>
  Effect.flatMap(OrderShipped.encode({ carrier }), (shipped) =>
    Events.append(streamOf(id), [shipped], { expectedVersion: 1 })
  )
