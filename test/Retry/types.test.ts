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

  it("infer the error in the `while` of Effect.retry, in a pipe too", () => {
    const piped = work.pipe(
      Effect.retry({
        schedule: Retry.schedule({ times: 5 }),
        while: (error) => {
          expectTypeOf(error).toEqualTypeOf<Busy | Gone>()
          return error._tag === "Busy" && error.load < 5
        }
      })
    )
    expectTypeOf(piped).toEqualTypeOf<Effect.Effect<number, Busy | Gone>>()
    const first = Effect.retry(work, { schedule: Retry.schedule(), while: (error) => error._tag === "Busy" })
    expectTypeOf(first).toEqualTypeOf<Effect.Effect<number, Busy | Gone>>()
  })

  it("have no `while` of its own, which could not infer the error", () => {
    // @ts-expect-error: it belongs to Effect.retry
    compiled(() => Retry.schedule({ while: () => true }))
  })
})
