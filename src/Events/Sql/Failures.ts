import { EventError } from "../../FoundationError.js"
import { hotError } from "../../internal/hotError.js"
import { contextOf, type SqlFailure } from "../../internal/Sql/Failure.js"

/** A database that does not do what it was asked for, as the error of the one who asked for it. */
export const unavailable = (what: string, failure: SqlFailure): EventError =>
  hotError(EventError, "event_error", {
    reason: failure.kind === "full" ? "storage_full" : "storage_unavailable",
    message: `${what}: ${failure.message}`,
    context: contextOf(failure)
  })

/**
 * A store that failed. Where the connection was lost on the way, or no answer came, the database may have stored it all
 * the same.
 */
export const notStored = (failure: SqlFailure): EventError =>
  failure.kind === "timeout" || failure.kind === "unreachable" || failure.code === undefined
    ? unavailable(
        "Whether the events were stored is not known (store them again with the same ids to be sure)",
        failure
      )
    : unavailable("Nothing was stored", failure)

export const notRead = (failure: SqlFailure): EventError => unavailable("The events cannot be read", failure)

export const notRemoved = (failure: SqlFailure): EventError =>
  unavailable("Not all of the events were removed", failure)

export const notOpened = (failure: SqlFailure): EventError => unavailable("The event store cannot be used", failure)
