import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EventError } from "../../FoundationError.js"
import type { Query } from "../Criteria.js"
import type { DeadLetter } from "./DeadLetter.js"

/** What one call of `consume` asks for: to be the active consumer of the name. */
export interface Claim {
  readonly name: string
  /** An id of this call of `consume`, and of no other. */
  readonly owner: string
  /** How long it stays active without a sign of life, in milliseconds. */
  readonly lease: number
  /** The criteria in one text for all that mean the same. */
  readonly criteria: string
  /** The position that a consumer which is new starts after. */
  readonly startAfter: number
}

export type Claimed =
  | {
      readonly _tag: "Active"
      /** Greater than any token of this name before. */
      readonly token: number
      /** The checkpoint: what is up to it has been handled. */
      readonly position: number
      /** Whether dead letters wait to be replayed. */
      readonly replays: boolean
    }
  /** Another is active: for so many milliseconds at least, unless it ends before. */
  | { readonly _tag: "Standby"; readonly remaining: number }
  /** The name belongs to a consumer of these criteria. Nothing was claimed. */
  | { readonly _tag: "OtherCriteria"; readonly criteria: string }

/** What an active consumer proves itself with. */
export interface Lease {
  readonly name: string
  readonly owner: string
  readonly token: number
  /** In milliseconds. */
  readonly lease: number
}

/** What is known of a consumer. */
export interface ConsumerState {
  readonly name: string
  /** The checkpoint: every event up to this position that the consumer is for was handled, or is a dead letter. */
  readonly position: number
  /** How far the checkpoint is behind the last position; counts events that the consumer is not for as well. */
  readonly behind: number
  /** Who is active, if anybody: host, process and a random part. */
  readonly owner: string | undefined
  /** How often a consumer of this name has become active. */
  readonly token: number
  readonly deadLetters: number
  /** The criteria as text. */
  readonly criteria: string
}

/** Which dead letters: of these positions, or all. */
export type Positions = ReadonlyArray<number> | "all"

/**
 * What a handler did cannot be committed, though the store is there: a constraint that is checked at the end, a
 * conflict with another transaction. A failure of the event, not of the store. Only within `transact`.
 */
export class TransactionRefused {
  readonly _tag = "TransactionRefused"
  constructor(readonly cause: unknown) {}
}

/**
 * The state of the consumers, kept beside the events. The time of leases is that of the store. What an active consumer
 * asks for is done only while its lease runs and its token is the last one that was given out; where it is not, it was
 * fenced, and nothing is changed. Fails only with a store that is not available or full, and does so in the end: no call
 * waits for a store for ever.
 */
export interface ConsumerStore {
  /**
   * Makes the consumer active, under a new token, where nobody is: no lease runs, or it is the owner's own. Makes the
   * consumer where there is none of this name.
   */
  readonly claim: (claim: Claim) => Effect.Effect<Claimed, EventError>
  /**
   * Moves the checkpoint to the position, never back, and has the lease start anew. `undefined` where fenced. One
   * statement, since it is asked for at each event; within `transact` it takes part in the transaction.
   */
  readonly keep: (
    lease: Lease,
    position: number
  ) => Effect.Effect<{ readonly replays: boolean } | undefined, EventError | TransactionRefused>
  /** Keeps the dead letter, and moves the checkpoint to its event, in one step. `false` where fenced. */
  readonly bury: (lease: Lease, letter: DeadLetter) => Effect.Effect<boolean, EventError>
  /**
   * The end of a replay: removes the dead letter, or replaces it with the given one, unless it was removed meanwhile.
   * `false` where fenced. Within `transact` it takes part in the transaction.
   */
  readonly settle: (
    lease: Lease,
    position: number,
    letter: DeadLetter | undefined
  ) => Effect.Effect<boolean, EventError | TransactionRefused>
  /** A dead letter that waits to be replayed, the oldest first. It waits until it is settled or removed. */
  readonly nextReplay: (name: string) => Effect.Effect<DeadLetter | undefined, EventError>
  /**
   * Ends the lease of this owner, if it has one, and moves the checkpoint to the position, never back. Wakes those that
   * stand by.
   */
  readonly release: (name: string, owner: string, position: number) => Effect.Effect<void, EventError>
  /** How many events match, up to the limit of the query. */
  readonly count: (query: Query) => Effect.Effect<number, EventError>
  /**
   * Starts to listen, until the scope closes. The effect inside waits for a release or a replay of this name; it may
   * return for nothing, and where the store cannot tell, it never returns: consumers look by themselves, too.
   */
  readonly changes: (name: string) => Effect.Effect<Effect.Effect<void>, EventError, Scope.Scope>
  /**
   * Runs the effect in a transaction, in which what its fiber does with the store's own client takes part: committed
   * where the effect succeeds, else rolled back. Left out where the store has no transactions to share.
   */
  readonly transact?: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | EventError | TransactionRefused, R>

  /**
   * Runs the effect outside of the transaction that its fiber is in. A consumer begun in one outlives it, and would read
   * what is rolled back. Left out where the store has no transactions.
   */
  readonly outside?: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

  /** The dead letters at higher positions, in order of position. */
  readonly deadLetters: (
    name: string,
    after: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<DeadLetter>, EventError>
  /** Has the dead letters wait to be replayed; answers how many they are. */
  readonly replay: (name: string, positions: Positions) => Effect.Effect<number, EventError>
  /** Removes the dead letters; answers how many they were. */
  readonly removeDeadLetters: (name: string, positions: Positions) => Effect.Effect<number, EventError>
  /** All consumers, by name. */
  readonly list: Effect.Effect<ReadonlyArray<ConsumerState>, EventError>
  /** Removes the consumer and its dead letters, unless it is active. */
  readonly forget: (name: string) => Effect.Effect<"forgotten" | "active" | "unknown", EventError>
}
