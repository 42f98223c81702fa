import { expect, it } from "@effect/vitest"
import { Effect, Either, Layer } from "effect"
import { RateLimiter } from "effect-foundation/RateLimiter"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { startRedis } from "../../examples/servers/Redis.js"
import { describeRedis, freshPrefix, redisOn, sharedRedisLayer } from "../support/redis.js"

/** Counts the scripts that are run. */
const counting = (scripts: { count: number }) =>
  Layer.effect(
    Redis,
    Effect.map(Redis, (redis) => ({
      ...redis,
      unsafeRun: (script, keys, args, millis, done) => {
        scripts.count++
        redis.unsafeRun(script, keys, args, millis, done)
      }
    }))
  )

/** One process of several: a limiter of its own. */
const processOn = (prefix: string, batch: number, scripts = { count: 0 }) =>
  Layer.build(
    RateLimiterRedis.layer({ prefix, batch, onUnavailable: "fail", deadline: "10 seconds" }).pipe(
      Layer.provide(counting(scripts)),
      Layer.provide(sharedRedisLayer),
      Layer.provide(Telemetry.layer)
    )
  )

describeRedis("permits taken in batches", () => {
  it.scopedLive("take one script for each batch, and never more units than the limit has", () =>
    Effect.gen(function* () {
      const scripts = { count: 0 }
      const process = yield* processOn(yield* freshPrefix, 50, scripts)
      yield* Effect.gen(function* () {
        const limit = { name: "hot", maxRequests: 1000, interval: "1 hour" } as const
        const left: Array<number> = []
        for (let index = 0; index < 1000; index++) left.push((yield* RateLimiter.consume(limit)).remaining)
        expect(left).toEqual(Array.from({ length: 1000 }, (_, index) => 999 - index))
        expect(scripts.count).toBe(20)
        expect((yield* Effect.flip(RateLimiter.consume(limit)))._tag).toBe("RateLimited")
        yield* RateLimiter.reset(limit)
        expect((yield* RateLimiter.consume({ ...limit, cost: 1000 })).remaining).toBe(0)
      }).pipe(Effect.provide(process))
    })
  )

  it.scopedLive("serve the calls that come while one asks, each in its turn, whatever they cost", () =>
    Effect.gen(function* () {
      const scripts = { count: 0 }
      const process = yield* processOn(yield* freshPrefix, 10, scripts)
      yield* Effect.gen(function* () {
        const limit = { name: "hot", maxRequests: 500, interval: "1 hour" } as const
        const calls = Array.from({ length: 300 }, (_, index) => 1 + (index % 3))
        const ends = yield* Effect.forEach(calls, (cost) => Effect.either(RateLimiter.consume({ ...limit, cost })), {
          concurrency: "unbounded"
        })
        const taken = ends.reduce((sum, end, index) => sum + (Either.isRight(end) ? (calls[index] ?? 0) : 0), 0)
        // Of 600 that are wanted, all that there are, but for what is less than one call costs.
        const { remaining } = yield* RateLimiter.peek(limit)
        expect(taken + remaining).toBe(500)
        expect(remaining).toBeLessThan(3)
      }).pipe(Effect.provide(process))
      expect(scripts.count).toBeLessThan(120)
    })
  )

  it.scopedLive(
    "let three processes admit at most batch - 1 more each than the limit in any span, and that they do",
    () =>
      Effect.gen(function* () {
        const prefix = yield* freshPrefix
        const batch = 10
        const maxRequests = 60
        const limit = { name: "hot", maxRequests, interval: "2 seconds" } as const
        const processes = yield* Effect.all(Array.from({ length: 3 }, () => processOn(prefix, batch)))
        let admitted = 0
        const consume = (process: (typeof processes)[number]) =>
          RateLimiter.consume(limit).pipe(
            Effect.map(() => admitted++),
            Effect.ignore,
            Effect.provide(process)
          )
        // Each has nine left from the first, which Redis forgets after the interval.
        yield* Effect.forEach(processes, consume)
        yield* Effect.sleep("2100 millis")
        yield* Effect.forEach(processes, (process) => Effect.replicateEffect(consume(process), 100), { concurrency: 3 })
        expect(admitted - 3).toBe(maxRequests + 3 * (batch - 1))
      })
  )

  it.scopedLive("are not used under another policy than they were taken", () =>
    Effect.gen(function* () {
      const process = yield* processOn(yield* freshPrefix, 10)
      yield* Effect.gen(function* () {
        yield* RateLimiter.consume({ name: "hot", key: "a", maxRequests: 100, interval: "1 hour" })
        // Another key has nothing of it, nor has a call for which others wait.
        expect((yield* RateLimiter.peek({ name: "hot", key: "b" })).remaining).toBe(100)
        expect((yield* RateLimiter.peek({ name: "hot", key: "a" })).remaining).toBe(99)
      }).pipe(Effect.provide(process))
    })
  )

  it.scopedLive("fail all who wait for them when Redis does not answer", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const layer = RateLimiterRedis.layer({ batch: 10, onUnavailable: "fail" }).pipe(
        Layer.provide(redisOn(server)),
        Layer.provide(Telemetry.layer)
      )
      yield* Effect.gen(function* () {
        const limit = { name: "hot", maxRequests: 1000, interval: "1 hour" } as const
        yield* RateLimiter.consume(limit)
        yield* server.freeze
        const ends = yield* Effect.forEach(
          Array.from({ length: 50 }),
          () => Effect.either(RateLimiter.consume(limit)),
          {
            concurrency: "unbounded"
          }
        )
        // What is there is given still.
        expect(ends.filter(Either.isRight)).toHaveLength(9)
        expect(new Set(ends.filter(Either.isLeft).map(({ left }) => left._tag))).toEqual(new Set(["StoreUnavailable"]))
      }).pipe(Effect.provide(layer))
    })
  )
})
