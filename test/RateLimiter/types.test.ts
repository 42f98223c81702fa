import { Effect, type Layer, type Scope } from "effect"
import type { Config } from "effect-foundation/Config"
import type { ConfigError, RateLimited, StoreUnavailable } from "effect-foundation/FoundationError"
import { RateLimiter } from "effect-foundation/RateLimiter"
import type { Telemetry } from "effect-foundation/Telemetry"
import { describe, expectTypeOf, it } from "vitest"

class Own {
  readonly _tag = "Own"
}
class Database extends Effect.Service<Database>()("Database", { succeed: { rows: Math.max(0, 1) } }) {}

describe("the types of RateLimiter", () => {
  const work = Effect.flatMap(Database, ({ rows }) => (rows > 0 ? Effect.succeed(rows) : Effect.fail(new Own())))

  type Limited = Effect.Effect<number, Own | RateLimited | StoreUnavailable, Database | RateLimiter>

  it("execute keeps value, error and needs, in both forms", () => {
    expectTypeOf(RateLimiter.execute(work)).toEqualTypeOf<Limited>()
    expectTypeOf(RateLimiter.execute(work, { name: "a", cost: 2 })).toEqualTypeOf<Limited>()
    expectTypeOf(RateLimiter.execute(work, [{ name: "a" }, { name: "b" }])).toEqualTypeOf<Limited>()
    expectTypeOf(work.pipe(RateLimiter.execute())).toEqualTypeOf<Limited>()
    expectTypeOf(work.pipe(RateLimiter.execute({ name: "a", interval: "1 minute" }))).toEqualTypeOf<Limited>()
    expectTypeOf(work.pipe(RateLimiter.execute([{ name: "a" }]))).toEqualTypeOf<Limited>()
    expectTypeOf(RateLimiter.execute(Database)).toEqualTypeOf<
      Effect.Effect<Database, RateLimited | StoreUnavailable, Database | RateLimiter>
    >()
  })

  it("the service itself needs nothing more", () => {
    const through = Effect.flatMap(RateLimiter, (limiter) => work.pipe(limiter.execute({ name: "a" })))
    expectTypeOf(through).toEqualTypeOf<Limited>()
  })

  it("an unknown option or algorithm is an error", () => {
    // @ts-expect-error there is no such option
    expectTypeOf(RateLimiter.execute(work, { name: "a", max: 5 }))
    // @ts-expect-error there is no such algorithm
    expectTypeOf(RateLimiter.execute(work, { algorithm: "leaky" }))
  })

  it("consume, consumeAll, peek, reset and policy", () => {
    expectTypeOf(RateLimiter.consume({ cost: 2 })).toEqualTypeOf<
      Effect.Effect<RateLimiter.Admission, RateLimited | StoreUnavailable, RateLimiter>
    >()
    expectTypeOf(RateLimiter.consumeAll([{ name: "a" }])).toEqualTypeOf<
      Effect.Effect<ReadonlyArray<RateLimiter.Admission>, RateLimited | StoreUnavailable, RateLimiter>
    >()
    expectTypeOf(RateLimiter.peek()).toEqualTypeOf<Effect.Effect<RateLimiter.Status, StoreUnavailable, RateLimiter>>()
    expectTypeOf(RateLimiter.reset()).toEqualTypeOf<Effect.Effect<void, StoreUnavailable, RateLimiter>>()
    expectTypeOf(RateLimiter.policy({ name: "a" })).toEqualTypeOf<Effect.Effect<RateLimiter.Policy, ConfigError>>()
  })

  it("the layers say what they need", () => {
    expectTypeOf(RateLimiter.layer).toEqualTypeOf<Layer.Layer<RateLimiter, never, Telemetry>>()
    expectTypeOf(RateLimiter.layerMemory({ maxKeys: 5 })).toEqualTypeOf<
      Layer.Layer<RateLimiter, ConfigError, Telemetry>
    >()
    expectTypeOf(RateLimiter.policiesFromConfig).toEqualTypeOf<
      Effect.Effect<RateLimiter.Policies, never, Config | Telemetry | Scope.Scope>
    >()
    expectTypeOf(RateLimiter.layerConfig).toEqualTypeOf<Layer.Layer<RateLimiter, never, Telemetry | Config>>()
  })
})
