import type * as Clock from "effect/Clock"
import type * as Scope from "effect/Scope"
import type { Lease } from "./Backend.js"
import type { Seat } from "./Group.js"
import type { Process, Registration } from "./Registration.js"

/** What a granted claim is until its end. */
interface Held {
  readonly name: string
  readonly process: Process
  token: number
  lease: Lease | undefined
  /** Of the metadata, from 1; a lower one that is read later is out of date. */
  revision: number
  readonly clock: Clock.Clock
  /** When it was entered, on the monotonic clock. */
  since: number
  /**
   * - `"in"`: it is in the table.
   * - `"lapsed"`: it is out of the table, as its lease was lost; its scope is open, so that it may be granted anew.
   * - `"over"`: it is out for good.
   */
  state: "in" | "lapsed" | "over"
  /** Whether it is a claim of this process, which has a scope here and a lease. */
  readonly isOwn: boolean
  /** Of a fiber, where the release is: a child of the caller's scope, so that its end leaves nothing behind there. */
  slot: Scope.CloseableScope | undefined
}

export interface HeldName extends Held {
  readonly kind: "name"
  registration: Registration
}

export interface HeldSeat extends Held {
  readonly kind: "group"
  seat: Seat
}

export type Hold = HeldName | HeldSeat
