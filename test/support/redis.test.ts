import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { startRedis } from "../../examples/servers/Redis.js"
import { describeRedis, sharedRedis } from "./redis.js"

describeRedis("the redis-server of a test", () => {
  it.scopedLive("is one for all tests of a file", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Effect.all([sharedRedis, sharedRedis])
      yield* one.command("SET", "orders", "1")
      expect(yield* other.command("GET", "orders")).toBe("$1\r\n1")
    })
  )

  it.scopedLive("can be flushed, restarted, killed, frozen and thawed", () =>
    Effect.gen(function* () {
      const server = yield* startRedis({ settings: { requirepass: "sesame" } })
      yield* server.command("SET", "orders", "1")
      yield* server.flush
      expect(yield* server.command("GET", "orders")).toBe("$-1")
      const before = yield* server.pid
      yield* server.restart
      expect(yield* server.pid).not.toBe(before)
      yield* server.kill
      expect((yield* Effect.flip(server.command("PING"))).message).toContain("ECONNREFUSED")
      yield* server.start
      yield* server.freeze
      const pong = yield* Effect.fork(server.command("PING"))
      expect(pong.unsafePoll()).toBe(null)
      yield* server.thaw
      expect(yield* pong).toBe("+PONG")
    })
  )

  it.scopedLive("tells why it does not start", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(startRedis({ settings: { maxmemory: "much" } }))
      expect(error.message).toContain("maxmemory")
    })
  )
})
