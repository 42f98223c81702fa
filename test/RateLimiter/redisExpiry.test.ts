import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { startRedis } from "../../examples/servers/Redis.js"
import type { Limit } from "../../src/RateLimiter/Policy.js"
import { Decisions } from "../../src/RateLimiter/Redis/Decisions.js"
import { Keys } from "../../src/RateLimiter/Redis/Keys.js"
import { describeRedis, redisOn } from "../support/redis.js"

const second = 1_000_000
const key = "{expiry}:s:hot:"

describeRedis("the expiry of a sliding window", () => {
  it.scopedLive("is stated anew as time goes on and with each other interval, and not with each admission", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const number = (...words: ReadonlyArray<string>) =>
        Effect.map(server.command(...words), (text) => Number(text.slice(1)))
      yield* Effect.gen(function* () {
        let now = 1_763_791_000_000_000
        const decisions = new Decisions(yield* Redis, new Keys("expiry", false), 10_000, () => now)
        const take = (seconds: number, maxRequests = 1000) =>
          Effect.async<boolean | undefined>((resume) => {
            const limit: Limit = { name: "hot", algorithm: "sliding-window", maxRequests, interval: seconds * second }
            decisions.take([{ limit, key: "", cost: 1, reserved: 0 }], (_, [verdict]) =>
              resume(Effect.succeed(verdict?.admitted))
            )
          })
        // Ten intervals, in which a hundred are admitted each: what has left is taken out of the list with each of them.
        yield* server.command("CONFIG", "RESETSTAT")
        for (let index = 0; index < 1000; index++) {
          now += 80_000
          expect(yield* take(8)).toBe(true)
        }
        const stats = yield* server.command("INFO", "commandstats")
        expect(Number(/cmdstat_pexpire:calls=(\d+)/.exec(stats)?.[1])).toBe(81)
        expect(yield* number("LLEN", key)).toBe(101)
        // The clock that decides stands: of the other, as much is left as was stated last.
        const left = yield* number("PTTL", key)
        expect(left).toBeLessThanOrEqual(10_000)
        expect(left).toBeGreaterThan(1000)
        for (const seconds of [3600, 8, 3600]) {
          yield* take(seconds)
          const left = yield* number("PTTL", key)
          expect(left).toBeGreaterThan(seconds * 1000)
          expect(left).toBeLessThanOrEqual(seconds * 1125 + 1001)
        }
      }).pipe(Effect.provide(redisOn(server)), Effect.provide(Telemetry.layer))
    })
  )

  it.scopedLive("is there on each key, whatever has been done to it", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        let now = 1_763_791_000_000_000
        const decisions = new Decisions(yield* Redis, new Keys("expiry", false), 10_000, () => now)
        let seed = 7
        const random = (below: number) => {
          seed = (seed * 48_271) % 2_147_483_647
          return seed % below
        }
        for (let index = 0; index < 300; index++) {
          now += random(20) === 0 ? -random(20 * second) : random(2 * second)
          const algorithm = (["sliding-window", "fixed-window", "token-bucket"] as const)[random(3)] ?? "sliding-window"
          const interval = (random(3) + 5) * second
          const limit: Limit = { name: "hot", algorithm, maxRequests: 5, interval }
          const request = { limit, key: "", cost: 1 + random(2), reserved: 0 }
          yield* Effect.async<void>((resume) => {
            if (random(4) === 0) decisions.peek(request, () => resume(Effect.void))
            else decisions.take([request], () => resume(Effect.void))
          })
          const letter = algorithm.slice(0, 1)
          const left = yield* server.command("PTTL", `{expiry}:${letter}:hot:`)
          expect(left).not.toBe(":-1")
        }
      }).pipe(Effect.provide(redisOn(server)), Effect.provide(Telemetry.layer))
    })
  )
})
