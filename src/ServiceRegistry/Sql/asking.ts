import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { failing, guarded } from "../../internal/Sql/Guard.js"

const again = Schedule.jittered(Schedule.spaced("20 millis"))

/**
 * Asks the database, and again where others had it locked, within the deadline. Not traced: it happens in the background,
 * every few seconds, and belongs to nobody's request.
 */
export const asking = <A>(
  work: Effect.Effect<A, SqlError | SqlFailure>,
  within?: Duration.DurationInput
): Effect.Effect<A, SqlFailure> =>
  failing(work).pipe(
    Effect.retry({ while: ({ kind }) => kind === "locked", schedule: again }),
    (work) => guarded(work, within),
    Effect.withTracerEnabled(false)
  )
