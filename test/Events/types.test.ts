import { expect, it } from "@effect/vitest"
import { Context, Effect, type Layer, Schedule, Schema, type Stream } from "effect"
import { Events } from "effect-foundation/Events"
import type { ConfigError, EventError, VersionConflict } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"
import { expectTypeOf } from "vitest"

class Vault extends Context.Tag("Vault")<Vault, { readonly key: string }>() {}
const inVault = (text: string) => Effect.as(Vault, text)

const Placed = Events.define("order_placed", Schema.Struct({ orderId: Schema.Number, at: Schema.Date }))

it("each call has its own narrow errors and needs", () => {
  const input = { type: "a", data: { at: 1 } }
  expectTypeOf(Events.store(input)).toEqualTypeOf<Effect.Effect<Events.StoredEvent, EventError, Events>>()
  expectTypeOf(Events.storeAll([input])).toEqualTypeOf<
    Effect.Effect<ReadonlyArray<Events.StoredEvent>, EventError, Events>
  >()
  expectTypeOf(Events.append("s", [input], { expectedVersion: 3 })).toEqualTypeOf<
    Effect.Effect<ReadonlyArray<Events.StoredEvent>, EventError | VersionConflict, Events>
  >()
  expectTypeOf(Events.get({ type: "a" })).toEqualTypeOf<
    Effect.Effect<ReadonlyArray<Events.StoredEvent>, EventError, Events>
  >()
  expectTypeOf(Events.subscribe()).toEqualTypeOf<Stream.Stream<Events.StoredEvent, EventError, Events>>()
  expectTypeOf(Events.prune({ type: "a" })).toEqualTypeOf<Effect.Effect<number, EventError, Events>>()
  expectTypeOf(Events.layer).toEqualTypeOf<Layer.Layer<Events, never, Telemetry>>()
  expectTypeOf(Events.layerMemory({ capacity: 5 })).toEqualTypeOf<Layer.Layer<Events, ConfigError, Telemetry>>()
})

it("what is refused for sure does not compile", () => {
  // @ts-expect-error a criterion is misspelt
  const unknown = () => Events.get({ typ: "a" })
  // @ts-expect-error a criterion is stated as undefined
  const missing = () => Events.get({ type: undefined })
  // @ts-expect-error a subscription has no end
  const ending = () => Events.subscribe({ limit: 5 })
  // @ts-expect-error there is no such expectation
  const expecting = () => Events.append("s", [], { expectedVersion: "some" })
  // @ts-expect-error an event has a type
  const typeless = () => Events.store({ data: 1 })
  // @ts-expect-error the data is not of the schema
  const unfit = () => Placed.store({ orderId: "1", at: new Date(0) })
  // @ts-expect-error the definition states the type
  const other = () => Placed.get({ type: "other" })
  expect([unknown, missing, ending, expecting, typeless, unfit, other]).toHaveLength(7)
})

it("a definition knows its type, its data and what its schema needs", () => {
  type Order = { readonly orderId: number; readonly at: Date }
  expectTypeOf(Placed.type).toEqualTypeOf<"order_placed">()
  expectTypeOf(Placed.store({ orderId: 1, at: new Date(0) })).toEqualTypeOf<
    Effect.Effect<Events.StoredEvent<Order>, EventError, Events>
  >()
  expectTypeOf(Placed.get()).toEqualTypeOf<
    Effect.Effect<ReadonlyArray<Events.StoredEvent<Order>>, EventError, Events>
  >()
  expectTypeOf(Placed.subscribe({ afterPosition: 5 })).toEqualTypeOf<
    Stream.Stream<Events.StoredEvent<Order>, EventError, Events>
  >()

  const Sealed = Events.define(
    "sealed",
    Schema.transformOrFail(Schema.String, Schema.String, {
      decode: (text) => inVault(text),
      encode: (text) => inVault(text)
    })
  )
  expectTypeOf(Sealed.store("x")).toEqualTypeOf<Effect.Effect<Events.StoredEvent<string>, EventError, Events | Vault>>()
})

it("a consumer has the needs of its handler and of its schedule, and never ends by itself", () => {
  type Order = { readonly orderId: number; readonly at: Date }
  const handler = (event: Events.StoredEvent) => Effect.zipRight(Vault, Effect.fail(event.data))
  expectTypeOf(Events.consume({ name: "a", handler: () => Effect.void })).toEqualTypeOf<
    Effect.Effect<never, EventError, Events>
  >()
  expectTypeOf(Events.consume({ name: "a", criteria: { type: "t" }, handler })).toEqualTypeOf<
    Effect.Effect<never, EventError, Events | Vault>
  >()
  const retry = Schedule.tapOutput(Schedule.recurs(3), () => Telemetry)
  expectTypeOf(Events.consume({ name: "a", handler, retry })).toEqualTypeOf<
    Effect.Effect<never, EventError, Events | Vault | Telemetry>
  >()
  expectTypeOf(
    Placed.consume({
      name: "a",
      criteria: { stream: "s" },
      handler: (event) => {
        expectTypeOf(event).toEqualTypeOf<Events.StoredEvent<Order>>()
        return Vault
      }
    })
  ).toEqualTypeOf<Effect.Effect<never, EventError, Events | Vault>>()
  expectTypeOf(Events.deadLetters({ consumer: "a" })).toEqualTypeOf<
    Effect.Effect<ReadonlyArray<Events.DeadLetter>, EventError, Events>
  >()
  // @ts-expect-error a consumer has no end
  const ending = () => Events.consume({ name: "a", criteria: { limit: 5 }, handler })
  // @ts-expect-error a consumer starts at its checkpoint
  const starting = () => Events.consume({ name: "a", criteria: { afterPosition: 5 }, handler })
  // @ts-expect-error the definition states the type
  const other = () => Placed.consume({ name: "a", criteria: { type: "b" }, handler })
  // @ts-expect-error the handler may fail with anything, and die with anything
  const picky = () => Events.consume({ name: "a", handler, retry: Schedule.recurWhile((n: number) => n > 1) })
  // @ts-expect-error all must be said
  const unsaid = () => Events.replay({ consumer: "a" })
  expect([ending, starting, other, picky, unsaid]).toHaveLength(5)
})
