import { Cause, Context, Data, Effect, Exit, Layer, Option, Schema } from "effect"
import { CircuitBreaker, Config, Events, RateLimiter, Retry, Telemetry } from "effect-foundation"

/** An order as the shop sends it. */
export const Order = Schema.Struct({ id: Schema.String, customer: Schema.String, cents: Schema.Int })
export type Order = typeof Order.Type

export const OrderPaid = Events.define("order_paid", Order)

export class PaymentDeclined extends Data.TaggedError("PaymentDeclined")<{ readonly reason: string }> {}

/**
 * The payment provider. It charges once for one idempotency key, so a call may be tried again even when nobody knows what
 * became of the last one: it timed out, say.
 */
export class Payments extends Context.Tag("examples/Payments")<
  Payments,
  { readonly charge: (order: Order, idempotencyKey: string) => Effect.Effect<void, PaymentDeclined> }
>() {
  static readonly layer = Layer.sync(Payments, () => {
    const charged = new Set<string>()
    return {
      charge: (order, idempotencyKey) =>
        Effect.suspend(() => {
          if (charged.has(idempotencyKey)) return Effect.void
          charged.add(idempotencyKey)
          return Effect.log(`charged ${order.customer} ${order.cents / 100} €`)
        }).pipe(Effect.delay("20 millis"))
    }
  })
}

/** A declined payment says nothing about the provider's health. */
const classify = (exit: Exit.Exit<void, PaymentDeclined>) => {
  if (Exit.isSuccess(exit)) return "success"
  return Option.isSome(Cause.failureOption(exit.cause)) ? "ignore" : "failure"
}

/** How many times a payment is tried again while the provider is not to be reached. */
const Retries = Config.Key("checkout.retries", Schema.NonNegativeInt, { default: 3 })

/** Charges the order and records it, once, however often it is asked to, at a time or in turn. Five tries a minute. */
export const checkout = (order: Order) =>
  Effect.gen(function* () {
    const payments = yield* Payments
    const retries = yield* Config.get(Retries)
    yield* payments.charge(order, order.id).pipe(
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
