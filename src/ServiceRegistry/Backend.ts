import type * as Effect from "effect/Effect"
import type { AlreadyRegistered, RegistryError, ServiceNotFound } from "../FoundationError.js"
import type { Metadata } from "./Metadata.js"
import type { EndReason, Process } from "./Registration.js"

/** What a process asks for: a name of its own, or a place in a group. Already validated. */
export interface Claim {
  readonly kind: "name" | "group"
  readonly name: string
  readonly process: Process
  readonly metadata: Metadata
}

/** Under what a claim was granted for a time only, and is renewed. */
export interface Lease {
  /** Whether what was granted under it counts at this very moment. Asked at each read: it reads a clock, and waits for nothing. */
  readonly holds: () => boolean
}

/** The answer to a claim. */
export interface Grant {
  /** Greater than that of every grant before it. */
  readonly token: number
  /** Without one, the grant counts until it is released. */
  readonly lease?: Lease
  /** When it was granted, by the clock of the backend: milliseconds since the epoch. That of the caller by default. */
  readonly at?: number
  /** Why the one before it of the same name has ended, where this process has not heard of that yet. */
  readonly former?: EndReason
}

/** A claim that was granted. */
export interface Granted {
  readonly kind: Claim["kind"]
  readonly name: string
  readonly token: number
}

/**
 * Who decides between processes, where the table of this process does not suffice. The registry keeps the table, and
 * answers every read from it; it asks the backend only to claim, to change and to give up.
 *
 * `claim` and `join` run uninterruptibly, so that nothing is lost between backend and scope: they must answer within a
 * deadline of their own, or make their waiting interruptible and give back what they may have claimed.
 */
export interface Backend {
  /** Claims a name, which one may have. Another's is refused with `alreadyRegistered` of Failures.ts, which redacts. */
  readonly claim: (claim: Claim) => Effect.Effect<Grant, AlreadyRegistered | RegistryError>
  /** Claims a place in a group, which any number may have. */
  readonly join: (claim: Claim) => Effect.Effect<Grant, RegistryError>
  /** Replaces the metadata, and answers with their revision, which is greater than all before it. */
  readonly update: (granted: Granted, metadata: Metadata) => Effect.Effect<number, ServiceNotFound | RegistryError>
  /** Runs exactly once for each claim that was granted, when the table has let go of it. */
  readonly release: (granted: Granted) => Effect.Effect<void>
  /** Only of a backend that several processes share. */
  readonly shared?: Shared
}

/** Of a registry that several processes share. What the others do reaches the table by its `Replica`. */
export interface Shared {
  /** Told in the step in which the table lets go of a claim of this process; its release follows. */
  readonly letGo: (granted: Granted) => void
  /** For how long what is known of the others may have been out of date: microseconds. */
  readonly staleness: () => number
  /** Why a lookup of this name of another process is not answered from what is known, if it is not. */
  readonly refusal: (name: string) => RegistryError | undefined
}
