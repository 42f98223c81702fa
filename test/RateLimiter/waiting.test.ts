import { describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Layer, TestClock } from "effect"
import { RateLimiter } from "effect-foundation/RateLimiter"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { expect } from "vitest"
import {
  type Algorithm,
  type AlgorithmName,
  fixedWindow,
  type Rate,
  slidingWindow,
  tokenBucket
} from "../../src/RateLimiter/Algorithm.js"
import { ManualClock, settled } from "../ManualClock.js"

const layer = RateLimiter.layer.pipe(Layer.provideMerge(Telemetry.layer))

/** Forks the call, and lets it come as far as it can. */
const arrive = <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.tap(Effect.fork(call), () => settled)

/** Ends as what happened, and when. */
const timed = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.exit(call), (exit) => Effect.map(Clock.currentTimeMillis, (at) => ({ at, exit })))

interface Call {
  readonly at: number
  readonly cost: number
  readonly maxWait: number
  /** When it is interrupted, if it still waits. */
  readonly leaves: number
}

type Outcome = `admitted ${number}` | `refused ${number}` | `left ${number}`

/** What should happen, one millisecond after the other, with the calls of the line looked at in order. */
const oracle = <State>(algorithm: Algorithm<State>, rate: Rate, calls: ReadonlyArray<Call>) => {
  const micros = { ...rate, interval: rate.interval * 1000 }
  const state = algorithm.fresh()
  const outcomes = new Map<Call, Outcome>()
  const order: Array<number> = []
  const admit = (call: Call, now: number) => {
    outcomes.set(call, `admitted ${now}`)
    order.push(calls.indexOf(call))
  }
  let line: ReadonlyArray<Call> = []
  const serve = (from: State, waiting: ReadonlyArray<Call>, now: number, admit: (call: Call) => void) => {
    let left = waiting
    for (let first = left[0]; first !== undefined; first = left[0]) {
      if (!algorithm.take(from, micros, first.cost, now * 1000).admitted) break
      admit(first)
      left = left.slice(1)
    }
    return left
  }
  /** When the last of these is admitted, if none leaves. */
  const foresee = (waiting: ReadonlyArray<Call>, now: number): number => {
    const copy = structuredClone(state)
    let left = waiting
    let at = now
    for (;;) {
      left = serve(copy, left, at, () => {})
      if (left.length === 0) return at
      at++
    }
  }
  const end = Math.max(0, ...calls.map(({ at }) => at)) + (calls.length + 1) * rate.interval * 2
  for (let now = 0; now <= end; now++) {
    line = serve(state, line, now, (call) => admit(call, now))
    for (const call of calls.filter(({ leaves }) => leaves === now)) {
      if (!line.includes(call)) continue
      outcomes.set(call, `left ${now}`)
      line = serve(
        state,
        line.filter((other) => other !== call),
        now,
        (one) => admit(one, now)
      )
    }
    for (const call of calls.filter(({ at }) => at === now)) {
      if (foresee([...line, call], now) > now + call.maxWait) outcomes.set(call, `refused ${now}`)
      else line = serve(state, [...line, call], now, (one) => admit(one, now))
    }
  }
  return { outcomes: calls.map((call) => outcomes.get(call)), order, end }
}

