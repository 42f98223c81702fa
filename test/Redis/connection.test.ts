import { createServer } from "node:net"
import { expect, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Effect, Exit, Layer, Logger, LogLevel, Redacted, Schedule } from "effect"
import { ConfigError } from "effect-foundation"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { TelemetryRecording } from "effect-foundation/Testing"
import { Redis as IoRedis } from "ioredis"
import { startRedis } from "../../examples/servers/Redis.js"
import { makeProxy } from "../support/proxy.js"
import { answering, describeRedis, redisOn, sharedRedis, urlOf } from "../support/redis.js"

const secret = "s3cret-sesame"

/** Builds the layer, and answers how that ended. */
const built = (options: Redis.Options) =>
  Layer.build(Redis.layer(options)).pipe(
    Effect.provide(Telemetry.layer),
    Logger.withMinimumLogLevel(LogLevel.None),
    Effect.exit
  )

const failureOf = (options: Redis.Options) =>
  Effect.map(built(options), (exit) => {
    const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    expect(error).toBeInstanceOf(ConfigError)
    // Neither in its message, nor in anything that comes with it.
    expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).not.toContain(secret)
    expect(JSON.stringify(error)).not.toContain(secret)
    return error as ConfigError
  })

const echo = Redis.script("return {KEYS[1], ARGV[1]}")

