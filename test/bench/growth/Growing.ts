import type { Effect, Scope } from "effect"

/** Something that holds more and more entries. */
export interface Growing {
  /** What it is, and of what entries: `"Config, keys in one section"`. */
  readonly holds: string
  /** The sizes that it is measured at, where not all: its bound may be lower. */
  readonly sizes?: ReadonlyArray<number>
  /** Why there are not more entries. */
  readonly bound?: string
  /** What is in a file, and not on the heap: the bytes of the file, by how many entries were made. */
  readonly files?: ReadonlyMap<number, number>
  /** One with so many entries, which is released with the scope. */
  readonly make: (size: number) => Effect.Effect<ReadonlyArray<Call>, unknown, Scope.Scope>
}

/** A call that finds its way among the entries. */
export interface Call {
  readonly name: string
  /** What design.md, or the structure behind it, says of its cost. */
  readonly order: "O(1)" | "O(log n)" | "O(n)"
  /** The entry that is meant, by its number. */
  readonly run: (entry: number) => Effect.Effect<unknown, unknown>
  readonly gives: (result: unknown) => boolean
  /** Takes back what the calls have left, so that the size stays. */
  readonly reset?: Effect.Effect<unknown, unknown>
}

/** So many of the same. */
export const upTo = (size: number): ReadonlyArray<number> => Array.from({ length: size }, (_, at) => at)
