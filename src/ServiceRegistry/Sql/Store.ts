import type { SqlError } from "@effect/sql/SqlError"
import type * as Effect from "effect/Effect"
import type { Place } from "../Replica.js"

/** A claim on its way to the database. */
export interface Asked {
  /** Tells it from every other claim of this process; a later one has a greater number. */
  readonly claim: number
  readonly kind: "name" | "group"
  readonly name: string
  readonly address: string
  /** As JSON. */
  readonly metadata: string
}

/** What was granted. */
export interface GrantedRow {
  readonly claim: number
  readonly token: number
  /** When, by the database: milliseconds since the epoch. */
  readonly at: number
}

/** Who has a name. */
export interface HolderRow {
  readonly name: string
  readonly metadata: string
  /** Whether its lease has run out, by the database. */
  readonly expired: boolean
}

/** A registration or a membership. */
export interface StoredRow extends Asked, GrantedRow {
  /** The process that it is of. */
  readonly node: string
  readonly revision: number
}

/** What is asked of a database: one statement each, or a transaction that stands alone. */
export interface Store {
  /** Fails where a table has another shape, or a right is missing. */
  readonly probe: Effect.Effect<void, SqlError>
  /** Enters this process, or grants it a lease anew. */
  readonly open: (node: string, micros: number) => Effect.Effect<void, SqlError>
  /** Extends a lease. False if it has run out. */
  readonly renew: (node: string, micros: number) => Effect.Effect<boolean, SqlError>
  /**
   * What the process has, if anything, which is marked as of this claim: one that was sent before, and comes to the
   * database only now, changes nothing of it.
   */
  readonly own: (node: string, claim: number) => Effect.Effect<ReadonlyArray<GrantedRow>, SqlError>
  /** Takes out the process, and all that it has. */
  readonly close: (node: string) => Effect.Effect<void, SqlError>
  /** Grants each claim whose name nobody has, or this process by an earlier claim; no name comes twice. */
  readonly claim: (node: string, asked: ReadonlyArray<Asked>) => Effect.Effect<ReadonlyArray<GrantedRow>, SqlError>
  readonly holders: (names: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<HolderRow>, SqlError>
  /** Frees those of the names whose holder's lease has run out. */
  readonly evict: (names: ReadonlyArray<string>) => Effect.Effect<void, SqlError>
  /** Takes out the processes whose lease has run out, with all that they had. Answers how many. */
  readonly reap: Effect.Effect<number, SqlError>
  /** Replaces the metadata, and answers with their revision, if the token is there. */
  readonly update: (token: number, metadata: string) => Effect.Effect<number | undefined, SqlError>
  readonly release: (tokens: ReadonlyArray<number>) => Effect.Effect<void, SqlError>
  /** Releases claims whose answer never came. */
  readonly abandon: (node: string, claims: ReadonlyArray<number>) => Effect.Effect<void, SqlError>
  readonly read: (of: "all" | ReadonlyArray<Place>) => Effect.Effect<ReadonlyArray<StoredRow>, SqlError>
  /** A number that changes with what `read` answers, where that is cheaper to ask for. */
  readonly version: Effect.Effect<number | undefined, SqlError>
  readonly reasons: (
    tokens: ReadonlyArray<number>
  ) => Effect.Effect<ReadonlyArray<{ readonly token: number; readonly reason: string }>, SqlError>
}