/** The same calls, made. */
const run = (clock: ManualClock, algorithm: AlgorithmName, rate: Rate, calls: ReadonlyArray<Call>, end: number) =>
  Effect.gen(function* () {
    const order: Array<number> = []
    const waiting = new Map<Call, Fiber.RuntimeFiber<Outcome>>()
    for (let now = 0; now <= end; now++) {
      if (now > 0) yield* clock.advance(1)
      for (const call of calls.filter(({ leaves }) => leaves === now)) {
        const fiber = waiting.get(call)
        if (fiber !== undefined) yield* Effect.zipRight(Fiber.interrupt(fiber), settled)
      }
      for (const call of calls.filter(({ at }) => at === now)) {
        const ran = Effect.sync(() => order.push(calls.indexOf(call)))
        const made = RateLimiter.execute(ran, {
          algorithm,
          maxRequests: rate.maxRequests,
          interval: rate.interval,
          cost: call.cost,
          maxWait: Number.isFinite(call.maxWait) ? call.maxWait : Duration.infinity,
          onExceeded: "wait"
        })
        const outcome = Effect.map(
          timed(made),
          ({ at, exit }): Outcome => (Exit.isSuccess(exit) ? `admitted ${at}` : `refused ${at}`)
        )
        waiting.set(call, yield* arrive(outcome))
      }
    }
    const outcomes: Array<Outcome | undefined> = []
    for (const call of calls) {
      const exit = yield* Effect.flatMap(Effect.fromNullable(waiting.get(call)), Fiber.await)
      outcomes.push(Exit.isSuccess(exit) ? exit.value : `left ${call.leaves}`)
    }
    return { outcomes, order }
  })

/** A token takes whole milliseconds: timers count no less, and a full bucket does not refill until they fire. */
const rates: fc.Arbitrary<Rate> = fc
  .record({ maxRequests: fc.integer({ min: 1, max: 5 }), each: fc.integer({ min: 1, max: 3 }) })
  .map(({ each, maxRequests }) => ({ maxRequests, interval: maxRequests * each }))

const callsOf = (
  cost: (rate: Rate) => fc.Arbitrary<number>,
  maxWait: fc.Arbitrary<number>
): fc.Arbitrary<{ rate: Rate; calls: ReadonlyArray<Call> }> =>
  rates.chain((rate) =>
    fc.record({
      rate: fc.constant(rate),
      calls: fc.array(
        fc
          .record({
            at: fc.integer({ min: 0, max: 12 }),
            cost: cost(rate),
            maxWait,
            stays: fc.integer({ min: 1, max: 60 })
          })
          .map(({ at, cost, maxWait, stays }) => ({ at, cost, maxWait, leaves: stays > 20 ? -1 : at + stays })),
        { maxLength: 12 }
      )
    })
  )

const cores = [
  { algorithm: "sliding-window" as const, check: oracle.bind(undefined, slidingWindow as Algorithm<unknown>) },
  { algorithm: "fixed-window" as const, check: oracle.bind(undefined, fixedWindow as Algorithm<unknown>) },
  { algorithm: "token-bucket" as const, check: oracle.bind(undefined, tokenBucket as Algorithm<unknown>) }
]

/** A model takes some seconds on a busy machine. */
const patience = 60_000

describe("waiting, against a naive line", () => {
  for (const { algorithm, check } of cores) {
    const agrees = (calls: fc.Arbitrary<{ rate: Rate; calls: ReadonlyArray<Call> }>) =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(calls, async ({ calls, rate }) => {
            const expected = check(rate, calls)
            const clock = new ManualClock()
            const { outcomes, order } = await run(clock, algorithm, rate, calls, expected.end).pipe(
              Effect.provide(layer),
              Effect.withClock(clock),
              Effect.runPromise
            )
            expect({ outcomes, order }).toEqual({ outcomes: expected.outcomes, order: expected.order })
          }),
          { numRuns: 60 }
        )
      )

    it.live(
      `${algorithm}: calls of any cost are admitted in order of arrival, each as soon as it can be, also when some leave`,
      () => agrees(callsOf(({ maxRequests }) => fc.integer({ min: 1, max: maxRequests }), fc.constant(Infinity))),
      patience
    )

    it.live(
      `${algorithm}: calls of cost 1 that would wait longer than maxWait are refused when they come, and no others`,
      () => agrees(callsOf(() => fc.constant(1), fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constant(Infinity)))),
      patience
    )
  }
})

