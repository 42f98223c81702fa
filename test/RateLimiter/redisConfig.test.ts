import { expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Config, Foundation, RateLimiter } from "effect-foundation"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { describeRedis, freshPrefix, sharedRedisLayer } from "../support/redis.js"

/** The six services of one process, with limits that are shared under the prefix. */
const instance = (prefix: string) =>
  Foundation.layer({
    config: Config.layerFrom(Config.object({ rateLimiter: { api: { maxRequests: 3, interval: "1 hour" } } })),
    rateLimiter: RateLimiterRedis.layerConfig({ prefix, deadline: "5 seconds" }).pipe(Layer.provide(sharedRedisLayer))
  })

const taken = Effect.all(Array.from({ length: 10 }, () => Effect.option(RateLimiter.consume({ name: "api" })))).pipe(
  Effect.map((all) => all.filter(({ _tag }) => _tag === "Some").length)
)

describeRedis("limits on Redis in a composition", () => {
  it.scopedLive("are those of all instances, with the policies of the configuration, live", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const [one, other] = yield* Effect.all([Layer.build(instance(prefix)), Layer.build(instance(prefix))])
      expect(yield* Effect.provide(RateLimiter.consume({ name: "api" }), one)).toMatchObject({ limit: 3, remaining: 2 })
      expect(yield* Effect.provide(taken, other)).toBe(2)
      yield* Effect.provide(Config.set("rateLimiter.api.maxRequests", 5), one)
      yield* Effect.provide(Config.set("rateLimiter.api.maxRequests", 5), other)
      // What was taken stays taken.
      expect(yield* Effect.provide(taken, one)).toBe(2)
      expect(yield* Effect.provide(taken, other)).toBe(0)
    })
  )
})
