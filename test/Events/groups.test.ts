import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
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

const timeout = { kind: "timeout", message: "", code: undefined, detail: undefined, transient: true } as const
