import type { HttpLayerRouter, HttpRouter } from "@effect/platform"
import { Context, Effect, Layer, type Scope } from "effect"
import { Foundation } from "effect-foundation"
import * as Health from "effect-foundation/Foundation/Health"
import { Shutdown } from "effect-foundation/Foundation/Shutdown"
import * as HttpHealth from "effect-foundation/Http/Health"
import { describe, expectTypeOf, it } from "vitest"

class Db extends Context.Tag("test/Db")<Db, string>() {}

describe("the types of", () => {
  it("Foundation.health: it needs the six services and never fails", () => {
    expectTypeOf(Foundation.health).toEqualTypeOf<Effect.Effect<Health.Health, never, Foundation>>()
    expectTypeOf(Health.check({ required: ["config"] })).toEqualTypeOf<
      Effect.Effect<Health.Health, never, Foundation>
    >()
  })

  it("Health.check: a program's own probes, by name, and what they need", () => {
    const checks = { db: Effect.asVoid(Db), disk: Effect.fail("full") }
    expectTypeOf(Health.check({ checks, required: ["db", "events"] })).toEqualTypeOf<
      Effect.Effect<Health.Health<Health.Name | "db" | "disk">, never, Foundation | Db>
    >()
    // @ts-expect-error: there is no such component
    void Health.check({ checks, required: ["dbs"] })
    expectTypeOf(HttpHealth.layerRoutes({ checks })).toEqualTypeOf<
      Layer.Layer<never, never, HttpLayerRouter.HttpRouter | Foundation | Db>
    >()
    const routes = HttpHealth.routes({ checks })
    expectTypeOf(routes<"own", never>).returns.toEqualTypeOf<HttpRouter.HttpRouter<"own", Foundation | Db>>()
  })

  it("Shutdown: it takes nothing away but the scope, and adds nothing", () => {
    const layer: Layer.Layer<never, "own", Db> = Layer.effectDiscard(Effect.zipRight(Db, Effect.fail("own" as const)))
    expectTypeOf(Shutdown.launch()(layer)).toEqualTypeOf<Effect.Effect<never, "own", Db>>()
    const scoped: Effect.Effect<string, "own", Db | Scope.Scope> = Effect.fail("own")
    expectTypeOf(Shutdown.whileOpen(scoped)).toEqualTypeOf<typeof scoped>()
  })
})
