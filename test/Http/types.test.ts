import type { HttpApp, HttpClient, HttpClientError, HttpServerResponse } from "@effect/platform"
import { HttpApiBuilder, HttpLayerRouter } from "@effect/platform"
import { Context, Effect, type Layer } from "effect"
import type {
  CircuitBreaker,
  CircuitOpen,
  EventError,
  FoundationError,
  OperationTimeout,
  RateLimiter,
  StoreUnavailable,
  Telemetry
} from "effect-foundation"
import * as Client from "effect-foundation/Http/Client"
import * as HttpCorrelationId from "effect-foundation/Http/CorrelationId"
import * as Problem from "effect-foundation/Http/Problem"
import * as RateLimit from "effect-foundation/Http/RateLimit"
import { describe, expectTypeOf, it } from "vitest"

interface Db {
  readonly _: unique symbol
}
class User extends Context.Tag("test/User")<User, string>() {}

declare const app: HttpApp.Default<EventError | "own", Db>

/** Not run: only their types are of interest. */
const types = (use: () => void) => void use

describe("the types of", () => {
  it("RateLimit: what the keys fail with and need is added, and nothing else", () => {
    types(() => {
      expectTypeOf(RateLimit.middleware({ name: "api" })(app)).toEqualTypeOf<
        HttpApp.Default<EventError | "own", Db | RateLimiter>
      >()
      const keyed = RateLimit.middleware([
        { name: "a", key: RateLimit.byHeader("x") },
        { name: "b", key: () => Effect.map(User, (user) => user) },
        { name: "c", cost: 2, key: () => Effect.fail("denied" as const) }
      ])
      expectTypeOf(keyed(app)).toEqualTypeOf<HttpApp.Default<EventError | "own" | "denied", Db | RateLimiter | User>>()
      const layer = HttpLayerRouter.middleware(RateLimit.make({ name: "api" })).layer
      expectTypeOf(layer).toEqualTypeOf<Layer.Layer<never, never, RateLimiter>>()
      expectTypeOf(HttpApiBuilder.middleware(RateLimit.make({ name: "api" }))).toEqualTypeOf<
        Layer.Layer<never, never, RateLimiter>
      >()
      const served = HttpApiBuilder.serve((api) => HttpCorrelationId.middleware()(RateLimit.middleware({})(api)))
      expectTypeOf<Extract<Layer.Layer.Context<typeof served>, RateLimiter>>().toEqualTypeOf<RateLimiter>()
      const global = HttpLayerRouter.middleware(RateLimit.make({ name: "api" }), { global: true })
      expectTypeOf(global).toEqualTypeOf<Layer.Layer<never, never, RateLimiter | HttpLayerRouter.HttpRouter>>()
    })
  })

  it("Problem: the errors that are answered are gone", () => {
    types(() => {
      expectTypeOf(Problem.middleware()(app)).toEqualTypeOf<HttpApp.Default<"own", Db>>()
      expectTypeOf(Problem.middleware({ unknown: true })(app)).toEqualTypeOf<HttpApp.Default<never, Db>>()
      expectTypeOf(Problem.response).parameter(0).toEqualTypeOf<FoundationError>()
      expectTypeOf(Problem.response).returns.toEqualTypeOf<HttpServerResponse.HttpServerResponse>()
      const layer = HttpLayerRouter.middleware(Problem.middleware()).layer
      expectTypeOf(layer).toEqualTypeOf<Layer.Layer<never>>()
    })
  })

  it("CorrelationId: nothing is changed", () => {
    types(() => {
      expectTypeOf(HttpCorrelationId.middleware()(app)).toEqualTypeOf<HttpApp.Default<EventError | "own", Db>>()
    })
  })

  it("Client: both forms add what the circuit refuses with, and what it needs", () => {
    types(() => {
      const client = undefined as unknown as HttpClient.HttpClient.With<HttpClientError.HttpClientError, Db>
      type Resilient = HttpClient.HttpClient.With<
        HttpClientError.HttpClientError | CircuitOpen | OperationTimeout | StoreUnavailable,
        Db | CircuitBreaker | Telemetry
      >
      expectTypeOf(Client.resilient(client)).toEqualTypeOf<Resilient>()
      expectTypeOf(Client.resilient(client, { name: "x" })).toEqualTypeOf<Resilient>()
      expectTypeOf(client.pipe(Client.resilient())).toEqualTypeOf<Resilient>()
      expectTypeOf(client.pipe(Client.resilient({ retry: false }))).toEqualTypeOf<Resilient>()
      expectTypeOf(Client.layer()).toEqualTypeOf<
        Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | CircuitBreaker | Telemetry>
      >()
      // @ts-expect-error: retryAfter of responses is read by the client
      Client.resilient({ retryAfter: () => 1 })
    })
  })
})
