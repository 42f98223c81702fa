import { expect, it } from "@effect/vitest"
import { Effect, Logger, Redacted, Schedule } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { startRedis } from "../../examples/servers/Redis.js"
import { answering, describeRedis, redisOn } from "../support/redis.js"

const write = Redis.script("return redis.call('INCR', KEYS[1])")
const number = (text: string, name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(text)?.[1])

describeRedis("a Redis that refuses", () => {
  it.scopedLive("what a script writes, since it is a replica, is not connected to again and again", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* server.command("REPLICAOF", "127.0.0.1", "1")
      yield* server.command("CONFIG", "RESETSTAT")
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        // For two seconds, whenever there is a connection.
        yield* redis
          .run(write, ["k"], [], 1000)
          .pipe(Effect.exit, Effect.repeat(Schedule.spaced("5 millis").pipe(Schedule.upTo("2 seconds"))))
        const connections = number(yield* server.command("INFO", "stats"), "total_connections_received")
        expect(connections).toBeGreaterThan(1)
        expect(connections).toBeLessThan(8)
        yield* server.command("REPLICAOF", "NO", "ONE")
        yield* redis.run(write, ["k"], [], 1000).pipe(Effect.retry(Schedule.spaced("10 millis")))
      }).pipe(Effect.provide(redisOn(server)), Effect.provide(Telemetry.layer))
    })
  )

  it.scopedLive("the password that was right once is asked again with pauses, and taken again when it is right", () =>
    Effect.gen(function* () {
      const server = yield* startRedis({ settings: { requirepass: "admin" } })
      const user = (...rules: ReadonlyArray<string>) => server.command("ACL", "SETUSER", "app", ...rules)
      yield* user("on", ">s3cret-old", "~*", "&*", "+@all")
      const said: Array<string> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => said.push(String(message)))
      )
      const options = { url: `redis://app@127.0.0.1:${server.port}`, password: Redacted.make("s3cret-old") }
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        yield* redis.ping(1000)
        yield* user("resetpass", ">s3cret-new")
        yield* server.command("CONFIG", "RESETSTAT")
        yield* server.command("CLIENT", "KILL", "USER", "app")
        yield* Effect.exit(redis.ping(1000)).pipe(
          Effect.repeat(Schedule.spaced("5 millis").pipe(Schedule.upTo("2 seconds")))
        )
        expect(yield* redis.status).toEqual({ available: false, problem: "the user name or the password is wrong" })
        const connections = number(yield* server.command("INFO", "stats"), "total_connections_received")
        expect(connections).toBeGreaterThan(3)
        expect(connections).toBeLessThan(20)
        yield* user(">s3cret-old")
        yield* answering
      }).pipe(Effect.provide(Redis.layer(options)), Effect.provide(Telemetry.layer), Effect.provide(logger))
      expect(said.filter((each) => each.includes("cannot be used now"))).toHaveLength(1)
      expect(said.join()).not.toContain("s3cret")
    })
  )
})
