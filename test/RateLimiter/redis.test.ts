import { it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { rateLimiterContract } from "../contract/RateLimiter.js"
import { describeRedis, freshPrefix, sharedRedisLayer } from "../support/redis.js"

/** Under a prefix of its own in each test. */
const layerOf = (options: RateLimiterRedis.Options) =>
  Layer.unwrapEffect(
    Effect.map(freshPrefix, (prefix) => RateLimiterRedis.layer({ prefix, deadline: "5 seconds", ...options }))
  ).pipe(Layer.provide(sharedRedisLayer))

/** A timer of Node may fire up to a millisecond before its time. */
const advance = (duration: Duration.DurationInput) => Effect.sleep(Duration.sum(duration, "2 millis"))

describeRedis("on a real server", () => {
  rateLimiterContract("Redis", { layer: layerOf({}), advance, it: it.live })
  rateLimiterContract("Redis, each limit in a slot of its own", {
    layer: layerOf({ spread: true }),
    advance,
    it: it.live
  })
})
