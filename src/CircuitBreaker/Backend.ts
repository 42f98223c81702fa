import type { StoreUnavailable } from "../FoundationError.js"
import type { Answer } from "../internal/answer.js"
import type { RuntimeFiber } from "../internal/policiesInForce.js"
import type { Move, Outcome, Permit, Rejection, State } from "./Circuit.js"
import type { Terms } from "./Policy.js"

/** What an operator does to a circuit by hand. */
export type Control = "reset" | "force_open" | "disable"

/** A circuit as it stands. */
export interface Standing {
  readonly state: State
  /** Microseconds until the next call has a chance; 0 where it has one now. */
  readonly retryAfter: number
}

/**
 * One circuit of a backend. The clock is that of the calling fiber; a backend with a time of its own leaves it. The terms
 * are those in force at the time of the step: other ones than before are adopted by it.
 */
export interface BackendCircuit {
  /**
   * Lets a call through where that takes no answer from elsewhere and leaves nothing to give back: the permit of a call
   * that is interrupted then is simply forgotten. Otherwise undefined, and `acquire` decides.
   */
  readonly pass: (terms: Terms, fiber: RuntimeFiber) => Permit | undefined
  /** Runs where it cannot be interrupted; every permit that it gives comes back by `settle`. */
  readonly acquire: (terms: Terms, fiber: RuntimeFiber) => Answer<Permit | Rejection, StoreUnavailable>
  /**
   * Takes the outcome of a call that ran for so many microseconds. Interruption is the outcome `ignore`. An opening that this
   * failure has part in lasts at least until `retryAfter` microseconds from now.
   */
  readonly settle: (
    permit: Permit,
    outcome: Outcome,
    elapsed: number,
    terms: Terms,
    fiber: RuntimeFiber,
    retryAfter: number
  ) => Answer<void>
  readonly control: (control: Control, terms: Terms, fiber: RuntimeFiber) => Answer<void, StoreUnavailable>
  readonly standing: (terms: Terms, fiber: RuntimeFiber) => Answer<Standing, StoreUnavailable>
  /** Whether nothing worth keeping is lost when the circuit is forgotten. */
  readonly idle: () => boolean
  /** The circuit is used here no more, but for calls that are in flight. */
  readonly forget?: () => void
}

/** Where the circuits are. Policies, names, calls, errors and telemetry are above it. */
export interface Backend {
  /**
   * The circuit of the name, for as long as it is used here. `moved` is to be called for each change of state, once, after
   * it was made.
   */
  readonly circuit: (name: string, terms: Terms, moved: (move: Move) => void) => BackendCircuit
  /** Takes whom to tell of changes of state of circuits that are not used here, where others use them. */
  readonly elsewhere?: (moved: (name: string, move: Move) => void) => void
}
