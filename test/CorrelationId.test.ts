import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { CorrelationId, unsafeCurrentCorrelationId } from "effect-foundation/CorrelationId"
import { EventError } from "effect-foundation/FoundationError"

const failure = Effect.sync(() => new EventError({ message: "m", reason: "invalid_event" }).correlationId)

describe("CorrelationId", () => {
  it.effect("is the one that was set", () =>
    Effect.gen(function* () {
      expect(yield* CorrelationId.current.pipe(CorrelationId.with("req-1"))).toBe("req-1")
      expect(yield* CorrelationId.with(failure, "req-2")).toBe("req-2")
      expect(yield* failure.pipe(Effect.provideService(CorrelationId, "req-3"))).toBe("req-3")
    })
  )

  it.effect("is the inner one where two are set, and the outer one again after it", () =>
    Effect.gen(function* () {
      const inner = CorrelationId.current.pipe(CorrelationId.with("inner"))
      const ids = yield* Effect.all([CorrelationId.current, inner, CorrelationId.current]).pipe(
        CorrelationId.with("outer")
      )
      expect(ids).toEqual(["outer", "inner", "outer"])
    })
  )

  it.effect("is the trace id of the current span where none is set", () =>
    Effect.gen(function* () {
      const span = yield* Effect.currentSpan
      expect(yield* CorrelationId.current).toBe(span.traceId)
      expect(yield* failure).toBe(span.traceId)
    }).pipe(Effect.withSpan("work"))
  )

  it.effect("is made when first read, and then stays with the fiber", () =>
    Effect.gen(function* () {
      const id = yield* failure
      expect(id).not.toBe("")
      expect(yield* CorrelationId.current).toBe(id)
      yield* Effect.yieldNow()
      expect(yield* CorrelationId.current).toBe(id)
    })
  )

  it.effect("goes along into the fibers that work under a set id forks", () =>
    Effect.gen(function* () {
      const ids = yield* Effect.all([failure, failure, CorrelationId.current], { concurrency: "unbounded" }).pipe(
        CorrelationId.with("req-4")
      )
      expect(ids).toEqual(["req-4", "req-4", "req-4"])
    })
  )

  it.effect("is another in each fiber that a server forks, even when the server has read its own", () =>
    Effect.gen(function* () {
      const server = yield* CorrelationId.current
      const requests = yield* Effect.all([Effect.fork(failure), Effect.fork(failure)])
      const ids = yield* Effect.forEach(requests, Fiber.join)
      expect(new Set([server, ...ids]).size).toBe(3)
      expect(yield* CorrelationId.current).toBe(server)
    })
  )

  it.effect("is on every log line of the work that it was set for", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const collect = Logger.replace(
        Logger.defaultLogger,
        Logger.map(Logger.logfmtLogger, (line) => {
          lines.push(line)
        })
      )
      yield* Effect.log("paid").pipe(CorrelationId.with("req-5"), Effect.provide(Layer.mergeAll(collect)))
      expect(lines).toHaveLength(1)
      expect(lines[0]).toContain("correlationId=req-5")
    })
  )

  it("is a new one outside of any fiber", () => {
    expect(unsafeCurrentCorrelationId()).not.toBe(unsafeCurrentCorrelationId())
  })
})
