import { expect, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, Schedule } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { startRedis } from "../../examples/servers/Redis.js"
import { answering, describeRedis } from "../support/redis.js"

const add = Redis.script("return redis.call('INCR', KEYS[1])")

describeRedis("a master that sentinels name", () => {
  // A sentinel that finds itself short of time does nothing for 30 seconds.
  it.scopedLive(
    "is found, and followed when another takes its place",
    () =>
      Effect.gen(function* () {
        const first = yield* startRedis()
        const second = yield* startRedis({ settings: { replicaof: `127.0.0.1 ${first.port}` } })
        const sentinel = yield* startRedis({
          sentinel: [
            `sentinel monitor limits 127.0.0.1 ${first.port} 1`,
            // Short, a master that is only slow on a busy machine is replaced before the test takes it away.
            "sentinel down-after-milliseconds limits 1000",
            // A sentinel asks each second whether the replica has become the master, and gives up in this time.
            "sentinel failover-timeout limits 10000"
          ]
        })
        // The sentinel learns of the replica from the master.
        yield* sentinel.command("SENTINEL", "replicas", "limits").pipe(
          Effect.repeat({
            until: (text) => text.includes(String(second.port)) && !text.includes("s_down"),
            schedule: Schedule.spaced("50 millis")
          })
        )
        yield* Effect.gen(function* () {
          const redis = yield* Redis
          expect(yield* redis.run(add, ["orders"], [], 10_000)).toBe(1)
          expect(yield* first.command("GET", "orders")).toBe("$1\r\n1")
          yield* second
            .command("GET", "orders")
            .pipe(Effect.repeat({ until: (text) => text === "$1\r\n1", schedule: Schedule.spaced("20 millis") }))
          yield* first.kill
          yield* Effect.zipRight(answering, redis.run(add, ["failover"], [], 1000)).pipe(
            Effect.retry({ schedule: Schedule.spaced("50 millis") })
          )
          expect(yield* second.command("GET", "orders")).toBe("$1\r\n1")
          expect(yield* second.command("EXISTS", "failover")).toBe(":1")
        }).pipe(
          Effect.provide(
            Redis.layer({ name: "limits", sentinels: [{ host: "127.0.0.1", port: sentinel.port }] }).pipe(
              Layer.provide(Logger.minimumLogLevel(LogLevel.None))
            )
          ),
          Effect.provide(Telemetry.layer)
        )
      }),
    150_000
  )
})