describeRedis("the connection to Redis", () => {
  it.scopedLive("runs scripts, which Redis learns from the first call", () =>
    Effect.gen(function* () {
      const server = yield* sharedRedis
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        for (const key of ["plain", "näme", "\u0000\r\n", "{tag}", "x".repeat(10_000)]) {
          expect(yield* redis.run(echo, [key], ["1"], 1000)).toEqual([key, "1"])
        }
        yield* server.flush
        expect(yield* redis.run(echo, ["again"], [2], 1000)).toEqual(["again", "2"])
        yield* redis.ping(1000)
        expect(yield* redis.status).toEqual({ available: true })
      }).pipe(Effect.provide(redisOn(server)), Effect.provide(Telemetry.layer))
    })
  )

  it.scopedLive("says what Redis refuses, and goes on", () =>
    Effect.gen(function* () {
      const redis = yield* Redis
      const error = yield* Effect.flip(
        redis.run(Redis.script("return redis.call('LPUSH', KEYS[1])"), ["k"], [secret], 1000)
      )
      expect(error).toMatchObject({ _tag: "RedisError", reason: "refused" })
      expect(error.message).toContain("Redis refused the command: ERR")
      yield* redis.ping(1000)
    }).pipe(Effect.provide(Layer.unwrapEffect(Effect.map(sharedRedis, redisOn))), Effect.provide(Telemetry.layer))
  )

  it.scopedLive("is not made where the url is none, and does not quote it", () =>
    Effect.gen(function* () {
      for (const url of [
        "",
        secret,
        `http://user:${secret}@localhost`,
        `redis://user:${secret}@`,
        `redis://user:${secret}@localhost:99999999`,
        `redis://:${secret}@localhost/orders`,
        `redis://:${secret}@localhost/1?pasword=${secret}`,
        `redis://:${secret}%ZZ@localhost`
      ]) {
        const error = yield* failureOf({ url })
        expect(error).toMatchObject({ reason: "invalid_value", path: "redis.url" })
      }
    })
  )

  it.scopedLive("is not made with other options that cannot be", () =>
    Effect.gen(function* () {
      expect(yield* failureOf({ cluster: [] })).toMatchObject({ path: "redis.cluster" })
      expect(yield* failureOf({ sentinels: [{ host: "", port: 1 }], name: "m" })).toMatchObject({
        path: "redis.sentinels"
      })
      expect(yield* failureOf({ sentinels: [{ host: "a", port: 1 }], name: "" })).toMatchObject({ path: "redis.name" })
      expect(yield* failureOf({ url: "redis://a", connectTimeout: -1 })).toMatchObject({
        path: "redis.connectTimeout"
      })
    })
  )

  it.scopedLive("is not made with a wrong password, or without one where it takes one", () =>
    Effect.gen(function* () {
      const { port } = yield* startRedis({ settings: { requirepass: "right" } })
      const wrong = yield* failureOf({ url: `redis://:${secret}@127.0.0.1:${port}` })
      expect(wrong).toMatchObject({
        reason: "invalid_value",
        message: `Cannot use the Redis at 127.0.0.1:${port}: the user name or the password is wrong`
      })
      const user = { username: "nobody", password: Redacted.make(secret) }
      expect((yield* failureOf({ url: `redis://127.0.0.1:${port}`, ...user })).message).toContain("password is wrong")
      expect((yield* failureOf({ url: `redis://127.0.0.1:${port}` })).message).toContain("Redis asks for a password")
      const right = Redacted.make(`redis://:right@127.0.0.1:${port}`)
      expect(Exit.isSuccess(yield* built({ url: right }))).toBe(true)
    })
  )

  it.scopedLive("is not made to what is no Redis, no host, or no such database", () =>
    Effect.gen(function* () {
      const { port } = yield* sharedRedis
      const web = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve))),
        () => Effect.sync(() => web.close())
      )
      const address = web.address()
      const webPort = typeof address === "object" ? address?.port : undefined
      expect((yield* failureOf({ url: `redis://127.0.0.1:${webPort}` })).message).toContain("is no Redis")
      expect((yield* failureOf({ url: "redis://nowhere.invalid" })).message).toContain("there is no such host")
      expect((yield* failureOf({ url: `redis://127.0.0.1:${port}/4711` })).message).toContain(
        "no database of that number"
      )
      expect((yield* failureOf({ cluster: [{ host: "127.0.0.1", port }] })).message).toContain("it is no cluster")
    })
  )

  it.scopedLive("starts without a Redis, unless that is not wanted, and is there when Redis is", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* server.kill
      const error = yield* failureOf({ url: urlOf(server), whenUnreachable: "fail" })
      expect(error).toMatchObject({
        reason: "source_unavailable",
        message: `Cannot use the Redis at 127.0.0.1:${server.port}: the connection is refused (ECONNREFUSED)`
      })
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        expect(yield* redis.status).toEqual({ available: false, problem: "the connection is refused (ECONNREFUSED)" })
        expect(yield* Effect.flip(redis.ping(1000))).toMatchObject({ reason: "disconnected" })
        yield* server.start
        yield* answering
        const statuses = yield* (yield* TelemetryRecording).named("redis.status")
        expect(statuses.map(({ metadata }) => metadata)).toEqual([
          {
            address: `127.0.0.1:${server.port}`,
            available: false,
            problem: "the connection is refused (ECONNREFUSED)"
          },
          { address: `127.0.0.1:${server.port}`, available: true, problem: "" }
        ])
      }).pipe(
        Effect.provide(
          redisOn(server).pipe(Layer.provideMerge(TelemetryRecording.layer), Layer.provideMerge(Telemetry.layer))
        )
      )
    })
  )

  it.scopedLive("does not hold up the start where nothing answers", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* server.freeze
      const exit = yield* built({ url: urlOf(server), connectTimeout: "100 millis" })
      expect(Exit.isSuccess(exit)).toBe(true)
    })
  )

  it.scopedLive("tells a command that was answered too late from one that was not sent", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        yield* redis.ping(1000)
        yield* server.freeze
        expect(yield* Effect.flip(redis.ping(20))).toMatchObject({ reason: "timeout" })
        expect(yield* Effect.flip(redis.ping(20))).toMatchObject({ reason: "unresponsive" })
        yield* server.thaw
        yield* answering
        const lost = yield* Effect.fork(Effect.flip(redis.run(Redis.script("while true do end"), [], [], 60_000)))
        yield* Effect.sleep("50 millis")
        yield* server.kill
        expect(yield* lost).toMatchObject({ reason: "connection_lost" })
        expect(yield* Effect.flip(redis.ping(20))).toMatchObject({ reason: "disconnected" })
      }).pipe(Effect.provide(redisOn(server)), Effect.provide(Telemetry.layer))
    })
  )

  it.scopedLive("gives up a connection on which nothing comes, at its begin too", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy((yield* startRedis()).port)
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        yield* redis.ping(1000)
        yield* proxy.blackhole
        expect(yield* Effect.flip(redis.ping(20))).toMatchObject({ reason: "timeout" })
        // The new connection is taken, and the words that follow it are not answered.
        yield* Effect.flip(redis.ping(20)).pipe(
          Effect.repeat({ until: ({ reason }) => reason === "disconnected", schedule: Schedule.spaced("10 millis") })
        )
        yield* Effect.sleep("500 millis")
        yield* proxy.heal
        yield* answering
      }).pipe(Effect.provide(redisOn(proxy)), Effect.provide(Telemetry.layer))
    })
  )

  it.scopedLive("can be one of ioredis that is there already, which it leaves open", () =>
    Effect.gen(function* () {
      const { port } = yield* sharedRedis
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new IoRedis({ port, host: "127.0.0.1", lazyConnect: true })),
        (client) => Effect.sync(() => client.disconnect())
      )
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        expect(yield* redis.run(echo, ["k"], ["1"], 1000)).toEqual(["k", "1"])
      }).pipe(Effect.provide(Redis.fromClient(client)), Effect.provide(Telemetry.layer))
      expect(yield* Effect.promise(() => client.ping())).toBe("PONG")
    })
  )

  it.scopedLive("takes its options from Config", () =>
    Effect.gen(function* () {
      const { port } = yield* sharedRedis
      const layer = Redis.layerConfig(Config.map(Config.redacted("REDIS_URL"), (url) => ({ url })))
      const urls = ConfigProvider.fromMap(new Map([["REDIS_URL", `redis://127.0.0.1:${port}`]]))
      yield* Effect.flatMap(Redis, (redis) => redis.ping(1000)).pipe(
        Effect.provide(layer),
        Effect.provide(Telemetry.layer),
        Effect.withConfigProvider(urls)
      )
    })
  )
})
