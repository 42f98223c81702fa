import { describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Effect, type Layer, type Scope } from "effect"
import { Telemetry } from "effect-foundation/Telemetry"

class Tag extends Context.Tag("test/Tag")<Tag, string>() {}

describe("types", () => {
  it("execute cannot fail", () => {
    expectTypeOf(Telemetry.execute("a")).toEqualTypeOf<Effect.Effect<void, never, Telemetry>>()
    expectTypeOf(Telemetry.execute("a", { n: 1 }, { of: "x" })).toEqualTypeOf<Effect.Effect<void, never, Telemetry>>()
    // @ts-expect-error a measurement is a number
    expectTypeOf(Telemetry.execute).toBeCallableWith("a", { n: "1" })
  })

  it("attach needs what the handler's effect needs, and takes any error", () => {
    expectTypeOf(Telemetry.attach("h", "a", () => {})).toEqualTypeOf<
      Effect.Effect<void, never, Telemetry | Scope.Scope>
    >()
    expectTypeOf(Telemetry.attach("h", ["a", "b.*"], () => Effect.fail("no"))).toEqualTypeOf<
      Effect.Effect<void, never, Telemetry | Scope.Scope>
    >()
    expectTypeOf(
      Telemetry.attach("h", "a", (event) => Effect.map(Tag, (tag) => tag + event.name), { log: true })
    ).toEqualTypeOf<Effect.Effect<void, never, Telemetry | Scope.Scope | Tag>>()
    expectTypeOf(
      Telemetry.attach("h", "a", (event) => (event.name === "a" ? Effect.asVoid(Tag) : undefined))
    ).toEqualTypeOf<Effect.Effect<void, never, Telemetry | Scope.Scope | Tag>>()
    // @ts-expect-error a promise would not be waited for
    expectTypeOf(Telemetry.attach).toBeCallableWith("h", "a", async () => {})
  })

  it("a span keeps the value, the errors and the needs of its effect", () => {
    const effect = Tag as Effect.Effect<string, "no", Tag>
    type Spanned = Effect.Effect<string, "no", Tag | Telemetry>
    expectTypeOf(Telemetry.span(effect, "a")).toEqualTypeOf<Spanned>()
    expectTypeOf(Telemetry.span(effect, "a", { of: "x" }, (text) => ({ length: text.length }))).toEqualTypeOf<Spanned>()
    expectTypeOf(effect.pipe(Telemetry.span("a", { of: "x" }))).toEqualTypeOf<Spanned>()
    expectTypeOf(
      effect.pipe(Telemetry.span("a", {}, (text: string) => ({ length: text.length })))
    ).toEqualTypeOf<Spanned>()
    // @ts-expect-error the effect does not answer a number
    effect.pipe(Telemetry.span("a", {}, (n: number) => ({ n })))
  })

  it("a metric of an event of the catalogue names its measurements and metadata, any other what it likes", () => {
    expectTypeOf(Telemetry.counter("my.event", { tags: ["anything"] })).toEqualTypeOf<Telemetry.Metric>()
    Telemetry.sum("my.event", { measurement: "anything" })
    Telemetry.distribution("circuit_breaker.call", { measurement: "duration", tags: ["name", "outcome"] })
    // @ts-expect-error not a measurement of this event
    Telemetry.distribution("circuit_breaker.call", { measurement: "latency" })
    // @ts-expect-error not in the metadata of this event
    Telemetry.counter("circuit_breaker.call", { tags: ["circuit"] })
    // @ts-expect-error a sum needs a measurement
    Telemetry.sum("my.event", {})
    expectTypeOf(Telemetry.metrics([])).toEqualTypeOf<Effect.Effect<void, never, Telemetry | Scope.Scope>>()
    expectTypeOf(Telemetry.layerMetrics([])).toEqualTypeOf<Layer.Layer<never, never, Telemetry>>()
  })

  it("emit knows the catalogue", () => {
    const emit = (telemetry: Telemetry.Service) => {
      telemetry.emit("config.change", { count: 1 }, { key: "port", source: "env" })
      // @ts-expect-error the metadata is incomplete
      telemetry.emit("config.change", { count: 1 }, { key: "port" })
      // @ts-expect-error not in the catalogue
      telemetry.emit("config.changed", { count: 1 }, {})
    }
    expectTypeOf(emit).returns.toBeVoid()
  })

  it("the layer needs nothing and cannot fail", () => {
    expectTypeOf(Telemetry.layer).toEqualTypeOf<Layer.Layer<Telemetry>>()
  })
})
