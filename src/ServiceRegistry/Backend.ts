import type * as Effect from "effect/Effect"
import type { AlreadyRegistered, RegistryError, ServiceNotFound } from "../FoundationError.js"
import type { Metadata } from "./Metadata.js"
import type { Process } from "./Registration.js"

/** What a process asks for: a name of its own, or a place in a group. Already validated. */
export interface Claim {
  readonly kind: "name" | "group"
  readonly name: string
  readonly process: Process
  readonly metadata: Metadata
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
 * `claim` and `join` answer with a token that is greater than all before it. They run uninterruptibly, so that nothing
 * is lost between backend and scope: they must answer within a deadline of their own, or make their waiting
 * interruptible and give back what they may have claimed.
 */
export interface Backend {
  /** Claims a name, which one may have. Another's is refused with `alreadyRegistered` of Failures.ts, which redacts. */
  readonly claim: (claim: Claim) => Effect.Effect<number, AlreadyRegistered | RegistryError>
  /** Claims a place in a group, which any number may have. */
  readonly join: (claim: Claim) => Effect.Effect<number, RegistryError>
  readonly update: (granted: Granted, metadata: Metadata) => Effect.Effect<void, ServiceNotFound | RegistryError>
  /** Runs exactly once for each claim that was granted, when the table has let go of it. */
  readonly release: (granted: Granted) => Effect.Effect<void>
}
