import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type { StoreUnavailable } from "../FoundationError.js"
import type { Decision } from "./Algorithm.js"
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

/** An answer in the same step where the backend can, for speed; else an effect. */
export type Answer<A> = A | Effect.Effect<A, StoreUnavailable>

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
  readonly take: (requests: ReadonlyArray<Request>, clock: Clock.Clock) => Answer<ReadonlyArray<Verdict>>
  /** What `take` would decide of the one request, with nothing changed. */
  readonly peek: (request: Request, clock: Clock.Clock) => Answer<Decision>
  /** Forgets the state of the key. */
  readonly reset: (limit: Limit, key: string) => Answer<void>
}
