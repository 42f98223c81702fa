import { it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { circuitBreakerContract } from "../contract/CircuitBreaker.js"
import { describeRedis, freshPrefix, sharedRedisLayer } from "../support/redis.js"

/** Circuits that no other test uses, on the server that the tests of the file share. */
const fresh = (options: CircuitBreakerRedis.Options = {}) =>
  Layer.unwrapEffect(Effect.map(freshPrefix, (prefix) => CircuitBreakerRedis.layer({ prefix, ...options }))).pipe(
    Layer.provide(sharedRedisLayer)
  )

describeRedis("on a real server", () => {
  circuitBreakerContract("Redis", {
    layer: fresh({ deadline: "2 seconds" }),
    advance: Effect.sleep,
    it: it.live
  })

  circuitBreakerContract("Redis, each process with a circuit of its own", {
    layer: fresh({ mode: "local", deadline: "2 seconds" }),
    advance: Effect.sleep,
    it: it.live
  })
})
