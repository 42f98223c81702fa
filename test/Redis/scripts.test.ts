import { tracingChannel } from "node:diagnostics_channel"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { Redis as IoRedis } from "ioredis"
import { startRedis } from "../../examples/servers/Redis.js"
import { answering, describeRedis, redisOn, sharedRedisLayer } from "../support/redis.js"

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

describeRedis("scripts", () => {
  it.scopedLive("that pack their numbers are answered by these", () =>
    Effect.gen(function* () {
      const redis = yield* Redis
      const numbers = [0, -1.5, Number.MAX_SAFE_INTEGER]
      const packed = Redis.script("return struct.pack('>ddd', unpack(ARGV))", { isPacked: true })
      expect(yield* redis.run(packed, [], numbers, 5000)).toEqual(numbers)
      const refused = Redis.script("return redis.error_reply('NO such thing')", { isPacked: true })
      expect(yield* Effect.flip(redis.run(refused, [], [], 5000))).toMatchObject({ reason: "refused" })
    }).pipe(Effect.provide(sharedRedisLayer), Effect.provide(Telemetry.layer))
  )

  it.scopedLive("of a client that was given have its prefix before their keys, and are traced to their ends", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new IoRedis({ port: server.port, keyPrefix: "given:", lazyConnect: true })),
        (client) => Effect.sync(() => client.disconnect())
      )
      const ended: Array<string> = []
      const ignore = () => undefined
      const channel = tracingChannel<unknown, { readonly command: string; readonly error?: unknown }>("ioredis:command")
      const traced = {
        start: ignore,
        end: ignore,
        asyncStart: ignore,
        asyncEnd: ({ command, error }: { readonly command: string; readonly error?: unknown }) =>
          ended.push(error === undefined ? command : `${command}, refused`),
        error: ignore
      }
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        yield* Effect.acquireRelease(
          Effect.sync(() => channel.subscribe(traced)),
          () => Effect.sync(() => channel.unsubscribe(traced))
        )
        expect(yield* redis.run(add, ["count"], [], 5000)).toBe(1)
        expect(yield* server.command("EXISTS", "given:count")).toBe(":1")
        expect(yield* redis.run(add, ["count"], [], 5000)).toBe(2)
      }).pipe(Effect.scoped, Effect.provide(Redis.fromClient(client)), Effect.provide(Telemetry.layer))
      expect(ended.filter((each) => each.startsWith("eval"))).toEqual(["evalsha, refused", "eval", "evalsha"])
    })
  )

  it.scopedLive(
    "that a client which was given gives up by itself are lost, and not sent again when the answer comes",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const client = yield* Effect.acquireRelease(
          Effect.sync(() => new IoRedis({ port: server.port, commandTimeout: 100, lazyConnect: true })),
          (client) => Effect.sync(() => client.disconnect())
        )
        yield* Effect.gen(function* () {
          const redis = yield* Redis
          yield* server.freeze
          expect((yield* Effect.flip(redis.run(add, ["count"], [], 60_000))).reason).toBe("connection_lost")
          yield* server.thaw
          // The first is answered behind the answer that says that the script is not known, the second behind what that led to.
          yield* answering
          yield* answering
          expect(yield* server.command("EXISTS", "count")).toBe(":0")
        }).pipe(Effect.provide(Redis.fromClient(client)), Effect.provide(Telemetry.layer))
      })
  )
})
