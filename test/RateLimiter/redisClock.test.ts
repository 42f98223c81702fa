import { expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import type { Verdict } from "../../src/RateLimiter/Backend.js"
import type { Limit } from "../../src/RateLimiter/Policy.js"
import { type Decided, Decisions } from "../../src/RateLimiter/Redis/Decisions.js"
import { Keys } from "../../src/RateLimiter/Redis/Keys.js"
import { describeRedis, freshPrefix, sharedRedisLayer } from "../support/redis.js"

const second = 1_000_000
const hour = 3600 * second

/** The limit of ten in ten seconds, on a Redis whose clock the test turns. */
const setUp = (algorithm: Limit["algorithm"]) =>
  Effect.gen(function* () {
    const clock = { now: 1_763_791_000_000_000 }
    const decisions = new Decisions(yield* Redis, new Keys(yield* freshPrefix, false), 5000, () => clock.now)
    const limit: Limit = { name: "clock", algorithm, maxRequests: 10, interval: 10 * second }
    const request = { limit, key: "", cost: 1, reserved: 0 }
    const asked = (ask: (done: Decided) => void) =>
      Effect.async<Verdict, unknown>((resume) =>
        ask((error, [verdict]) =>
          resume(error === undefined && verdict !== undefined ? Effect.succeed(verdict) : Effect.fail(error))
        )
      )
    const take = (cost = 1) => asked((done) => decisions.take([{ ...request, cost }], done))
    const both = asked((done) => decisions.take([request, { ...request, key: "other" }], done))
    const peek = asked((done) => decisions.peek(request, done))
    return { clock, take, both, peek }
  })

const test = (title: string, body: Effect.Effect<void, unknown, Redis | Scope.Scope>) =>
  it.scopedLive(title, () => body.pipe(Effect.provide(sharedRedisLayer), Effect.provide(Telemetry.layer)))

describeRedis("a clock of Redis that is turned back", () => {
  for (const algorithm of ["sliding-window", "fixed-window", "token-bucket"] as const) {
    test(
      `${algorithm}: holds up who has used a limit up for no more than an interval, and admits no more meanwhile`,
      Effect.gen(function* () {
        const { both, clock, peek, take } = yield* setUp(algorithm)
        for (let index = 0; index < 10; index++) {
          clock.now += 1000
          expect(yield* take()).toMatchObject({ admitted: true })
        }
        clock.now -= hour
        const at = clock.now
        const { admitted, resetAfter, retryAfter } = yield* take(algorithm === "token-bucket" ? 10 : 1)
        expect(admitted).toBe(false)
        expect(retryAfter).toBeGreaterThan(9 * second)
        expect(retryAfter).toBeLessThanOrEqual(10 * second)
        expect(resetAfter).toBeLessThanOrEqual(10 * second)
        // Those that ask meanwhile do not put it off.
        for (const passed of [1000, 3 * second, retryAfter - 1]) {
          clock.now = at + passed
          if (algorithm !== "token-bucket") {
            expect(yield* take()).toMatchObject({ admitted: false, retryAfter: retryAfter - passed })
            expect(yield* both).toMatchObject({ admitted: false, retryAfter: retryAfter - passed })
          }
          yield* peek
        }
        clock.now = at + retryAfter
        for (let index = 0; index < 10; index++) expect(yield* take()).toMatchObject({ admitted: true })
        expect(yield* take()).toMatchObject({ admitted: false })
      })
    )

    test(
      `${algorithm}: is seen by a peek too, which takes nothing`,
      Effect.gen(function* () {
        const { clock, peek, take } = yield* setUp(algorithm)
        yield* take(4)
        clock.now -= hour
        expect(yield* peek).toMatchObject({ admitted: true, remaining: 6 })
        expect((yield* peek).resetAfter).toBeLessThanOrEqual(10 * second)
        clock.now += 10 * second
        expect(yield* peek).toMatchObject({ admitted: true, remaining: 10, resetAfter: 0 })
      })
    )
  }
})
