import { expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { startRedis } from "../../examples/servers/Redis.js"
import { makeProxy } from "../support/proxy.js"
import { answering, describeRedis, redisOn, sharedRedisLayer } from "../support/redis.js"

const publish = Redis.script("return redis.call('PUBLISH', KEYS[1], ARGV[1])")

/** Collects what comes over a channel: texts, and gaps as "gap". */
const collect = (channel: string) =>
  Effect.gen(function* () {
    const redis = yield* Redis
    const heard: Array<string> = []
    const end = redis.unsafeSubscribe(channel, (notification) =>
      heard.push(notification._tag === "Gap" ? "gap" : notification.text)
    )
    yield* Effect.addFinalizer(() => Effect.sync(end))
    return { heard, end }
  })

const until = (isSo: () => boolean) => Effect.sleep("5 millis").pipe(Effect.repeat({ until: isSo }))

describeRedis("the notifications of Redis", () => {
  it.scopedLive("come after a first gap, in order, to each listener of the channel", () =>
    Effect.gen(function* () {
      const redis = yield* Redis
      const one = yield* collect("one")
      const other = yield* collect("other")
      yield* until(() => one.heard.length === 1 && other.heard.length === 1)
      const late = yield* collect("one")
      yield* until(() => late.heard.length === 1)
      for (const text of ["a", "b", "ü"]) yield* redis.run(publish, ["one"], [text], 1000)
      yield* redis.run(publish, ["other"], ["c"], 1000)
      yield* until(() => one.heard.length >= 4 && other.heard.length === 2 && late.heard.length === 4)
      expect(one.heard).toEqual(["gap", "a", "b", "ü"])
      expect(late.heard).toEqual(["gap", "a", "b", "ü"])
      expect(other.heard).toEqual(["gap", "c"])
      yield* Effect.sync(one.end)
      yield* redis.run(publish, ["one"], ["d"], 1000)
      yield* until(() => late.heard.length === 5)
      expect(one.heard).toHaveLength(4)
    }).pipe(Effect.provide(sharedRedisLayer), Effect.provide(Telemetry.layer))
  )

  it.scopedLive("are a stream that ends with its scope, and takes its subscription along", () =>
    Effect.gen(function* () {
      const redis = yield* Redis
      const channels = Redis.script("return #redis.call('PUBSUB', 'CHANNELS', KEYS[1])")
      const heard = yield* redis.notifications("stream").pipe(
        Stream.tap((each) => (each._tag === "Gap" ? redis.run(publish, ["stream"], ["hello"], 1000) : Effect.void)),
        Stream.take(2),
        Stream.runCollect
      )
      expect([...heard]).toEqual([{ _tag: "Gap" }, { _tag: "Message", text: "hello" }])
      yield* redis.run(channels, ["stream"], [], 1000).pipe(Effect.repeat({ until: (count) => count === 0 }))
    }).pipe(Effect.provide(sharedRedisLayer), Effect.provide(Telemetry.layer))
  )

  it.scopedLive("come again after Redis was killed, its connections cut, or all words swallowed: after a gap", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const proxy = yield* makeProxy(server.port)
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        const { heard } = yield* collect("news")
        yield* until(() => heard.length === 1)
        const faults = [
          Effect.zipRight(server.kill, server.start),
          proxy.cut,
          // Nobody says that the connection is no longer one: the listener has to ask.
          proxy.blackhole.pipe(Effect.zipRight(Effect.sleep("4500 millis")), Effect.zipRight(proxy.heal))
        ]
        for (const [index, fault] of faults.entries()) {
          const before = heard.length
          yield* fault
          yield* until(() => heard.length > before)
          yield* answering
          yield* redis.run(publish, ["news"], [`${index}`], 5000)
          yield* until(() => heard.includes(`${index}`))
          expect(heard.slice(before).filter((each) => each !== "gap")).toEqual([`${index}`])
          expect(heard[before]).toBe("gap")
        }
      }).pipe(Effect.provide(redisOn(proxy)), Effect.provide(Telemetry.layer))
    })
  )
})
