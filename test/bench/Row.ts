import type { Effect, Runtime } from "effect"

export type Work<R = never> = Effect.Effect<unknown, unknown, R> | (() => Effect.Effect<unknown, unknown, R>)

/** One way to do the work. */
export interface Contender<R = never> {
  /** What does it, with its version where that is not in package.json: `"opossum"`. */
  readonly name: string
  /** The work as an Effect program does it, in a running fiber: one effect, or a function that makes one for each run. */
  readonly effect?: Work<R>
  /**
   * The same in a runtime of its own, as another version of Effect has one: so many runs, so many of them at a time. Gives
   * what the last run gave.
   */
  readonly sample?: (runs: number, fibers: number) => Promise<unknown>
  /** The work without Effect. An answer that is a promise is awaited. */
  readonly bare?: () => unknown
  /** Does the work once where it cannot be timed from here, as in another process, and tells the microseconds it took. */
  readonly takes?: () => Promise<number>
  /** Whether the work was done, told by what one run gives, or by what it left. It is asked once, before anything is measured. */
  readonly gives: (result: unknown) => boolean | Promise<boolean>
  /** The most that our time may be of this one's, which the work is measured against. */
  readonly atMost?: number
  /** Why that cannot be reached, and what the least is: a profile, or a minimal program. */
  readonly floor?: string
}

/** Work that can be done in several ways. */
export interface Row<R = never> {
  readonly work: string
  /** One sentence: what one run does. */
  readonly about: string
  readonly ours: Contender<R>
  readonly peers: ReadonlyArray<Contender<R>>
  /** The promise of the README, in microseconds. */
  readonly promise?: number
  /** So many fibers, or calls without Effect, do the work at a time. By default 1. */
  readonly fibers?: number
  /** How many runs are measured as one: by default 200. */
  readonly perSample?: number
  /** How often the contenders take turns: by default 15 times. */
  readonly rounds?: number
  /** Takes back what the runs have left, so that the work stays the same. It is not measured. */
  readonly reset?: Effect.Effect<void, unknown, R>
  /** What the effects run in: by default nothing but Effect's own. See {@link inRuntime}. */
  readonly runtime?: Runtime.Runtime<R>
}

/**
 * Rows whose effects need services, which they find in the fiber as in a program: to provide them in each run would cost
 * more than many a run does.
 */
export const inRuntime = <R>(runtime: Runtime.Runtime<R>, rows: ReadonlyArray<Row<R>>): ReadonlyArray<Row> =>
  // Who runs the effects of a row takes its runtime, and that has all that they need.
  rows.map((row) => ({ ...row, runtime })) as ReadonlyArray<unknown> as ReadonlyArray<Row>
