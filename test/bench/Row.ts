import type { Effect } from "effect"

/** One way to do the work. */
export interface Contender {
  /** What does it, with its version where that is not in package.json: `"opossum"`. */
  readonly name: string
  /** The work as an Effect program does it, in a running fiber. */
  readonly effect?: Effect.Effect<unknown, unknown>
  /** The work without Effect. An answer that is a promise is awaited. */
  readonly bare?: () => unknown
  /** Whether the work was done, told by what one run gives. It is asked once, before anything is measured. */
  readonly gives: (result: unknown) => boolean
  /** The most that our time may be of this one's, which the work is measured against. */
  readonly atMost?: number
  /** Why that cannot be reached, and what the least is: a profile, or a minimal program. */
  readonly floor?: string
}

/** Work that can be done in several ways. */
export interface Row {
  readonly work: string
  /** One sentence: what one run does. */
  readonly about: string
  readonly ours: Contender
  readonly peers: ReadonlyArray<Contender>
  /** The promise of the README, in microseconds. */
  readonly promise?: number
  /** So many fibers, or calls without Effect, do the work at a time. By default 1. */
  readonly fibers?: number
  /** How many runs are measured as one: by default 200. */
  readonly perSample?: number
  /** Takes back what the runs have left, so that the work stays the same. It is not measured. */
  readonly reset?: Effect.Effect<void, unknown>
}
