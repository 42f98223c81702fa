import { describe } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { RateLimiter } from "effect-foundation/RateLimiter"
import { Telemetry } from "effect-foundation/Telemetry"
import { expect } from "vitest"

/** What a backend needs to be put to the test. */
export interface Subject<E> {
  readonly layer: Layer.Layer<RateLimiter, E, Telemetry>
  /** Lets so much time pass, for the backend and for timers. */
  readonly advance: (duration: Duration.DurationInput) => Effect.Effect<void>
  /** `it.effect` where the backend goes by the clock of the fiber, `it.live` where it has a time of its own. */
  readonly it: (title: string, body: () => Effect.Effect<void, unknown>) => void
}

/** A length that a test can wait for in real time too, and in which it can do something before it is over. */
const interval = "1 second"

/**
 * Lets the calls under the name that were forked come so far that they wait: a backend answers them before what is asked
 * after them.
 */
const waiting = (name: string) =>
  Effect.yieldNow().pipe(Effect.zipRight(RateLimiter.peek({ name })), Effect.zipRight(Effect.yieldNow()))

const algorithms = ["sliding-window", "fixed-window", "token-bucket"] as const

/** What every backend must do. */
export const rateLimiterContract = <E>(name: string, { advance, it, layer }: Subject<E>) =>
  describe(`RateLimiter on ${name}`, () => {
    const provided = layer.pipe(Layer.provideMerge(Telemetry.layer))
    const test = (title: string, body: Effect.Effect<void, unknown, RateLimiter | Telemetry>) =>
      it(title, () => body.pipe(Effect.provide(provided)))

    for (const algorithm of algorithms) {
      const short = { name: `limit-${algorithm}`, algorithm, maxRequests: 3, interval } as const
      const limit = { ...short, interval: "1 minute" } as const

      test(
        `${algorithm}: admits maxRequests, refuses the next, and admits it after exactly retryAfter`,
        Effect.gen(function* () {
          const left: Array<number> = []
          for (let index = 0; index < 3; index++) left.push((yield* RateLimiter.consume(short)).remaining)
          expect(left).toEqual([2, 1, 0])
          const error = yield* Effect.flip(RateLimiter.consume(short))
          expect(error).toMatchObject({ _tag: "RateLimited", limiter: short.name, key: "", limit: 3 })
          if (error._tag !== "RateLimited") return
          expect(Duration.toMillis(error.interval)).toBe(1000)
          expect(Duration.toMillis(error.retryAfter)).toBeGreaterThan(0)
          expect(Duration.toMillis(error.retryAfter)).toBeLessThanOrEqual(1000)
          yield* advance(error.retryAfter)
          expect((yield* RateLimiter.consume(short)).limit).toBe(3)
        })
      )

      test(
        `${algorithm}: counts costs, and lets a refused call take nothing`,
        Effect.gen(function* () {
          expect((yield* RateLimiter.consume({ ...limit, cost: 2 })).remaining).toBe(1)
          yield* Effect.flip(RateLimiter.consume({ ...limit, cost: 2 }))
          yield* Effect.flip(RateLimiter.consume({ ...limit, cost: 3 }))
          expect((yield* RateLimiter.peek(limit)).remaining).toBe(1)
          expect((yield* RateLimiter.consume({ ...limit, cost: 1 })).remaining).toBe(0)
        })
      )

      test(
        `${algorithm}: of 200 calls at once admits exactly as many as it has`,
        Effect.gen(function* () {
          const many = { ...limit, name: `many-${algorithm}`, maxRequests: 20, interval: "1 minute" } as const
          const exits = yield* Effect.forEach(
            Array.from({ length: 200 }),
            () => Effect.exit(RateLimiter.execute(Effect.yieldNow(), many)),
            { concurrency: "unbounded" }
          )
          expect(exits.filter(Exit.isSuccess)).toHaveLength(20)
        })
      )

      test(
        `${algorithm}: peek changes nothing, reset gives everything back`,
        Effect.gen(function* () {
          yield* RateLimiter.consume({ ...limit, cost: 3 })
          for (let index = 0; index < 5; index++) yield* RateLimiter.peek({ ...limit, cost: 2 })
          const status = yield* RateLimiter.peek(limit)
          expect(status).toMatchObject({ limit: 3, remaining: 0 })
          expect(Duration.toMillis(status.retryAfter)).toBeGreaterThan(0)
          yield* RateLimiter.reset(limit)
          const again = yield* RateLimiter.peek({ ...limit, cost: 3 })
          expect(again.remaining).toBe(3)
          expect(Duration.toMillis(again.resetAfter)).toBe(0)
          expect(Duration.toMillis(again.retryAfter)).toBe(0)
        })
      )
    }

    test(
      "keeps names and keys apart",
      Effect.gen(function* () {
        const one = { maxRequests: 1, interval: "1 minute" } as const
        yield* RateLimiter.consume({ ...one, name: "a", key: "x" })
        yield* RateLimiter.consume({ ...one, name: "a", key: "y" })
        yield* RateLimiter.consume({ ...one, name: "a" })
        yield* RateLimiter.consume({ ...one, name: "b", key: "x" })
        const error = yield* Effect.flip(RateLimiter.consume({ ...one, name: "a", key: "x" }))
        expect(error).toMatchObject({ limiter: "a", key: "x" })
      })
    )

    test(
      "takes several limits all or none, and names the one that is used up longest",
      Effect.gen(function* () {
        const short = { name: "short", maxRequests: 2, interval: "1 minute" } as const
        const long = { name: "long", maxRequests: 1, interval: "1 hour" } as const
        const wide = { name: "wide", maxRequests: 10, interval: "1 minute" } as const
        const all = yield* RateLimiter.consumeAll([wide, short, long])
        expect(all.map(({ limit, remaining }) => [limit, remaining])).toEqual([
          [10, 9],
          [2, 1],
          [1, 0]
        ])
        yield* RateLimiter.consume(short)
        const error = yield* Effect.flip(RateLimiter.execute(Effect.die("not admitted"), [wide, short, long]))
        expect(error).toMatchObject({ _tag: "RateLimited", limiter: "long", limit: 1 })
        expect((yield* RateLimiter.peek(wide)).remaining).toBe(9)
        expect((yield* RateLimiter.peek(short)).remaining).toBe(0)
      })
    )

    test(
      "takes the sum where a call names one limit twice",
      Effect.gen(function* () {
        const limit = { name: "twice", maxRequests: 5, interval: "1 minute" } as const
        const both = yield* RateLimiter.consumeAll([
          { ...limit, cost: 2 },
          { ...limit, cost: 2 }
        ])
        expect(both.map(({ remaining }) => remaining)).toEqual([1, 1])
        yield* Effect.flip(RateLimiter.consumeAll([limit, limit]))
        expect((yield* RateLimiter.peek(limit)).remaining).toBe(1)
      })
    )

    test(
      "lets calls wait, and admits them in order of arrival, the large one before the small ones behind it",
      Effect.gen(function* () {
        const limit = { name: "line", maxRequests: 3, interval, onExceeded: "wait", maxWait: "1 minute" } as const
        const order: Array<string> = []
        const call = (title: string, cost: number) =>
          Effect.fork(
            RateLimiter.execute(
              Effect.sync(() => order.push(title)),
              { ...limit, cost }
            )
          ).pipe(Effect.tap(waiting(limit.name)))
        yield* RateLimiter.consume({ ...limit, cost: 2 })
        const fibers = [yield* call("large", 3), yield* call("small", 1), yield* call("smaller", 1)]
        expect(order).toEqual([])
        const refused = yield* Effect.flip(RateLimiter.consume({ ...limit, onExceeded: "fail" }))
        expect(refused._tag).toBe("RateLimited")
        yield* advance(interval)
        yield* advance(interval)
        yield* Fiber.joinAll(fibers)
        expect(order).toEqual(["large", "small", "smaller"])
      })
    )

    test(
      "refuses a call at once that would wait longer than maxWait, and takes nothing for it",
      Effect.gen(function* () {
        const limit = { name: "patience", maxRequests: 1, interval: "1 minute", onExceeded: "wait" } as const
        yield* RateLimiter.consume(limit)
        const error = yield* Effect.flip(RateLimiter.consume({ ...limit, maxWait: "1 second" }))
        expect(error).toMatchObject({ _tag: "RateLimited", context: { reason: "wait_too_long" } })
        expect((yield* RateLimiter.peek(limit)).resetAfter).toSatisfy(Duration.lessThanOrEqualTo("1 minute"))
      })
    )

    test(
      "gives the place of an interrupted call to those behind it",
      Effect.gen(function* () {
        const limit = { name: "left", maxRequests: 2, interval, onExceeded: "wait", maxWait: "1 minute" } as const
        const done = yield* Deferred.make<void>()
        yield* RateLimiter.consume({ ...limit, cost: 2 })
        const first = yield* Effect.fork(RateLimiter.consume({ ...limit, cost: 2 }))
        yield* waiting(limit.name)
        yield* Effect.fork(RateLimiter.execute(Deferred.succeed(done, undefined), limit))
        yield* waiting(limit.name)
        yield* Fiber.interrupt(first)
        yield* advance(interval)
        yield* Deferred.await(done)
        expect((yield* RateLimiter.peek(limit)).remaining).toBe(1)
      })
    )
  })
