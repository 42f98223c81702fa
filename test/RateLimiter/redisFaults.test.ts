import { expect, it } from "@effect/vitest"
import { Duration, Effect, Either, Fiber, Layer, Schedule } from "effect"
import { RateLimiter } from "effect-foundation/RateLimiter"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { TelemetryRecording } from "effect-foundation/Testing"
import { startRedis } from "../../examples/servers/Redis.js"
import { makeProxy } from "../support/proxy.js"
import { describeRedis, redisOn } from "../support/redis.js"

/** A limiter over a server of the test's own, and a record of its telemetry. */
const limiter = (server: { readonly port: number }, options: RateLimiterRedis.Options = {}) =>
  RateLimiterRedis.layer(options).pipe(
    Layer.provide(redisOn(server)),
    Layer.provideMerge(TelemetryRecording.layer),
    Layer.provideMerge(Telemetry.layer)
  )

const limit = { name: "api", maxRequests: 20, interval: "1 minute" } as const

/** How a call ended, as a word. */
const outcome = (options: RateLimiter.Options = limit) =>
  RateLimiter.consume(options).pipe(
    Effect.match({ onSuccess: () => "admitted" as const, onFailure: ({ _tag }) => _tag })
  )

const count = (outcomes: ReadonlyArray<string>) => {
  const counts: Record<string, number> = {}
  for (const each of outcomes) counts[each] = (counts[each] ?? 0) + 1
  return counts
}

/** Until Redis decides again: only it has no fallback to tell of. */
const recovered = Effect.gen(function* () {
  const recording = yield* TelemetryRecording
  yield* recording.clear
  yield* RateLimiter.consume({ name: "recovery", maxRequests: 1_000_000 })
  return (yield* recording.named("rate_limiter.fallback")).length === 0
}).pipe(
  Effect.orElseSucceed(() => false),
  Effect.repeat({ until: (isThere) => isThere, schedule: Schedule.spaced("10 millis") })
)

/** Calls without a pause until interrupted; answers how they ended. */
const load = (options: RateLimiter.Options) =>
  Effect.gen(function* () {
    const outcomes: Array<string> = []
    const fibers = yield* Effect.forEach(Array.from({ length: 32 }), () =>
      Effect.forkScoped(
        outcome(options).pipe(
          Effect.tap((each) => Effect.sync(() => outcomes.push(each))),
          Effect.zipRight(Effect.sleep("1 millis")),
          Effect.forever
        )
      )
    )
    return {
      outcomes,
      /** Until so many more calls have ended. */
      passed: (more: number) => {
        const until = outcomes.length + more
        return Effect.sleep("5 millis").pipe(Effect.repeat({ while: () => outcomes.length < until }))
      },
      stop: Fiber.interruptAll(fibers)
    }
  })

