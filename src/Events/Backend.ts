import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EventError } from "../FoundationError.js"
import type { ConsumerStore } from "./Consumer/Store.js"
import type { Query } from "./Criteria.js"
import type { NewEvent, StoredEvent } from "./Event.js"

/** The version that an append expects its stream to be at. */
export interface Expectation {
  readonly stream: string
  readonly version: number | "none" | "exists"
}

/** What came of an append. Everything but `Stored` means that nothing was stored. */
export type Appended =
  /** The batch as it is stored now, in its order. */
  | { readonly _tag: "Stored"; readonly events: ReadonlyArray<StoredEvent> }
  /** The id of the event at this index of the batch is taken by an event of other content. */
  | { readonly _tag: "Duplicate"; readonly index: number }
  /** The stream is at this version, not at the expected one. */
  | { readonly _tag: "Conflict"; readonly actual: number }
  /** A bound of the store would be passed; `bound` says which. */
  | { readonly _tag: "Full"; readonly bound: string }

export interface Page {
  /** Frozen events that match, in the order asked for, at most as many as the limit. */
  readonly events: ReadonlyArray<StoredEvent>
  /**
   * The position up to which the answer is final: no event will ever appear at or below it that this read did not see.
   * A store in which transactions may commit in another order than that of their positions keeps it below those that
   * are still open, and answers events above it only where these are in order all the same: those of one stream, or id.
   */
  readonly head: number
}

/**
 * Where events are kept. What is asked of it is valid: events are checked, completed and frozen, criteria are
 * queries. It fails only with a store that is not available, and runs in the fiber of the caller, so that it can take
 * part in the caller's transaction.
 */
export interface Backend {
  /**
   * Stores the whole batch or nothing. An event whose id is there already (or earlier in the batch) with the same
   * content, as `sameContent` compares it, is not stored again: it is answered as it is. Where that holds for the whole
   * batch, the expectation is not looked at, so that a retried append is answered too.
   */
  readonly append: (batch: ReadonlyArray<NewEvent>, expectation?: Expectation) => Effect.Effect<Appended, EventError>
  readonly read: (query: Query) => Effect.Effect<Page, EventError>
  /** Removes the events that `read` would answer, and tells how many. Their positions and versions stay used. */
  readonly remove: (query: Query) => Effect.Effect<number, EventError>
  /**
   * Starts to listen, until the scope closes. The effect inside waits until events may have been stored since it last
   * returned, or since the listening began; it may return for nothing, but never misses any.
   */
  readonly changes: Effect.Effect<Effect.Effect<void>, EventError, Scope.Scope>
  /** The state of durable consumers. */
  readonly consumers: ConsumerStore
}
