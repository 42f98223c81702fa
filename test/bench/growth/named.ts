import { Effect, Layer } from "effect"
import { CircuitBreaker, RateLimiter, ServiceRegistry, Telemetry } from "effect-foundation"
import { type Growing, upTo } from "./Growing.js"

/** What is looked for in a map of JavaScript: the cost of memory that is in no cache, which all here have. */
const map: Growing = {
  holds: "a Map, for comparison",
  make: (size) =>
    Effect.sync(() => {
      const map = new Map(upTo(size).map((entry) => [`service-${entry}`, entry]))
      return [
        {
          name: "Effect.sync of get",
          order: "O(1)",
          run: (entry) => Effect.sync(() => map.get(`service-${entry % size}`)),
          gives: Number.isInteger
        }
      ]
    })
}

const registry: Growing = {
  holds: "ServiceRegistry: names",
  make: (size) =>
    Effect.gen(function* () {
      const layer = Layer.fresh(Layer.provide(ServiceRegistry.layer, Telemetry.layer))
      const names = yield* Effect.provide(ServiceRegistry, yield* Layer.build(layer))
      const address = "http://10.0.0.1/"
      yield* Effect.forEach(upTo(size), (entry) => names.register(`service-${entry}`, address), { discard: true })
      return [
        {
          name: "lookup",
          order: "O(1)",
          run: (entry) => names.lookup(`service-${entry % size}`),
          gives: (found) => String((found as ServiceRegistry.Registration).process) === address
        },
        {
          name: "register, and the end of it",
          order: "O(1)",
          run: () => Effect.scoped(names.register("another", address)),
          gives: (found) => (found as ServiceRegistry.Registration).name === "another"
        }
      ]
    })
}

const circuits: Growing = {
  holds: "CircuitBreaker: circuits",
  make: (size) =>
    Effect.gen(function* () {
      const telemetry = yield* Layer.build(Telemetry.layer)
      const breaker = yield* Effect.provide(CircuitBreaker.make({ maxCircuits: 2_000_000 }), telemetry)
      const work = Effect.succeed("done")
      const run = (entry: number) => breaker.execute(work, { name: `circuit-${entry % size}`, timeout: "5 seconds" })
      yield* Effect.forEach(upTo(size), run, { discard: true })
      return [{ name: "execute, closed", order: "O(1)", run, gives: (done) => done === "done" }]
    })
}

const limits: Growing = {
  holds: "RateLimiter: keys",
  make: (size) =>
    Effect.gen(function* () {
      const telemetry = yield* Layer.build(Telemetry.layer)
      const limiter = yield* Effect.provide(RateLimiter.make({ maxKeys: 2_000_000 }), telemetry)
      const limit = { name: "api", maxRequests: 20, interval: "1 hour" } as const
      const consume = (entry: number) => limiter.consume({ ...limit, key: `user-${entry % size}` })
      yield* Effect.forEach(upTo(size), consume, { discard: true })
      return [
        {
          name: "consume, admitted or rejected",
          order: "O(1)",
          run: (entry) => Effect.either(consume(entry)),
          gives: (either) => (either as { readonly _tag: string })._tag === "Right"
        }
      ]
    })
}

export const growing: ReadonlyArray<Growing> = [map, registry, circuits, limits]