describeRedis("a limiter whose Redis fails", () => {
  it.scopedLive("frozen: answers every call, waits for none but the first, and recovers by itself", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        expect(yield* outcome()).toBe("admitted")
        yield* server.freeze
        const first = yield* Effect.all(
          Array.from({ length: 100 }, () => outcome()),
          { concurrency: "unbounded" }
        )
        expect(count(first)).toEqual({ StoreUnavailable: 100 })
        // Were each to wait for its deadline, these would take longer than a test may.
        const next = yield* Effect.all(Array.from({ length: 2000 }, () => outcome()))
        expect(count(next)).toEqual({ StoreUnavailable: 2000 })
        yield* server.thaw
        yield* recovered
      }).pipe(Effect.provide(limiter(server, { onUnavailable: "fail" })))
    })
  )

  it.scopedLive("frozen: ends a call when its deadline is over", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        yield* outcome()
        yield* server.freeze
        const [elapsed, error] = yield* Effect.timed(Effect.flip(RateLimiter.consume(limit)))
        expect(error).toMatchObject({
          _tag: "StoreUnavailable",
          component: "rate_limiter",
          context: { reason: "timeout", limiter: "api" }
        })
        expect(error.message).toBe('Limit "api" could not be asked: Redis did not answer within 50 ms; try again later')
        // A machine that is busy with other tests may take its time; Redis never answers.
        expect(Duration.toMillis(elapsed)).toBeGreaterThanOrEqual(49)
        expect(Duration.toMillis(elapsed)).toBeLessThan(3000)
      }).pipe(Effect.provide(limiter(server, { onUnavailable: "fail" })))
    })
  )

  it.scopedLive("counts what Redis takes after the deadline: less is admitted then, never more", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        const before = yield* Effect.all(Array.from({ length: 5 }, () => outcome()))
        yield* server.freeze
        const lost = yield* Effect.all(
          Array.from({ length: 10 }, () => outcome()),
          { concurrency: "unbounded" }
        )
        expect(count([...before, ...lost])).toEqual({ admitted: 5, StoreUnavailable: 10 })
        yield* server.thaw
        yield* recovered
        expect((yield* RateLimiter.peek(limit)).remaining).toBe(5)
        const after = yield* Effect.all(
          Array.from({ length: 10 }, () => outcome()),
          { concurrency: "unbounded" }
        )
        expect(count(after)).toEqual({ admitted: 5, RateLimited: 5 })
      }).pipe(Effect.provide(limiter(server, { onUnavailable: "fail" })))
    })
  )

  it.scopedLive("allow: admits every call meanwhile, and says so", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        const recording = yield* TelemetryRecording
        yield* server.freeze
        const calls = yield* Effect.all(
          Array.from({ length: 100 }, () => outcome()),
          { concurrency: "unbounded" }
        )
        expect(count(calls)).toEqual({ admitted: 100 })
        expect((yield* RateLimiter.peek(limit)).remaining).toBe(20)
        const events = yield* recording.named("rate_limiter.fallback")
        expect(events).toHaveLength(100)
        expect(events[0]).toMatchObject({
          measurements: { count: 1 },
          metadata: { name: "api", key: "", action: "allow", reason: "timeout" }
        })
        expect((yield* recording.named("redis.status")).map(({ metadata }) => metadata.available)).toEqual([false])
      }).pipe(Effect.provide(limiter(server, { onUnavailable: "allow" })))
    })
  )

  it.scopedLive("local: keeps its share of the limit meanwhile, which starts unused", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        const before = yield* Effect.all(Array.from({ length: 25 }, () => outcome()))
        expect(count(before)).toEqual({ admitted: 20, RateLimited: 5 })
        yield* server.kill
        yield* Effect.repeat(outcome({ ...limit, name: "other" }), { times: 10 })
        const meanwhile = yield* Effect.all(
          Array.from({ length: 100 }, () => outcome()),
          { concurrency: "unbounded" }
        )
        expect(count(meanwhile)).toEqual({ admitted: 5, RateLimited: 95 })
        expect((yield* RateLimiter.peek(limit)).remaining).toBe(0)
        // More than the share has, less than the limit: refused, and by no means without end.
        const dear = yield* Effect.flip(RateLimiter.consume({ ...limit, name: "dear", cost: 6 }))
        expect(dear).toMatchObject({ _tag: "RateLimited", retryAfter: Duration.minutes(1) })
      }).pipe(Effect.provide(limiter(server, { onUnavailable: { local: { share: 0.25 } } })))
    })
  )

  it.scopedLive("refuses to say that it has reset a limit when it has not", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        yield* outcome()
        yield* server.kill
        expect((yield* Effect.flip(RateLimiter.reset(limit)))._tag).toBe("StoreUnavailable")
      }).pipe(Effect.provide(limiter(server, { onUnavailable: "allow" })))
    })
  )

  it.scopedLive("under load, killed and started again: keeps its promise, and goes on", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        const { outcomes, passed, stop } = yield* load({ ...limit, maxRequests: 1_000_000 })
        yield* passed(500)
        yield* server.kill
        yield* passed(500)
        expect(count(outcomes.slice(-100))).toEqual({ StoreUnavailable: 100 })
        yield* server.start
        yield* recovered
        yield* passed(500)
        expect(count(outcomes.slice(-100))).toEqual({ admitted: 100 })
        yield* stop
        // Never told as a limit that is used up.
        expect(Object.keys(count(outcomes)).sort()).toEqual(["StoreUnavailable", "admitted"])
      }).pipe(Effect.provide(limiter(server, { onUnavailable: "fail" })))
    })
  )

  it.scopedLive("under load, restarted and flushed: loads its scripts again, and counts anew", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        const used = { ...limit, maxRequests: 50 } as const
        const { outcomes, passed, stop } = yield* load(used)
        yield* passed(200)
        yield* server.flush
        yield* passed(200)
        // Nothing failed: whoever met a server without the scripts brought them.
        expect(count(outcomes)).toEqual({ admitted: 100, RateLimited: outcomes.length - 100 })
        yield* server.restart
        yield* recovered
        yield* passed(200)
        yield* stop
        const { StoreUnavailable = 0, ...others } = count(outcomes)
        expect(others).toEqual({ admitted: 150, RateLimited: outcomes.length - StoreUnavailable - 150 })
      }).pipe(Effect.provide(limiter(server, { onUnavailable: "fail", deadline: "5 seconds" })))
    })
  )

  it.scopedLive("hears that Redis is there again, though calls come without a pause", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* Effect.gen(function* () {
        yield* server.kill
        const loop = yield* Effect.forkScoped(Effect.forever(RateLimiter.consume({ ...limit, maxRequests: 1_000_000 })))
        yield* server.start
        yield* recovered
        yield* Fiber.interrupt(loop)
      }).pipe(Effect.provide(limiter(server, { onUnavailable: "allow" })))
    })
  )

  it.scopedLive("cut off without a word: makes another connection, and recovers by itself", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy((yield* startRedis()).port)
      yield* Effect.gen(function* () {
        expect(yield* outcome()).toBe("admitted")
        yield* proxy.blackhole
        expect(yield* outcome()).toBe("StoreUnavailable")
        yield* Effect.sleep("1200 millis")
        yield* proxy.heal
        yield* proxy.cut
        yield* recovered
        expect(yield* outcome()).toBe("admitted")
      }).pipe(Effect.provide(limiter(proxy, { onUnavailable: "fail" })))
    })
  )

  for (const [fault, happens] of [
    ["dies", "kill"],
    ["freezes", "freeze"],
    ["is flushed", "flush"],
    ["restarts", "restart"]
  ] as const) {
    for (const onUnavailable of ["fail", "allow", "local"] as const) {
      it.scopedLive(`leaves no call waiting when Redis ${fault}, with ${onUnavailable}`, () =>
        Effect.gen(function* () {
          const server = yield* startRedis()
          yield* Effect.gen(function* () {
            const waits = {
              name: "line",
              maxRequests: 10,
              interval: "300 millis",
              onExceeded: "wait",
              maxWait: "20 seconds"
            } as const
            const calls = yield* Effect.forEach(Array.from({ length: 30 }), () =>
              Effect.fork(Effect.either(RateLimiter.consume(waits)))
            )
            yield* Effect.sleep("100 millis")
            yield* server[happens]
            const ends = yield* Fiber.joinAll(calls)
            const failed = ends.filter(Either.isLeft).map(({ left }) => left._tag)
            // Some had to wait through it; none was told that the limit is used up, and with a fallback none failed.
            expect(failed.filter((tag) => tag !== "StoreUnavailable" || onUnavailable !== "fail")).toEqual([])
            if (fault === "dies" || fault === "freezes") {
              expect(failed.length > 0).toBe(onUnavailable === "fail")
            }
            // And the line is empty: with room again, a call that does not wait is admitted.
            yield* server.thaw
            yield* server.start
            yield* recovered
            // A busy machine may keep an answer back for longer than the deadline.
            yield* Effect.retry(RateLimiter.reset(waits), { schedule: Schedule.spaced("10 millis") })
            expect(yield* outcome({ ...waits, onExceeded: "fail" })).toBe("admitted")
          }).pipe(Effect.provide(limiter(server, { onUnavailable })))
        })
      )
    }
  }
})
