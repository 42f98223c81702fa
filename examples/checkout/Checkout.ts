import { Cause, Context, Data, Effect, Exit, Layer, Option, Schema } from "effect"
import { CircuitBreaker, Config, Events, RateLimiter, Retry, Telemetry } from "effect-foundation"

/** An order as the shop sends it. */
export const Order = Schema.Struct({ id: Schema.String, customer: Schema.String, cents: Schema.Int })
export type Order = typeof Order.Type

export const OrderPaid = Events.define("order_paid", Order)

export class PaymentDeclined extends Data.TaggedError("PaymentDeclined")<{ readonly reason: string }> {}

/** The payment provider: what the real one and the one of a spec have in common. */
export class Payments extends Context.Tag("examples/Payments")<
  Payments,
  { readonly charge: (order: Order) => Effect.Effect<void, PaymentDeclined> }
>() {
  static readonly layer = Layer.succeed(Payments, {
    charge: (order) => Effect.log(`charged ${order.customer} ${order.cents / 100} €`).pipe(Effect.delay("20 millis"))
  })
}

/** A declined payment says nothing about the provider's health. */
const classify = (exit: Exit.Exit<void, PaymentDeclined>) => {
  if (Exit.isSuccess(exit)) return "success"
  return Option.isSome(Cause.failureOption(exit.cause)) ? "ignore" : "failure"
}

/** How many times a payment is tried again while the provider is not to be reached. */
const Retries = Config.Key("checkout.retries", Schema.NonNegativeInt, { default: 3 })

/** Charges the order and records it, once, however often it is asked to. A customer has five tries a minute. */
export const checkout = (order: Order) =>
  Effect.gen(function* () {
    const payments = yield* Payments
    const retries = yield* Config.get(Retries)
    const [paid] = yield* OrderPaid.get({ id: order.id })
    if (paid !== undefined) return paid
    yield* payments.charge(order).pipe(
      CircuitBreaker.execute({ name: "payments", timeout: "2 seconds", classify }),
      Effect.retry({
        schedule: Retry.schedule({ times: retries }),
        while: (error) => error._tag !== "PaymentDeclined"
      })
    )
    return yield* OrderPaid.store(order, { id: order.id, stream: `order-${order.id}` })
  }).pipe(
    RateLimiter.execute({ name: "checkout", key: order.customer, maxRequests: 5 }),
    Telemetry.span("checkout", { order: order.id })
  )
