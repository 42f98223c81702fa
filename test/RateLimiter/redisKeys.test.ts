import { expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Layer, Logger, type Scope } from "effect"
import { ConfigError } from "effect-foundation"
import { RateLimiter } from "effect-foundation/RateLimiter"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { Decisions } from "../../src/RateLimiter/Redis/Decisions.js"
import { Keys } from "../../src/RateLimiter/Redis/Keys.js"
import { describeRedis, freshPrefix, sharedRedis, sharedRedisLayer, urlOf } from "../support/redis.js"

const limiter = (options: RateLimiterRedis.Options) =>
  RateLimiterRedis.layer({ onUnavailable: "fail", deadline: "5 seconds", ...options }).pipe(
    Layer.provideMerge(sharedRedisLayer),
    Layer.provideMerge(Telemetry.layer)
  )

/** With a prefix of its own, over the server that the tests share. */
const test = (
  title: string,
  body: (prefix: string) => Effect.Effect<void, unknown, RateLimiter | Redis | Telemetry | Scope.Scope>,
  options: RateLimiterRedis.Options = {}
) =>
  it.scopedLive(title, () =>
    Effect.flatMap(freshPrefix, (prefix) => Effect.provide(body(prefix), limiter({ prefix, ...options })))
  )

const command = (...words: ReadonlyArray<string>) => Effect.flatMap(sharedRedis, (server) => server.command(...words))
const number = (text: string) => Number(text.slice(1))

const ofOne = { maxRequests: 1, interval: "1 minute" } as const

