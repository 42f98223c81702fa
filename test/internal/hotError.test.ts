import { inspect, types } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Schema } from "effect"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { CircuitOpen, isFoundationError } from "effect-foundation/FoundationError"
import { failIn, hotError } from "../../src/internal/hotError.js"

const fields = {
  circuit: "payments",
  state: "open",
  retryAfter: Duration.seconds(2),
  message: "the circuit is open",
  context: { failures: 5 }
} as const

describe("hotError", () => {
  it("makes what the constructor makes", () => {
    const hot = hotError(CircuitOpen, "circuit_open", fields, "req-1")
    const made = new CircuitOpen({ ...fields, correlationId: "req-1" })
    expect(hot).toBeInstanceOf(CircuitOpen)
    expect(types.isNativeError(hot)).toBe(true)
    expect(isFoundationError(hot)).toBe(true)
    expect({ ...hot }).toEqual({ ...made, message: made.message })
    expect(String(hot)).toBe(String(made))
    expect(JSON.parse(JSON.stringify(hot))).toEqual(JSON.parse(JSON.stringify(made)))
    expect(Schema.encodeSync(CircuitOpen)(hot)).toEqual(Schema.encodeSync(CircuitOpen)(made))
  })

  it("has no stack, and leaves the stacks of other errors alone", () => {
    expect(hotError(CircuitOpen, "circuit_open", fields).stack).not.toContain("at ")
    expect(new Error("other").stack).toContain("at ")
  })

  it("says in place of a stack what it is, as errors do, and not among its fields", () => {
    const limit = Error.stackTraceLimit
    const hot = hotError(CircuitOpen, "circuit_open", fields)
    expect(hot.stack).toBe("CircuitOpen: the circuit is open")
    expect(inspect(hot)).toContain("[CircuitOpen: the circuit is open] {")
    expect(Object.keys(hot).sort()).toEqual([...Object.keys(fields), "_tag", "code", "correlationId"].sort())
    expect(Error.stackTraceLimit).toBe(limit)
  })

  it.effect("notes in an error the span in which a step fails, and is the error itself without one", () =>
    Effect.gen(function* () {
      const hot = hotError(CircuitOpen, "circuit_open", fields)
      const failing = Effect.withFiberRuntime<never, CircuitOpen>((fiber) => failIn(fiber, hot))
      expect(yield* Effect.flip(failing)).toBe(hot)
      const cause = yield* Effect.flip(Effect.sandbox(Effect.withSpan(failing, "payment")))
      expect(Cause.pretty(cause)).toContain("at payment")
    })
  )

  it.effect("carries the correlation id in force, and can be yielded", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.gen(function* () {
        return yield* hotError(CircuitOpen, "circuit_open", fields)
      }).pipe(CorrelationId.with("req-2"), Effect.exit)
      expect(exit).toEqual(Exit.fail(hotError(CircuitOpen, "circuit_open", fields, "req-2")))
    })
  )
})
