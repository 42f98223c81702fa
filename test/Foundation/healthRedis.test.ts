import { expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Config, Foundation } from "effect-foundation"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { startRedis } from "../../examples/servers/Redis.js"
import { describeRedis, redisOn } from "../support/redis.js"

describeRedis("the health of what is on Redis", () => {
  it.scopedLive("is degraded where this process goes on without it, down where calls fail, and up with it", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const redis = redisOn(server)
      const live = yield* Layer.build(
        Foundation.layer({
          config: Config.layerFrom(Config.object({})),
          circuitBreaker: Layer.provide(CircuitBreakerRedis.layerConfig({ onUnavailable: "fail" }), redis),
          rateLimiter: Layer.provide(RateLimiterRedis.layerConfig(), redis)
        })
      )
      const health = Effect.provide(Foundation.health, live)
      expect(yield* health).toMatchObject({ status: "up", ready: true })
      yield* server.kill
      const without = yield* health
      expect(without).toMatchObject({ status: "down", ready: false })
      expect(without.components.circuitBreaker).toMatchObject({
        status: "down",
        reason: expect.stringMatching(/^Redis does not answer.*Calls fail$/)
      })
      expect(without.components.rateLimiter).toMatchObject({
        status: "degraded",
        reason: expect.stringMatching(/This process decides alone$/)
      })
    })
  )
})
