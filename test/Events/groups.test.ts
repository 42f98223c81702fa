import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import type { Appended } from "effect-foundation/Events/Backend"
import type { Batch } from "effect-foundation/Events/Sql/Decide"
import { Groups } from "effect-foundation/Events/Sql/Groups"
import { Held } from "effect-foundation/Events/Sql/Store"

const batch = (): Batch => ({ events: [], expectation: undefined })
const stored: Appended = { _tag: "Stored", events: [] }

const options = {
  deadline: 1000,
  commit: (batches: ReadonlyArray<Batch>) => Effect.succeed(batches.map(() => stored)),
  insist: () => Effect.succeed(stored)
}

describe("groups of batches", () => {
  it.live("are stored however often the fibers give way to one another", () =>
    Effect.forEach(
      Array.from({ length: 30 }, (_, index) => index + 16),
      (operations) =>
        Effect.gen(function* () {
          const groups = yield* Groups.make(options).pipe(Effect.withMaxOpsBeforeYield(operations))
          const caller = Effect.forEach(Array.from({ length: 20 }, batch), (batch) => groups.append(batch))
          yield* Effect.forEach([1, 2, 3, 4, 5], () => caller, { concurrency: "unbounded", discard: true })
        }).pipe(Effect.scoped, Effect.timeoutFail({ duration: "2 seconds", onTimeout: () => operations }))
    )
  )

  it.live("that are held up let the others pass, and are waited for at the end", () =>
    Effect.gen(function* () {
      const released = yield* Deferred.make<void>()
      const held = new Set<Batch>([batch(), batch(), batch()])
      yield* Effect.gen(function* () {
        const groups = yield* Groups.make({
          ...options,
          commit: (batches) =>
            batches.some((batch) => held.has(batch)) ? Effect.fail(new Held()) : options.commit(batches),
          insist: (batch) => Effect.as(held.has(batch) ? Deferred.await(released) : Effect.void, stored)
        })
        const waiting = yield* Effect.forEach(held, (batch) => Effect.forkDaemon(groups.append(batch)))
        yield* Effect.yieldNow()
        yield* Effect.forEach(Array.from({ length: 10 }, batch), (batch) => groups.append(batch))
        expect(waiting.map((fiber) => fiber.unsafePoll())).toStrictEqual([null, null, null])
        yield* Effect.forkDaemon(Effect.delay(Deferred.succeed(released, undefined), "20 millis"))
      }).pipe(Effect.scoped)
      expect(yield* Deferred.isDone(released)).toBe(true)
    })
  )

  it.live("that are held up fail within the deadline", () =>
    Effect.gen(function* () {
      const started = Date.now()
      const groups = yield* Groups.make({
        deadline: 200,
        commit: () => Effect.fail(new Held()),
        insist: (_, within) => Effect.delay(Effect.fail(timeout), within)
      })
      const results = yield* Effect.forEach(
        Array.from({ length: 8 }, batch),
        (batch) => Effect.either(groups.append(batch)),
        {
          concurrency: "unbounded"
        }
      )
      expect(results.every(({ _tag }) => _tag === "Left")).toBe(true)
      expect(Date.now() - started).toBeLessThan(2000)
    }).pipe(Effect.scoped)
  )
})

describe("a batch that comes alone", () => {
  /** A store whose commits end when they are told to, and what it was asked for. */
  const held = Effect.gen(function* () {
    const asked: Array<ReadonlyArray<Batch>> = []
    const ends: Array<Deferred.Deferred<void>> = []
    const groups = yield* Groups.make({
      ...options,
      commit: (batches) =>
        Effect.gen(function* () {
          asked.push(batches)
          const end = yield* Deferred.make<void>()
          ends.push(end)
          yield* Deferred.await(end)
          return batches.map(() => stored)
        })
    })
    const end = (index: number) => Effect.suspend(() => Deferred.succeed(ends[index] ?? expect.fail(), undefined))
    const until = (commits: number) => Effect.repeat(Effect.yieldNow(), { until: () => asked.length >= commits })
    return { groups, asked, end, until }
  })

  it.live("is stored first, and those that come meanwhile together after it", () =>
    Effect.gen(function* () {
      const { asked, end, groups, until } = yield* held
      const [first, second, third] = [batch(), batch(), batch()]
      const fibers = [yield* Effect.fork(groups.append(first))]
      yield* until(1)
      for (const batch of [second, third]) fibers.push(yield* Effect.fork(groups.append(batch)))
      yield* Effect.sleep("5 millis")
      expect(asked).toStrictEqual([[first]])
      yield* end(0)
      yield* until(2)
      expect(asked).toStrictEqual([[first], [second, third]])
      yield* end(1)
      yield* Fiber.joinAll(fibers)
    }).pipe(Effect.scoped)
  )

  it.live("makes way when its caller is interrupted", () =>
    Effect.gen(function* () {
      const { asked, end, groups, until } = yield* held
      const first = yield* Effect.fork(groups.append(batch()))
      yield* until(1)
      const second = yield* Effect.fork(groups.append(batch()))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(first)
      yield* until(2)
      yield* end(1)
      yield* Fiber.join(second)
      const third = yield* Effect.fork(groups.append(batch()))
      yield* until(3)
      yield* end(2)
      yield* Fiber.join(third)
      expect(asked).toHaveLength(3)
    }).pipe(Effect.scoped)
  )

  it.live("is waited for at the end", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { end, groups, until } = yield* Scope.extend(held, scope)
      const storing = yield* Effect.fork(groups.append(batch()))
      yield* until(1)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* Effect.sleep("5 millis")
      expect(closing.unsafePoll()).toBeNull()
      yield* end(0)
      yield* Fiber.join(closing)
      expect(yield* Fiber.join(storing)).toStrictEqual(stored)
    })
  )
})

const timeout = { kind: "timeout", message: "", code: undefined, detail: undefined, transient: true } as const
