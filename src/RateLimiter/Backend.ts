import type * as Clock from "effect/Clock"
import type { StoreUnavailable } from "../FoundationError.js"
import type { Answer } from "../internal/answer.js"
import type { Decision } from "./Decision.js"
import type { Limit } from "./Policy.js"

/** One limit that a call takes from. */
export interface Request {
  readonly limit: Limit
  readonly key: string
  readonly cost: number
  /** Units that calls ahead wait for: the call is admitted only where it leaves these, and takes only its own. */
  readonly reserved: number
}

/** The decision of a backend, which may refuse for want of room too. */
export interface Verdict extends Decision {
  /** The backend keeps as many keys as it may, and this is a new one; `retryAfter` is then a guess. */
  readonly full?: boolean
}

/**
 * Where the states of the limits are, and what takes from them. Policies, lines of those that wait, errors and telemetry
 * are above it.
 *
 * The clock is that of the calling fiber; a backend with a time of its own leaves it. The state under a name and key
 * survives a change of `maxRequests` and `interval`; under another `algorithm` it starts anew. No request of one call
 * has the name and key of another.
 */
export interface Backend {
  /** Takes from all, or, where one refuses, from none; answers each request in its place. Atomic. */
  readonly take: (
    requests: ReadonlyArray<Request>,
    clock: Clock.Clock
  ) => Answer<ReadonlyArray<Verdict>, StoreUnavailable>
  /**
   * `take` of one request, by a backend that always answers in the step in which it is asked: then no more is made than the
   * decision, for nearly all calls.
   */
  readonly takeNow?: (request: Request, clock: Clock.Clock) => Verdict
  /** What `take` would decide of the one request, with nothing changed. */
  readonly peek: (request: Request, clock: Clock.Clock) => Answer<Decision, StoreUnavailable>
  /** Forgets the state of the key. */
  readonly reset: (limit: Limit, key: string) => Answer<void, StoreUnavailable>
  /**
   * The name is about to be forgotten: forgets what is kept under it if nothing of that matters any more, and answers
   * whether it did. A backend whose states outlive this process leaves it out.
   */
  readonly forget?: (limit: Limit, clock: Clock.Clock) => boolean
}