describe("waiting", () => {
  const used = { name: "used", maxRequests: 2, interval: "1 second", onExceeded: "wait", maxWait: "1 minute" } as const

  it.effect("lets no call that fails take what others wait for", () =>
    Effect.gen(function* () {
      yield* RateLimiter.consume(used)
      const large = yield* arrive(timed(RateLimiter.consume({ ...used, cost: 2 })))
      const error = yield* Effect.flip(RateLimiter.consume({ ...used, onExceeded: "fail" }))
      expect(error._tag).toBe("RateLimited")
      expect((yield* RateLimiter.peek(used)).remaining).toBe(0)
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(large)).at).toBe(1000)
    }).pipe(Effect.provide(layer))
  )

  it.effect("holds nobody up at a limit that has room, while a call before waits for another limit", () =>
    Effect.gen(function* () {
      const all = { name: "all", maxRequests: 10, interval: "1 minute", onExceeded: "wait" } as const
      const each = { name: "each", maxRequests: 1, interval: "30 seconds", onExceeded: "wait" } as const
      yield* RateLimiter.consumeAll([all, { ...each, key: "ada" }])
      const ada = yield* arrive(timed(RateLimiter.consumeAll([all, { ...each, key: "ada" }])))
      const bob = yield* arrive(timed(RateLimiter.consumeAll([all, { ...each, key: "bob" }])))
      expect((yield* Fiber.join(bob)).at).toBe(0)
      // What is left for others is beside the one that waits.
      expect((yield* RateLimiter.peek(all)).remaining).toBe(7)
      yield* Effect.flip(RateLimiter.consume({ ...all, onExceeded: "fail", cost: 8 }))
      yield* RateLimiter.consume({ ...all, onExceeded: "fail", cost: 7 })
      yield* TestClock.adjust("30 seconds")
      expect(yield* Fiber.join(ada)).toMatchObject({ at: 30_000, exit: { _tag: "Success" } })
    }).pipe(Effect.provide(layer))
  )

  it.effect("admits a call to several limits when all have room, and those behind it when it leaves", () =>
    Effect.gen(function* () {
      const one = {
        name: "one",
        maxRequests: 1,
        interval: "10 seconds",
        onExceeded: "wait",
        maxWait: "1 hour"
      } as const
      const two = {
        name: "two",
        maxRequests: 1,
        interval: "25 seconds",
        onExceeded: "wait",
        maxWait: "1 hour"
      } as const
      yield* RateLimiter.consumeAll([one, two])
      const both = yield* arrive(timed(RateLimiter.consumeAll([one, two])))
      const behind = yield* arrive(timed(RateLimiter.consume(one)))
      const last = yield* arrive(timed(RateLimiter.consumeAll([two, one])))
      yield* TestClock.adjust("12 seconds")
      yield* Fiber.interrupt(both)
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(behind)).at).toBe(12_000)
      expect((yield* Fiber.join(last)).at).toBe(25_000)
    }).pipe(Effect.provide(layer))
  )

  it.effect("admits one that comes in the moment in which another may go behind that one", () => {
    const clock = new ManualClock()
    const limit = { ...used, name: "moment", maxRequests: 3 } as const
    const order: Array<string> = []
    const call = (title: string, cost: number) =>
      RateLimiter.execute(
        Effect.sync(() => order.push(title)),
        { ...limit, cost }
      )
    return Effect.gen(function* () {
      yield* RateLimiter.consume({ ...limit, cost: 2 })
      yield* arrive(call("first", 2))
      // This clock wakes the latest sleeper first: the second comes before the first looks again.
      yield* arrive(Effect.zipRight(Effect.sleep("1 second"), call("second", 1)))
      yield* clock.advance(1000)
      expect(order).toEqual(["first", "second"])
    }).pipe(Effect.provide(layer), Effect.withClock(clock))
  })

  it.effect("calls all whom a departure may help, also past one that it does not help", () =>
    Effect.gen(function* () {
      const wait = { onExceeded: "wait", maxWait: "1 hour", interval: "1 minute" } as const
      const shared = { ...wait, name: "shared", maxRequests: 3 } as const
      const closed = { ...wait, name: "closed", maxRequests: 1 } as const
      const open = { ...wait, name: "open", maxRequests: 1 } as const
      yield* RateLimiter.consumeAll([shared, closed])
      const leaves = yield* arrive(RateLimiter.consumeAll([shared, closed]))
      const stays = yield* arrive(timed(RateLimiter.consumeAll([shared, closed])))
      const helped = yield* arrive(timed(RateLimiter.consumeAll([shared, open])))
      yield* TestClock.adjust("1 second")
      expect(helped.unsafePoll()).toBeNull()
      yield* Fiber.interrupt(leaves)
      expect((yield* Fiber.join(helped)).at).toBe(1000)
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(stays)).at).toBe(60_000)
    }).pipe(Effect.provide(layer))
  )

  it.effect("waits only where each limit that refuses lets it wait", () =>
    Effect.gen(function* () {
      const waits = { name: "waits", maxRequests: 1, interval: "1 second", onExceeded: "wait" } as const
      const fails = { name: "fails", maxRequests: 1, interval: "10 seconds" } as const
      yield* RateLimiter.consume(waits)
      const waited = yield* arrive(timed(RateLimiter.consumeAll([waits, fails])))
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(waited)).at).toBe(1000)
      expect(yield* Effect.flip(RateLimiter.consumeAll([waits, fails]))).toMatchObject({ limiter: "fails" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("refuses those beyond 10,000 in a line, and lets go of all when they are interrupted", () => {
    const clock = new ManualClock()
    return Effect.gen(function* () {
      const limit = { ...used, name: "long", maxRequests: 10, maxWait: Duration.infinity } as const
      yield* RateLimiter.consume({ ...limit, cost: 10 })
      const fibers = yield* Effect.replicateEffect(Effect.fork(RateLimiter.consume(limit)), 10_000)
      yield* settled
      expect(yield* Effect.flip(RateLimiter.consume(limit))).toMatchObject({ context: { reason: "line_full" } })
      // All but one in the middle: it moves to the front, and has the first place that is free.
      const kept = fibers[5000]
      yield* Fiber.interruptAll(fibers.filter((fiber) => fiber !== kept))
      yield* clock.advance(1000)
      expect((yield* RateLimiter.peek(limit)).remaining).toBe(9)
    }).pipe(Effect.provide(layer), Effect.withClock(clock))
  })

  it.effect("goes on at once when the limit is reset", () =>
    Effect.gen(function* () {
      const limit = { ...used, name: "reset", maxRequests: 1 } as const
      yield* RateLimiter.consume(limit)
      const waiting = [
        yield* arrive(timed(RateLimiter.consume(limit))),
        yield* arrive(timed(RateLimiter.consume(limit)))
      ]
      yield* TestClock.adjust(300)
      yield* RateLimiter.reset(limit)
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.joinAll(waiting)).map(({ at }) => at)).toEqual([300, 1300])
    }).pipe(Effect.provide(layer))
  )

  it.effect("takes nothing for a call that is interrupted while it waits, and runs nothing of it", () =>
    Effect.gen(function* () {
      const limit = { ...used, name: "gone", maxRequests: 1 } as const
      const ran = yield* Deferred.make<void>()
      yield* RateLimiter.consume(limit)
      const waiting = yield* arrive(RateLimiter.execute(Deferred.succeed(ran, undefined), limit))
      yield* TestClock.adjust(999)
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust(1)
      expect(yield* Deferred.isDone(ran)).toBe(false)
      expect((yield* RateLimiter.peek(limit)).remaining).toBe(1)
    }).pipe(Effect.provide(layer))
  )

  it.effect("can wait longer than a timer counts", () => {
    const clock = new ManualClock()
    const day = Duration.toMillis("1 day")
    return Effect.gen(function* () {
      const limit = { ...used, name: "rare", maxRequests: 1, interval: "60 days", maxWait: "61 days" } as const
      yield* RateLimiter.consume(limit)
      const waiting = yield* arrive(timed(RateLimiter.consume(limit)))
      for (let passed = 0; passed < 61; passed++) yield* clock.advance(day)
      expect(waiting.unsafePoll()).toMatchObject({ value: { at: 60 * day } })
    }).pipe(Effect.provide(layer), Effect.withClock(clock))
  })
})
