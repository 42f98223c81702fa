import { expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Layer, Logger, LogLevel, Schedule, Scope } from "effect"
import { ConfigError } from "effect-foundation"
import { RateLimiter } from "effect-foundation/RateLimiter"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { afterAll } from "vitest"
import { type RedisServer, startRedis } from "../../examples/servers/Redis.js"
import { slotOf } from "../../src/Redis/Slot.js"
import { rateLimiterContract } from "../contract/RateLimiter.js"
import { describeRedis, freshPrefix } from "../support/redis.js"

/** Three nodes, each with a third of the slots, made known to each other without redis-cli. */
const startCluster = Effect.gen(function* () {
  const settings = { "cluster-enabled": "yes", "cluster-node-timeout": 2000, "cluster-require-full-coverage": "no" }
  const nodes = yield* Effect.all(
    Array.from({ length: 3 }, () => startRedis({ settings })),
    { concurrency: 3 }
  )
  const [first] = nodes
  for (const [index, node] of nodes.entries()) {
    yield* node.command(
      "CLUSTER",
      "ADDSLOTSRANGE",
      `${Math.ceil((index * 16_384) / 3)}`,
      `${Math.ceil(((index + 1) * 16_384) / 3) - 1}`
    )
    yield* node.command("CLUSTER", "SET-CONFIG-EPOCH", `${index + 1}`)
    yield* node.command("CLUSTER", "MEET", "127.0.0.1", `${first?.port}`)
  }
  yield* Effect.forEach(nodes, (node) =>
    node.command("CLUSTER", "INFO").pipe(
      Effect.repeat({
        until: (info) => info.includes("cluster_state:ok") && info.includes("cluster_slots_assigned:16384"),
        schedule: Schedule.spaced("20 millis")
      })
    )
  )
  return nodes
})

const scope = Effect.runSync(Scope.make())
let asked: Promise<ReadonlyArray<RedisServer>> | undefined
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** The cluster of this file, with nothing in it. */
const emptyCluster = Effect.promise(() => (asked ??= Effect.runPromise(Scope.extend(startCluster, scope)))).pipe(
  Effect.tap((nodes) => Effect.all(nodes.map(({ flush }) => flush)))
)

const clusterLayer = (nodes: ReadonlyArray<RedisServer>) =>
  Redis.layer({ cluster: nodes.map(({ port }) => ({ host: "127.0.0.1", port })) }).pipe(
    Layer.provide(Logger.minimumLogLevel(LogLevel.None))
  )

const limiter = (nodes: ReadonlyArray<RedisServer>, options: RateLimiterRedis.Options) =>
  Layer.unwrapEffect(
    Effect.map(freshPrefix, (prefix) => RateLimiterRedis.layer({ prefix, onUnavailable: "fail", ...options }))
  ).pipe(Layer.provide(clusterLayer(nodes)), Layer.provideMerge(Telemetry.layer))

const slow = { deadline: "5 seconds" } as const
const ofOne = { maxRequests: 1, interval: "1 minute" } as const

