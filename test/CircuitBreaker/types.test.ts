import { Effect, type Exit, Layer, type Scope, type Stream } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import type { Config } from "effect-foundation/Config"
import type { CircuitOpen, ConfigError, OperationTimeout, StoreUnavailable } from "effect-foundation/FoundationError"
import type { Telemetry } from "effect-foundation/Telemetry"
import { describe, expectTypeOf, it } from "vitest"

class HttpError {
  readonly _tag = "HttpError"
  readonly status = 500 as number
}
class Database extends Effect.Tag("Database")<Database, { readonly url: string }>() {}

type Refused = CircuitOpen | OperationTimeout | StoreUnavailable
type Work = Effect.Effect<string, HttpError, Database>
type Guarded = Effect.Effect<string, HttpError | Refused, Database | CircuitBreaker>

const work: Work = Effect.flatMap(Database, ({ url }) =>
  url === "" ? Effect.fail(new HttpError()) : Effect.succeed(url)
)

/** Only to be compiled. */
const compiled = (_: unknown) => {}

describe("the types of CircuitBreaker", () => {
  it("add the narrow errors and the service, in both forms", () => {
    expectTypeOf(CircuitBreaker.execute(work)).toEqualTypeOf<Guarded>()
    expectTypeOf(CircuitBreaker.execute(work, { name: "a", timeout: "1 second" })).toEqualTypeOf<Guarded>()
    expectTypeOf(work.pipe(CircuitBreaker.execute())).toEqualTypeOf<Guarded>()
    expectTypeOf(work.pipe(CircuitBreaker.execute({ name: "a" }))).toEqualTypeOf<Guarded>()
    expectTypeOf(Effect.succeed(1).pipe(CircuitBreaker.execute())).toEqualTypeOf<
      Effect.Effect<number, Refused, CircuitBreaker>
    >()
  })

  it("ask for nothing where the service is at hand", () => {
    const guard = (breaker: CircuitBreaker.Service) => breaker.execute(work)
    expectTypeOf(guard).returns.toEqualTypeOf<Effect.Effect<string, HttpError | Refused, Database>>()
    const piped = (breaker: CircuitBreaker.Service) => work.pipe(breaker.execute({ name: "a" }))
    expectTypeOf(piped).returns.toEqualTypeOf<Effect.Effect<string, HttpError | Refused, Database>>()
  })

  it("tell classify what the effect ends with", () => {
    compiled(
      CircuitBreaker.execute(work, {
        classify: (exit) => {
          expectTypeOf(exit).toEqualTypeOf<Exit.Exit<string, HttpError>>()
          return "ignore"
        }
      })
    )
    const classify = (_: Exit.Exit<unknown, HttpError>) => "failure" as const
    expectTypeOf(work.pipe(CircuitBreaker.execute({ classify }))).toEqualTypeOf<Guarded>()
    // An effect that fails otherwise is not what it classifies.
    expectTypeOf(CircuitBreaker.execute({ classify }))
      .parameter(0)
      .toEqualTypeOf<Effect.Effect<unknown, HttpError, unknown>>()
    // @ts-expect-error: there is no such outcome
    compiled(CircuitBreaker.execute(work, { classify: () => "maybe" }))
  })

  it("leave errors to be caught one by one", () => {
    const handled = CircuitBreaker.execute(work).pipe(
      Effect.catchTags({ CircuitOpen: () => Effect.succeed("later"), StoreUnavailable: () => Effect.succeed("later") })
    )
    expectTypeOf(handled).toEqualTypeOf<
      Effect.Effect<string, HttpError | OperationTimeout, Database | CircuitBreaker>
    >()
  })

  it("refuse options that are none", () => {
    // @ts-expect-error: misspelled
    compiled(CircuitBreaker.execute(work, { maxFailure: 5 }))
    // @ts-expect-error: a rate needs a window
    compiled(CircuitBreaker.execute(work, { trip: { type: "rate", failureRate: 0.5 } }))
  })

  it("say what the layers need and what may fail", () => {
    expectTypeOf(CircuitBreaker.layer).toEqualTypeOf<Layer.Layer<CircuitBreaker, never, Telemetry>>()
    expectTypeOf(CircuitBreaker.layerConfig).toEqualTypeOf<Layer.Layer<CircuitBreaker, never, Telemetry | Config>>()
    expectTypeOf(CircuitBreaker.layerMemory({ maxCircuits: 5 })).toEqualTypeOf<
      Layer.Layer<CircuitBreaker, ConfigError, Telemetry>
    >()
    expectTypeOf(CircuitBreaker.policiesFromConfig).toEqualTypeOf<
      Effect.Effect<CircuitBreaker.Policies, never, Config | Telemetry | Scope.Scope>
    >()
    expectTypeOf(CircuitBreaker.policy({})).toEqualTypeOf<Effect.Effect<CircuitBreaker.Policy, ConfigError>>()
    expectTypeOf(CircuitBreaker.state("a")).toEqualTypeOf<
      Effect.Effect<CircuitBreaker.State, StoreUnavailable, CircuitBreaker>
    >()
    expectTypeOf(CircuitBreaker.changes).toEqualTypeOf<
      Stream.Stream<CircuitBreaker.Transition, never, CircuitBreaker>
    >()
    expectTypeOf(Layer.provide(CircuitBreaker.layer, Layer.empty)).toEqualTypeOf<
      Layer.Layer<CircuitBreaker, never, Telemetry>
    >()
  })
})
