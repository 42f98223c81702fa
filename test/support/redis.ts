import { spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { Effect, Exit, Layer, Logger, LogLevel, Schedule, Scope } from "effect"
import { Redis } from "effect-foundation/Redis"
import { afterAll, describe } from "vitest"
import { howToGetRedis, type RedisServer, startRedis } from "../../examples/servers/Redis.js"

/** Whether tests on Redis can run here. In CI they do, come what may. */
const isThere = process.env.CI !== undefined || spawnSync("redis-server", ["--version"]).error === undefined

if (!isThere) console.warn(`Tests on Redis are skipped. ${howToGetRedis}`)

/** `describe`, skipped where there is no redis-server; why is then on the console. */
export const describeRedis = describe.skipIf(!isThere)

const scope = Effect.runSync(Scope.make())
let asked: Promise<RedisServer> | undefined

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/**
 * The redis-server that the tests of one file share, started when first asked for. What needs a server that it can kill,
 * freeze or flush starts its own with `startRedis`.
 */
export const sharedRedis: Effect.Effect<RedisServer> = Effect.promise(
  () => (asked ??= Effect.runPromise(Scope.extend(startRedis(), scope)))
)

/** A name that no other test has, for the keys of this one. */
export const freshPrefix = Effect.sync(() => `test-${randomUUID()}`)

export const urlOf = ({ port }: { readonly port: number }): string => `redis://127.0.0.1:${port}`

/** The `Redis` over a server, without words on the console about its comings and goings. */
export const redisOn = (server: { readonly port: number }) =>
  Redis.layer({ url: urlOf(server) }).pipe(Layer.provide(Logger.minimumLogLevel(LogLevel.None)))

/** The `Redis` over the server that the tests of the file share. */
export const sharedRedisLayer = Layer.unwrapEffect(Effect.map(sharedRedis, redisOn))

/** Waits until Redis answers. With pauses, in which it can: a command that is not sent fails in the same step. */
export const answering = Effect.flatMap(Redis, (redis) =>
  redis.ping(1000).pipe(Effect.retry({ schedule: Schedule.spaced("10 millis") }), Effect.orDie)
)
