import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpServer } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import {
  AlreadyRegistered,
  CircuitBreaker,
  CircuitOpen,
  FoundationError,
  OperationTimeout,
  RateLimited,
  RateLimiter,
  RegistryError,
  ServiceNotFound,
  ServiceRegistry,
  StoreUnavailable
} from "effect-foundation"
import { circuitOpen, FoundationTest, limitExhausted } from "effect-foundation/Testing"

/** An API whose endpoints declare the errors as they are. */
const Api = HttpApi.make("api").add(
  HttpApiGroup.make("services")
    .add(
      HttpApiEndpoint.get("lookup", "/lookup")
        .addSuccess(Schema.String)
        .addError(ServiceNotFound)
        .addError(RegistryError)
    )
    .add(HttpApiEndpoint.get("register", "/register").addSuccess(Schema.String).addError(AlreadyRegistered))
    .add(
      HttpApiEndpoint.get("charge", "/charge")
        .addSuccess(Schema.String)
        .addError(CircuitOpen)
        .addError(OperationTimeout)
        .addError(StoreUnavailable)
    )
    .add(
      HttpApiEndpoint.get("send", "/send").addSuccess(Schema.String).addError(RateLimited).addError(StoreUnavailable)
    )
)

const Handlers = HttpApiBuilder.group(Api, "services", (handlers) =>
  handlers
    .handle("lookup", () => Effect.as(ServiceRegistry.lookup("nobody"), "found"))
    .handle("register", () =>
      Effect.zipRight(
        ServiceRegistry.register("auth", new URL("http://a")),
        ServiceRegistry.register("auth", new URL("http://b"))
      ).pipe(Effect.as("registered"), Effect.scoped, Effect.catchTag("RegistryError", Effect.die))
    )
    .handle("charge", () => CircuitBreaker.execute(Effect.succeed("charged"), { name: "payments" }))
    .handle("send", () => RateLimiter.execute(Effect.succeed("sent"), { name: "messages", key: "ada" }))
)

const services = Layer.mergeAll(circuitOpen("payments"), limitExhausted("messages")).pipe(
  Layer.provideMerge(FoundationTest)
)

describe("an HttpApi whose endpoints declare the errors", () => {
  it.live.each([
    ["/lookup", 404, "ServiceNotFound"],
    ["/register", 409, "AlreadyRegistered"],
    ["/charge", 503, "CircuitOpen"],
    ["/send", 429, "RateLimited"]
  ] as const)("answers %s with %i and the error, which a client decodes", ([path, status, tag]) =>
    Effect.gen(function* () {
      const api = HttpApiBuilder.api(Api).pipe(Layer.provide(Handlers), Layer.provide(services))
      const { dispose, handler } = HttpApiBuilder.toWebHandler(Layer.merge(api, HttpServer.layerContext))
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const response = yield* Effect.promise(() => handler(new Request(`http://localhost${path}`)))
      expect(response.status).toBe(status)
      const error = yield* Schema.decodeUnknown(FoundationError)(yield* Effect.promise(() => response.json()))
      expect(error._tag).toBe(tag)
      expect(error.correlationId).not.toBe("")
    }).pipe(Effect.scoped)
  )
})
