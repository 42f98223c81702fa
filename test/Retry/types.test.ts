import { type Duration, Effect, type Schedule } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import type { CircuitOpen, OperationTimeout, StoreUnavailable } from "effect-foundation/FoundationError"
import { Retry } from "effect-foundation/Retry"
import { describe, expectTypeOf, it } from "vitest"

interface Busy {
  readonly _tag: "Busy"
  readonly load: number
}
interface Gone {
  readonly _tag: "Gone"
}
declare const never: never

const work = Effect.suspend((): Effect.Effect<number, Busy | Gone> => never)

/** Only to be compiled. */
const compiled = (_: unknown) => {}

describe("the types of Retry.schedule", () => {
  it("take any error, and leave the effect's own", () => {
    expectTypeOf(Retry.schedule({ times: 5 })).toEqualTypeOf<Schedule.Schedule<Duration.Duration, unknown>>()
    expectTypeOf(work.pipe(Effect.retry(Retry.schedule({ times: 5 })))).toEqualTypeOf<
      Effect.Effect<number, Busy | Gone>
    >()
    expectTypeOf(work.pipe(CircuitBreaker.execute(), Effect.retry(Retry.schedule()))).toEqualTypeOf<
      Effect.Effect<number, Busy | Gone | CircuitOpen | OperationTimeout | StoreUnavailable, CircuitBreaker>
    >()
  })

  it("hold `while` to what the effect fails with", () => {
    const first = Effect.retry(work, Retry.schedule({ while: (error: Busy | Gone) => error._tag === "Busy" }))
    expectTypeOf(first).toEqualTypeOf<Effect.Effect<number, Busy | Gone>>()
    const piped = work.pipe(Effect.retry(Retry.schedule({ while: (error: Busy | Gone) => error._tag === "Busy" })))
    expectTypeOf(piped).toEqualTypeOf<Effect.Effect<number, Busy | Gone>>()
    // @ts-expect-error: the effect fails with more than the schedule judges
    compiled(Effect.retry(Retry.schedule({ while: (error: Busy) => error.load < 5 }))(work))
  })
})
