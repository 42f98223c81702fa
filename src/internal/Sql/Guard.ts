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

export interface Again {
  /** Which failures another attempt may overcome: by default those of a database that others hold locked. */
  readonly while?: (failure: SqlFailure) => boolean
  /** By default some 20 ms between attempts. */
  readonly schedule?: Schedule.Schedule<unknown>
}

/** `guarded`, and again as `whileLocked` does. Where a lock took all the time, the failure says so. */
export const insisting = <A, R>(
  work: Effect.Effect<A, SqlError | SqlFailure, R>,
  within: Duration.DurationInput = defaultDeadline,
  again?: Again
): Effect.Effect<A, SqlFailure, R> =>
  Effect.suspend(() => {
    let locked: SqlFailure | undefined
    const attempt = Effect.tapError(failing(work), (failure) =>
      Effect.sync(() => {
        if (failure.kind === "locked") locked = failure
      })
    )
    return deadline(whileLocked(attempt, again), within, () => locked ?? timedOut())
  })

/** Does the work again as long as others hold the database locked, until it is interrupted. */
export const whileLocked = <A, R>(
  work: Effect.Effect<A, SqlError | SqlFailure, R>,
  { schedule = rests, while: mayPass = isLocked }: Again = {}
): Effect.Effect<A, SqlFailure, R> => {
  const attempt = failing(work)
  // Nearly all work is done at the first attempt, which the driver of a schedule would cost some µs.
  return Effect.catchIf(attempt, mayPass, () => Effect.retry(attempt, { while: mayPass, schedule }))
}

const isLocked = ({ kind }: SqlFailure): boolean => kind === "locked"

/** Jittered, so that those who wait for one lock do not come at once. */
const rests = Schedule.jittered(Schedule.spaced("20 millis"))

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