describeRedis("a cluster of three", () => {
  it.scopedLive("knows the slot of a key as Redis does", () =>
    Effect.gen(function* () {
      const node = yield* startRedis({ settings: { "cluster-enabled": "yes" } })
      for (const key of ["", "a", "näme", "{a}b", "a{b}{c}", "{}a", "a{}b", "}a{b", "{a", "\u{1f600}{\u{1f600}}"]) {
        expect([key, yield* node.command("CLUSTER", "KEYSLOT", key)]).toEqual([key, `:${slotOf(key)}`])
      }
    })
  )

  it.scopedLive("keeps the limits of a prefix in one slot, and takes several at once", () =>
    Effect.gen(function* () {
      const nodes = yield* emptyCluster
      yield* Effect.gen(function* () {
        const limits = ["a", "b", "c"].map((name) => ({ ...ofOne, name, key: "{x}" }))
        yield* RateLimiter.consumeAll(limits)
        for (const limit of limits) {
          expect(yield* Effect.flip(RateLimiter.consume(limit))).toMatchObject({ _tag: "RateLimited", key: "{x}" })
        }
        const sizes = yield* Effect.forEach(nodes, (node) => node.command("DBSIZE"))
        expect(sizes.toSorted()).toEqual([":0", ":0", ":3"])
      }).pipe(Effect.provide(limiter(nodes, slow)))
    })
  )

  it.scopedLive("spreads them where that is asked for, and says then that several cannot be taken at once", () =>
    Effect.gen(function* () {
      const nodes = yield* emptyCluster
      yield* Effect.gen(function* () {
        const keys = Array.from({ length: 60 }, (_, index) => `user-${index}`)
        yield* Effect.forEach(keys, (key) => RateLimiter.consume({ ...ofOne, name: "api", key }), { concurrency: 60 })
        const refused = yield* Effect.forEach(
          keys,
          (key) => Effect.flip(RateLimiter.consume({ ...ofOne, name: "api", key })),
          {
            concurrency: 60
          }
        )
        expect(new Set(refused.map(({ _tag }) => _tag))).toEqual(new Set(["RateLimited"]))
        const sizes = yield* Effect.forEach(nodes, (node) => node.command("DBSIZE"))
        expect(sizes).not.toContain(":0")
        const exit = yield* Effect.exit(
          RateLimiter.consumeAll([
            { ...ofOne, name: "a" },
            { ...ofOne, name: "b" }
          ])
        )
        const defect = Exit.isFailure(exit) ? [...Cause.defects(exit.cause)][0] : undefined
        expect(defect).toBeInstanceOf(ConfigError)
        expect(String(defect)).toContain('The limits "a", "b" are taken at once')
      }).pipe(Effect.provide(limiter(nodes, { ...slow, spread: true })))
    })
  )

  it.scopedLive("answers for two nodes while the third stands still, and for all when it goes on", () =>
    Effect.gen(function* () {
      const nodes = yield* emptyCluster
      yield* Effect.gen(function* () {
        const take = (key: string) =>
          RateLimiter.consume({ name: "api", key, maxRequests: 1_000_000 }).pipe(
            Effect.match({ onSuccess: () => "admitted", onFailure: ({ _tag }) => _tag })
          )
        const keys = Array.from({ length: 60 }, (_, index) => `user-${index}`)
        const all = Effect.forEach(keys, take)
        yield* all
        const [frozen] = nodes
        yield* frozen?.freeze ?? Effect.void
        // One of them finds out that the node does not answer, the others do not wait for it.
        yield* all
        const meanwhile = yield* all
        expect(new Set(meanwhile)).toEqual(new Set(["admitted", "StoreUnavailable"]))
        expect(meanwhile.filter((each) => each === "admitted").length).toBeGreaterThan(20)
        yield* frozen?.thaw ?? Effect.void
        yield* all.pipe(
          Effect.repeat({
            until: (outcomes) => outcomes.every((each) => each === "admitted"),
            schedule: Schedule.spaced("20 millis")
          })
        )
      }).pipe(Effect.provide(limiter(nodes, { spread: true })))
    })
  )

  it.scopedLive("follows a slot to another node, and teaches it the script", () =>
    Effect.gen(function* () {
      const nodes = yield* emptyCluster
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        const add = Redis.script("return redis.call('INCR', KEYS[1])")
        const key = "{moving}"
        const slot = `${slotOf(key)}`
        const owner = Math.floor((slotOf(key) * 3) / 16_384)
        const from = nodes[owner]
        const to = nodes[(owner + 1) % 3]
        if (from === undefined || to === undefined) throw new Error("there are three")
        expect(yield* redis.run(add, [key], [], 5000)).toBe(1)
        const id = (node: RedisServer) =>
          Effect.map(node.command("CLUSTER", "MYID"), (text) => text.split("\r\n")[1] ?? "")
        yield* to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", yield* id(from))
        yield* from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", yield* id(to))
        yield* from.command("MIGRATE", "127.0.0.1", `${to.port}`, key, "0", "5000")
        // The owner still is the one before, which sends on who asks for this key.
        expect(yield* redis.run(add, [key], [], 5000)).toBe(2)
        for (const node of [to, from]) yield* node.command("CLUSTER", "SETSLOT", slot, "NODE", yield* id(to))
        expect(yield* redis.run(add, [key], [], 5000)).toBe(3)
        expect(yield* redis.run(add, [key], [], 5000)).toBe(4)
      }).pipe(Effect.provide(clusterLayer(nodes)), Effect.provide(Telemetry.layer))
    })
  )

  it.scopedLive("passes on what a script publishes on any node", () =>
    Effect.gen(function* () {
      const nodes = yield* emptyCluster
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        const publish = Redis.script("return redis.call('PUBLISH', 'news', ARGV[1])")
        const heard: Array<string> = []
        let gaps = 0
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            redis.unsafeSubscribe("news", (notification) => {
              if (notification._tag === "Gap") gaps++
              else heard.push(notification.text)
            })
          ),
          (end) => Effect.sync(end)
        )
        const until = (isSo: () => boolean) => Effect.sleep("5 millis").pipe(Effect.repeat({ until: isSo }))
        yield* until(() => gaps === 1)
        for (const key of ["a", "b", "c", "d"]) yield* redis.run(publish, [key], [key], 5000)
        yield* until(() => heard.length === 4)
        expect(heard.toSorted()).toEqual(["a", "b", "c", "d"])
      }).pipe(Effect.provide(clusterLayer(nodes)), Effect.provide(Telemetry.layer))
    })
  )

  for (const spread of [false, true]) {
    rateLimiterContract(`a cluster, ${spread ? "spread" : "in one slot"}`, {
      layer: Layer.unwrapEffect(
        Effect.map(Effect.all([emptyCluster, freshPrefix]), ([nodes, prefix]) =>
          RateLimiterRedis.layer({ prefix, ...slow, spread }).pipe(Layer.provide(clusterLayer(nodes)))
        )
      ),
      advance: (duration) => Effect.sleep(Duration.sum(duration, "2 millis")),
      // What is taken at once has to be in one slot, so that a spread cluster refuses it, as is checked above.
      it: (title, body) => (spread && title.startsWith("takes several limits") ? undefined : it.live(title, body))
    })
  }
})