describeRedis("the keys of limits in Redis", () => {
  test("are never those of two subjects, whatever is in names and keys", () =>
    Effect.gen(function* () {
      const subjects = [
        ["a", "b:c"],
        ["a:b", "c"],
        ["a%3ab", "c"],
        ["a%003ab", "c"],
        ["a", ";b"],
        ["a;", "b"],
        ["a", ""],
        ["a", ":"],
        ["a", "{b}"],
        ["a", "{c}"],
        ["{a}", "b"],
        ["a", "\u0000"],
        ["a", "\r\nDEL x\r\n"],
        ["a", "\ud800"],
        ["a", "\udfff"],
        ["a", "%d800"],
        ["a", "\ufffd"],
        ["\ud800", "a"],
        ["\udbff", "a"],
        ["a", "\u{1f600}"],
        ["a", "é"],
        ["a", "e\u0301"],
        ["n".repeat(256), "k".repeat(256)]
      ] as const
      for (const [name, key] of subjects) yield* RateLimiter.consume({ ...ofOne, name, key })
      for (const [name, key] of subjects) {
        expect(yield* Effect.flip(RateLimiter.consume({ ...ofOne, name, key }))).toMatchObject({
          _tag: "RateLimited",
          limiter: name,
          key
        })
      }
    }))

  test("of 10 kB are refused before they are sent", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(RateLimiter.consume({ ...ofOne, key: "x".repeat(10_000) }))
      const defect = Exit.isFailure(exit) ? [...Cause.defects(exit.cause)][0] : undefined
      expect(defect).toBeInstanceOf(ConfigError)
      expect(defect).toMatchObject({ path: "rateLimiter.default.key" })
    }))

  for (const [algorithm, letter] of [
    ["sliding-window", "s"],
    ["fixed-window", "f"],
    ["token-bucket", "t"]
  ] as const) {
    const limit = { ...ofOne, name: "held", algorithm } as const

    test(`${algorithm}: says so where a key holds something else, and leaves it`, (prefix) =>
      Effect.gen(function* () {
        const key = `{${prefix}}:${letter}:held:`
        for (const foreign of [
          ["SET", key, "s3cret"],
          ["HSET", key, "field", "s3cret"],
          ["RPUSH", key, "s3cret"],
          ["RPUSH", key, "s3cret", "s3cret"],
          ["SADD", key, "s3cret"]
        ]) {
          yield* command("DEL", key)
          yield* command(...foreign)
          const before = yield* command("DUMP", key)
          const error = yield* Effect.flip(RateLimiter.consume(limit))
          expect(error).toMatchObject({ _tag: "StoreUnavailable", context: { reason: "refused", limiter: "held" } })
          expect(error.message).toContain("WRONGTYPE")
          expect(error.message).not.toContain("s3cret")
          // The others of the call are not taken either.
          const both = [{ ...ofOne, name: "beside" }, limit]
          expect((yield* Effect.flip(RateLimiter.consumeAll(both)))._tag).toBe("StoreUnavailable")
          expect(yield* command("EXISTS", `{${prefix}}:s:beside:`)).toBe(":0")
          expect(yield* command("DUMP", key)).toBe(before)
        }
        yield* RateLimiter.reset(limit)
        yield* RateLimiter.consume(limit)
      }))

    test(`${algorithm}: goes by itself when all in it has lapsed`, (prefix) =>
      Effect.gen(function* () {
        yield* RateLimiter.consume({ ...limit, interval: "10 seconds", cost: 1 })
        const left = number(yield* command("PTTL", `{${prefix}}:${letter}:held:`))
        expect(left).toBeGreaterThan(9000)
        expect(left).toBeLessThanOrEqual(algorithm === "sliding-window" ? 12_251 : 11_001)
        yield* Effect.flip(RateLimiter.consume(limit))
        yield* RateLimiter.peek(limit)
        expect(number(yield* command("PTTL", `{${prefix}}:${letter}:held:`))).toBeLessThanOrEqual(left)
        expect(number(yield* command("EXISTS", `{${prefix}}:${letter}:held:`))).toBe(1)
      }))
  }

  it.scopedLive("hold no more than they are said to: 18 bytes an admission, 16 and 40 a key, and what Redis adds", () =>
    Effect.gen(function* () {
      const redis = yield* Redis
      const prefix = yield* freshPrefix
      let now = 1_763_791_000_000_000
      const decisions = new Decisions(redis, new Keys(prefix, false), 60_000, () => now)
      const admissions = 20_000
      for (const algorithm of ["sliding-window", "fixed-window", "token-bucket"] as const) {
        const limit = { name: "size", algorithm, maxRequests: 1_000_000, interval: 3_600_000_000 }
        yield* Effect.async<void>((resume) => {
          for (let index = 1; index <= admissions; index++) {
            now += 7
            decisions.take([{ limit, key: "", cost: 1, reserved: 0 }], (error) => {
              if (error !== undefined) resume(Effect.die(error))
              else if (index === admissions) resume(Effect.void)
            })
          }
        })
      }
      const bytes = (letter: string) =>
        Effect.map(command("MEMORY", "USAGE", `{${prefix}}:${letter}:size:`, "SAMPLES", "0"), number)
      expect(yield* bytes("s")).toBeLessThan(admissions * 19)
      expect(yield* bytes("f")).toBeLessThan(300)
      expect(yield* bytes("t")).toBeLessThan(300)
      // Those of one microsecond share a pair, and those that have left are gone.
      now += 3_600_000_000
      yield* Effect.async<void>((resume) => {
        const limit = {
          name: "size",
          algorithm: "sliding-window",
          maxRequests: 1_000_000,
          interval: 3_600_000_000
        } as const
        for (let index = 0; index < 10; index++) {
          decisions.take([{ limit, key: "", cost: 1, reserved: 0 }], () => index === 9 && resume(Effect.void))
        }
      })
      expect(yield* command("LLEN", `{${prefix}}:s:size:`)).toBe(":2")
    }).pipe(Effect.provide(sharedRedisLayer), Effect.provide(Telemetry.layer))
  )

  it.scopedLive("of a sliding window keep their sums where doubles are exact", () =>
    Effect.gen(function* () {
      const redis = yield* Redis
      const prefix = yield* freshPrefix
      const now = 1_763_791_000_000_000
      const decisions = new Decisions(redis, new Keys(prefix, false), 5000, () => now)
      const limit = { name: "sums", algorithm: "sliding-window", maxRequests: 10, interval: 1000 } as const
      // As it stands after as many units as no limit ever sees: three of them in the window.
      const most = Number.MAX_SAFE_INTEGER
      const set = Redis.script(`
        redis.call('RPUSH', KEYS[1], struct.pack('>dd', 0, ARGV[1] - 4), struct.pack('>dd', ARGV[2] - 2, ARGV[1] - 3),
          struct.pack('>dd', ARGV[2] - 1, ARGV[1] - 1))`)
      yield* redis.run(set, [`{${prefix}}:s:sums:`], [most, now], 5000)
      const take = (cost: number) =>
        Effect.async<unknown>((resume) =>
          decisions.take([{ limit, key: "", cost, reserved: 0 }], (_, [verdict]) => resume(Effect.succeed(verdict)))
        )
      expect(yield* take(7)).toMatchObject({ admitted: true, remaining: 0 })
      expect(yield* take(1)).toMatchObject({ admitted: false, remaining: 0, retryAfter: 998 })
      const sums = Redis.script(`
        local sums = {}
        for index, pair in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
          local _, sum = struct.unpack('>dd', pair)
          sums[index] = sum
        end
        return sums`)
      expect(yield* redis.run(sums, [`{${prefix}}:s:sums:`], [], 5000)).toEqual([0, 1, 3, 10])
    }).pipe(Effect.provide(sharedRedisLayer), Effect.provide(Telemetry.layer))
  )

  test("admit a million at once, and not one more", () =>
    Effect.gen(function* () {
      const limit = { name: "million", maxRequests: 1_000_000, interval: "1 hour" } as const
      // In parts, so that there are many pairs to search.
      yield* Effect.forEach(Array.from({ length: 5000 }), () => RateLimiter.consume({ ...limit, cost: 200 }), {
        concurrency: "unbounded",
        discard: true
      })
      const error = yield* Effect.flip(RateLimiter.consume(limit))
      expect(error).toMatchObject({ _tag: "RateLimited", limit: 1_000_000 })
      const half = yield* RateLimiter.peek({ ...limit, cost: 500_000 })
      expect(Duration.toMinutes(half.retryAfter)).toBeGreaterThan(59)
      expect(Duration.lessThanOrEqualTo(half.retryAfter, half.resetAfter)).toBe(true)
    }))

  it.effect("are not made with options that cannot be", () =>
    Effect.gen(function* () {
      const redis = Layer.succeed(Redis, {} as Redis.Service)
      for (const [path, options] of [
        ["prefix", { prefix: "" }],
        ["prefix", { prefix: "a{b}" }],
        ["prefix", { prefix: "x".repeat(129) }],
        ["deadline", { deadline: 0 }],
        ["deadline", { deadline: "2 hours" }],
        ["batch", { batch: 0 }],
        ["batch", { batch: 1.5 }],
        ["onUnavailable", { onUnavailable: { local: { share: 0 } } }],
        ["onUnavailable", { onUnavailable: { local: { share: 1.1 } } }],
        // From a program without types.
        ["onUnavailable", { onUnavailable: "block" as "fail" }]
      ] as ReadonlyArray<readonly [string, RateLimiterRedis.Options]>) {
        const error = yield* Effect.flip(
          Layer.build(RateLimiterRedis.layer(options)).pipe(Effect.provide(redis), Effect.provide(Telemetry.layer))
        )
        expect(error).toMatchObject({ reason: "invalid_value", path: `rateLimiter.redis.${path}` })
      }
    }).pipe(Effect.scoped)
  )

  it.scopedLive("that Redis refuses are told in the log too, once, where a fallback hides them", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const said: Array<string> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => said.push(String(message)))
      )
      yield* command("SET", `{${prefix}}:s:held:`, "s3cret")
      yield* Effect.forEach(Array.from({ length: 5 }), () =>
        RateLimiter.consume({ name: "held", maxRequests: 10 })
      ).pipe(
        Effect.provide(
          RateLimiterRedis.layer({ prefix }).pipe(
            Layer.provide(Redis.layer({ url: urlOf(yield* sharedRedis) })),
            Layer.provide(Telemetry.layer)
          )
        ),
        Effect.provide(logger)
      )
      const warnings = said.filter((each) => each.includes("WRONGTYPE"))
      expect(warnings).toHaveLength(1)
      expect(warnings[0]).not.toContain("s3cret")
    })
  )
})
