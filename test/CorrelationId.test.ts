import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Tracer } from "effect"
import { CorrelationId, unsafeCurrentCorrelationId } from "effect-foundation/CorrelationId"
import { Events } from "effect-foundation/Events"
import { EventError } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { deadline } from "../src/internal/deadline.js"

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

  for (const [given, id] of [
    ["a request/42~", "a_request/42~"],
    ["two\nlines\r\u2028\0", "two_lines___"],
    ["größe", "gr__e"],
    ["x".repeat(129), "x".repeat(128)]
  ] as const) {
    it.effect(`is ${id.slice(0, 20)} where ${JSON.stringify(given).slice(0, 20)} is given`, () =>
      Effect.gen(function* () {
        expect(yield* CorrelationId.current.pipe(CorrelationId.with(given))).toBe(id)
        expect(yield* CorrelationId.current.pipe(Effect.provideService(CorrelationId, given))).toBe(id)
        const span = Tracer.externalSpan({ spanId: "1", traceId: given })
        expect(yield* CorrelationId.current.pipe(Effect.withParentSpan(span))).toBe(id)
      })
    )
  }

  it.effect("is not set by an empty id", () =>
    Effect.gen(function* () {
      const outer = CorrelationId.current.pipe(CorrelationId.with(""), CorrelationId.with("outer"))
      expect(yield* outer).toBe("outer")
      const made = yield* CorrelationId.current
      expect(yield* CorrelationId.current.pipe(CorrelationId.with(""))).toBe(made)
      const span = Tracer.externalSpan({ spanId: "1", traceId: "" })
      expect(yield* CorrelationId.current.pipe(Effect.withParentSpan(span))).toBe(made)
    })
  )

  it.effect("is made once for a fiber and its continuation where an empty one was provided", () =>
    Effect.gen(function* () {
      const inside = yield* deadline(CorrelationId.current, "1 second", () => "late")
      expect(yield* CorrelationId.current).toBe(inside)
    }).pipe(Effect.provideService(CorrelationId, ""))
  )

  it.effect("is one that an event takes and that breaks no log line, whatever comes from outside", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.map(Logger.logfmtLogger, (line) => {
        lines.push(line)
      })
      const runtime = yield* Effect.runtime<Events>()
      const run = (effect: Effect.Effect<void, unknown, Events>) => Effect.runPromise(Effect.provide(effect, runtime))
      const anything = fc.oneof(
        fc.string({ unit: "binary", maxLength: 400 }),
        fc.array(fc.nat(0xffff), { maxLength: 400 }).map((units) => String.fromCharCode(...units)),
        fc.stringMatching(/^\s*$/)
      )
      const stored = Effect.zipRight(Effect.log("stored"), Events.store({ type: "seen" }))
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(anything, (given) =>
            run(
              Effect.gen(function* () {
                lines.length = 0
                const { correlationId } = yield* stored.pipe(CorrelationId.with(given))
                expect(correlationId).toMatch(/^[!-~]{1,128}$/)
                expect(lines).toHaveLength(1)
                expect(lines[0]).toMatch(/^[ -~]*$/)
                expect(lines[0]?.includes("correlationId=")).toBe(given !== "")
                const provided = yield* Events.store({ type: "seen" }).pipe(Effect.provideService(CorrelationId, given))
                expect(provided.correlationId).toMatch(/^[!-~]{1,128}$/)
                if (given !== "") expect(provided.correlationId).toBe(correlationId)
              }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
            )
          )
        )
      )
    }).pipe(Effect.provide(Layer.provide(Events.layer, Telemetry.layer)))
  )

  it("is a new one outside of any fiber", () => {
    expect(unsafeCurrentCorrelationId()).not.toBe(unsafeCurrentCorrelationId())
  })
})
