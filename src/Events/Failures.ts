import { EventError, VersionConflict } from "../FoundationError.js"
import { hotError } from "../internal/hotError.js"
import type { Refused } from "../internal/json.js"
import type { Expectation } from "./Backend.js"
import type { NewEvent, StoredEvent } from "./Event.js"

/** What each failure says: written once, for every backend. */

export const invalidEvent = (input: unknown, refused: Refused, index?: number): EventError => {
  const which = typeOf(input)
  const what =
    index === undefined ? `Event${which} was not stored` : `Nothing was stored: event${which} at index ${index}`
  return hotError(EventError, "event_error", {
    reason: "invalid_event",
    message: `${what}: ${refused}`,
    context: { path: refused.path, ...(index === undefined ? {} : { index }) }
  })
}

/** The type of what was to be an event, quoted, as far as it can be told. */
const typeOf = (input: unknown): string => {
  try {
    const type: unknown = typeof input === "object" && input !== null ? Reflect.get(input, "type") : undefined
    return typeof type === "string" ? ` ${JSON.stringify(type.slice(0, 64))}` : ""
  } catch {
    return ""
  }
}

export const invalidBatch = (problem: string): EventError =>
  hotError(EventError, "event_error", {
    reason: "invalid_event",
    message: `Nothing was stored: ${problem}`,
    context: {}
  })

export const unreadableEvent = ({ position, id, type }: StoredEvent, problem: string): EventError =>
  hotError(EventError, "event_error", {
    reason: "invalid_event",
    message: `Event ${JSON.stringify(type.slice(0, 64))} at position ${position} cannot be read: ${problem}`,
    context: { position, id, type }
  })

export const invalidCriteria = (refused: Refused): EventError =>
  hotError(EventError, "event_error", {
    reason: "invalid_criteria",
    message: `Invalid criteria: ${refused}`,
    context: { criterion: refused.path }
  })

export const invalidConsumer = (refused: Refused): EventError =>
  hotError(EventError, "event_error", {
    reason: "invalid_consumer",
    message: `Invalid consumer: ${refused}`,
    context: { option: refused.path }
  })

/** A bound on what is kept of consumers; `what` says of what. */
export const consumersFull = (what: string): EventError =>
  hotError(EventError, "event_error", {
    reason: "storage_full",
    message: `Nothing was stored: there are ${what} already, and the store keeps no more. Remove what is no longer needed`,
    context: { bound: what }
  })

export const duplicateEvent = (event: NewEvent | undefined): EventError =>
  hotError(EventError, "event_error", {
    reason: "duplicate_event",
    message: `Nothing was stored: the id ${JSON.stringify(event?.id)} belongs to an event of other content. Give each event an id of its own, and repeat an id only to retry the same event`,
    context: { id: event?.id, type: event?.type }
  })

export const storageFull = (bound: string): EventError =>
  hotError(EventError, "event_error", {
    reason: "storage_full",
    message: `Nothing was stored: the store would pass its bound of ${bound}. What it holds is kept; prune what is no longer needed, or give the layer a higher bound`,
    context: { bound }
  })

export const versionConflict = ({ stream, version }: Expectation, actual: number): VersionConflict => {
  const expected = { none: "no events", exists: "events" }[String(version)] ?? `version ${version}`
  const found = actual === 0 ? "has none" : `is at version ${actual}`
  return hotError(VersionConflict, "version_conflict", {
    message: `Nothing was stored: stream ${JSON.stringify(stream)} ${found}, expected ${expected}. Read the stream again, decide anew and append to the version found`,
    stream,
    expected: version,
    actual,
    context: {}
  })
}
