import { Effect, Layer } from "effect"
import { RateLimiter, Telemetry } from "effect-foundation"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Redis } from "effect-foundation/Redis"
import { Redis as IoRedis } from "ioredis"
import { RateLimiterRedis as Flexible, RateLimiterRes } from "rate-limiter-flexible"
import { startRedis } from "../../../examples/servers/Redis.js"
import { inTurn, users } from "../inTurn.js"
import { inRuntime, type Row } from "../Row.js"

const plenty = 10_000_000

const floorOfOne =
  "A lone call is for the most part what it takes to wake two processes: a PING by the same client is 0.73 of it. Our scripts, " +
  "which ask Redis for its time, take 12.6 (fixed window), 14.4 and 16.9 µs of Redis beside its 12.0, and by ioredis in " +
  "Effect.tryPromise they alone are 0.99 to 1.03 of it"

/** Limits that several processes share, in one Redis for all contenders. */
export const rows = Effect.gen(function* () {
  const { port } = yield* startRedis()
  const runtime = yield* Layer.toRuntime(
    RateLimiterRedis.layer({ deadline: "1 second", onUnavailable: "fail" }).pipe(
      Layer.provide(Redis.layer({ url: `redis://127.0.0.1:${port}` })),
      Layer.provide(Telemetry.layer)
    )
  )
  const client = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new IoRedis({ host: "127.0.0.1", port })
      await client.ping()
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )
  const work = Effect.succeed("done")
  const isDone = (result: unknown) => result === "done"

  const rowOf = (algorithm: RateLimiter.Algorithm, fibers: number): Row<RateLimiter> => {
    const name = `bench-${algorithm}-${fibers}`
    const ourKey = inTurn(users)
    const theirKey = inTurn(users)
    const flexible = new Flexible({ storeClient: client, keyPrefix: name, points: plenty, duration: 60 })
    return {
      work: `limit on Redis, ${fibers} ${fibers === 1 ? "fiber" : "fibers"}, ${algorithm}`,
      about:
        "Admits calls of 100 users in turn, by a script in Redis. The other counts a fixed window of whole seconds, by the clock " +
        "of Redis for keys, and has neither deadline nor fallback.",
      fibers,
      // Two processes wake each other here, which differs from turn to turn: so many turns. Of 64 at a time so many that the
      // first and the last of them count for little.
      ...(fibers === 1 ? { perSample: 50, rounds: 75 } : { perSample: 6400, rounds: 20 }),
      ours: {
        name: "RateLimiter on Redis",
        effect: () =>
          RateLimiter.execute(work, { name, key: ourKey(), maxRequests: plenty, interval: "1 minute", algorithm }),
        gives: isDone
      },
      peers: [
        {
          name: "rate-limiter-flexible on Redis",
          effect: Effect.zipRight(
            Effect.tryPromise(() => flexible.consume(theirKey())),
            work
          ),
          bare: () => flexible.consume(theirKey()),
          gives: (result) => isDone(result) || (result instanceof RateLimiterRes && result.consumedPoints > 0),
          atMost: 1,
          ...(fibers === 1 && { floor: floorOfOne })
        }
      ]
    }
  }

  const algorithms = ["sliding-window", "fixed-window", "token-bucket"] as const
  return inRuntime(
    runtime,
    algorithms.flatMap((algorithm) => [rowOf(algorithm, 1), rowOf(algorithm, 64)])
  )
})
