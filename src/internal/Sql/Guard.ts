import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { deadline } from "../deadline.js"
import { failureOf, isOfDatabase, type SqlFailure, timedOut } from "./Failure.js"

/** How long a call of the database may take where the options do not say. */
export const defaultDeadline = "5 seconds"

/**
 * Runs work on the database for at most so long. All that a driver fails with, and what it throws, comes to a SqlFailure;
 * so does a commit that fails, which `withTransaction` makes a defect of. Past the deadline the caller goes on, also where
 * the driver does not let itself be interrupted.
 */
export const guarded = <A, R>(
  work: Effect.Effect<A, SqlError | SqlFailure, R>,
  within: Duration.DurationInput = defaultDeadline
): Effect.Effect<A, SqlFailure, R> => deadline(failing(work), within, timedOut)

/** `guarded`, and again as long as others hold the database locked. Where that took all the time, the failure says so. */
export const insisting = <A, R>(
  work: Effect.Effect<A, SqlError | SqlFailure, R>,
  within: Duration.DurationInput = defaultDeadline
): Effect.Effect<A, SqlFailure, R> =>
  Effect.suspend(() => {
    let locked: SqlFailure | undefined
    const attempts = failing(work).pipe(
      Effect.tapError((failure) =>
        Effect.sync(() => {
          if (failure.kind === "locked") locked = failure
        })
      ),
      Effect.retry({ while: ({ kind }) => kind === "locked", schedule: again })
    )
    return deadline(attempts, within, () => locked ?? timedOut())
  })

/** Jittered, so that those who wait for one lock do not come at once. */
export const again = Schedule.jittered(Schedule.spaced("20 millis"))

/** `guarded` without a deadline. */
export const failing = <A, R>(work: Effect.Effect<A, SqlError | SqlFailure, R>): Effect.Effect<A, SqlFailure, R> =>
  Effect.catchAllCause(work, (cause): Effect.Effect<never, SqlFailure> => {
    const error = Cause.failureOption(cause)
    if (error._tag === "Some") return Effect.fail(isFailure(error.value) ? error.value : failureOf(error.value))
    if (Cause.isInterrupted(cause)) return Effect.failCause(cause as Cause.Cause<never>) // it holds no failure
    for (const defect of Cause.defects(cause)) {
      if (isOfDatabase(defect)) return Effect.fail(failureOf(defect))
    }
    return Effect.failCause(cause as Cause.Cause<never>) // it holds no failure
  })

const isFailure = (error: SqlError | SqlFailure): error is SqlFailure => "transient" in error
