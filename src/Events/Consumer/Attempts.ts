import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { CorrelationId } from "../../CorrelationId.js"
import { EventError } from "../../FoundationError.js"
import type { StoredEvent } from "../Event.js"
import type { Settings } from "./Options.js"
import { type ConsumerStore, TransactionRefused } from "./Store.js"

/** What the handler failed or died with. */
class Failed {
  readonly _tag = "Failed"
  constructor(readonly cause: Cause.Cause<unknown>) {}
}

/** What became of an event in all of its attempts: the cause is that of the last, where it failed. */
export interface Outcome {
  readonly attempts: number
  readonly failure: Cause.Cause<unknown> | undefined
}

/**
 * Gives the event to the handler, until it succeeds or its retries are used up. `commit` belongs to a success: in a
 * transaction it is committed or rolled back with it. What it fails with, and a store that fails in a transaction, comes
 * out as an error; what the handler fails with does not.
 */
export const attempted = <R, E>(
  { handler, retry, transactional }: Settings<R>,
  { transact }: ConsumerStore,
  event: StoredEvent,
  commit: Effect.Effect<void, E | TransactionRefused>,
  retrying: (attempt: number) => void
): Effect.Effect<Outcome, E | EventError, R> => {
  const handled = Effect.suspend(() => handler(event)).pipe(
    CorrelationId.with(event.correlationId),
    // Interruption from outside does not come here: it ends the fiber.
    Effect.catchAllCause((cause) => Effect.fail(new Failed(cause))),
    Effect.zipRight(commit)
  )
  const attempt: Effect.Effect<void, Failed | E | EventError, R> = Effect.mapError(
    transactional && transact !== undefined ? transact(handled) : handled,
    (error) => (error instanceof TransactionRefused ? new Failed(Cause.fail(error.cause)) : error)
  )
  return Effect.catchAll(Effect.as(attempt, once), (error) =>
    error instanceof Failed ? again(error, attempt, retry, retrying) : Effect.fail(error)
  )
}

const once: Outcome = { attempts: 1, failure: undefined }

const again = <R, E>(
  first: Failed,
  attempt: Effect.Effect<void, Failed | E, R>,
  retry: Schedule.Schedule<unknown, unknown, R>,
  retrying: (attempt: number) => void
): Effect.Effect<Outcome, E, R> =>
  Effect.gen(function* () {
    const driver = yield* Schedule.driver(retry)
    let failed = first
    for (let attempts = 1; ; attempts++) {
      const { cause } = failed
      // The driver waits, and fails where the schedule has ended.
      const goesOn = isFinal(cause) ? false : yield* Effect.isSuccess(driver.next(Cause.squash(cause)))
      if (!goesOn) return { attempts, failure: cause }
      retrying(attempts + 1)
      const exit = yield* Effect.matchEffect(attempt, {
        onFailure: (error) => (error instanceof Failed ? Effect.succeed(error) : Effect.fail(error)),
        onSuccess: () => Effect.succeed(undefined)
      })
      if (exit === undefined) return { attempts: attempts + 1, failure: undefined }
      failed = exit
    }
  })

/** An event that cannot be read, or that the handler wants to store and that is none, is so at every attempt. */
const isFinal = (cause: Cause.Cause<unknown>): boolean => {
  const error = Cause.squash(cause)
  return error instanceof EventError && error.reason === "invalid_event"
}
