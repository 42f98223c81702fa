import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { startRedis } from "../../examples/servers/Redis.js"
import { describeRedis, redisOn } from "../support/redis.js"

const add = Redis.script("return redis.call('INCR', KEYS[1])")

describeRedis("scripts that Redis does not know", () => {
  it.scopedLive("are sent once by all that is in flight, and what is in flight is run once each", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        const calls = 2000
        for (const round of [1, 2]) {
          yield* server.flush
          yield* server.command("CONFIG", "RESETSTAT")
          const counts = yield* Effect.forEach(
            Array.from({ length: calls }),
            () => redis.run(add, ["count"], [], 20_000),
            { concurrency: "unbounded" }
          )
          expect([round, counts]).toEqual([round, Array.from({ length: calls }, (_, index) => index + 1)])
          const stats = yield* server.command("INFO", "commandstats")
          expect(/cmdstat_eval:calls=(\d+)/.exec(stats)?.[1]).toBe("1")
        }
      }).pipe(Effect.provide(redisOn(server)), Effect.provide(Telemetry.layer))
    })
  )
})
