import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { insisting } from "../../internal/Sql/Guard.js"
import { outside } from "../../internal/Sql/outside.js"

/**
 * Asks the database, and again where others had it locked, within the deadline. Not traced, and in no transaction of a
 * caller: it happens in the background, every few seconds, and belongs to nobody's request.
 */
export const asking = <A>(
  work: Effect.Effect<A, SqlError | SqlFailure>,
  within?: Duration.DurationInput
): Effect.Effect<A, SqlFailure> => insisting(work, within).pipe(outside, Effect.withTracerEnabled(false))
