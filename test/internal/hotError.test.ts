import { types } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Schema } from "effect"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { CircuitOpen, isFoundationError } from "effect-foundation/FoundationError"
import { hotError } from "../../src/internal/hotError.js"

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

  it.effect("carries the correlation id in force, and can be yielded", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.gen(function* () {
        return yield* hotError(CircuitOpen, "circuit_open", fields)
      }).pipe(CorrelationId.with("req-2"), Effect.exit)
      expect(exit).toEqual(Exit.fail(hotError(CircuitOpen, "circuit_open", fields, "req-2")))
    })
  )
})
