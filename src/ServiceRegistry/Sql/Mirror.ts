import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Refused } from "../../internal/json.js"
import { monotonicMicros } from "../../internal/monotonic.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import type { Listener } from "../../internal/Sql/Notices.js"
import { acceptMetadata } from "../Metadata.js"
import type { EndReason } from "../Registration.js"
import type { Content, Place, Replica, Row } from "../Replica.js"
import { asking } from "./asking.js"
import type { Desk } from "./Desk.js"
import type { Returns } from "./Returns.js"
import { Signal } from "./Signal.js"
import type { Store, StoredRow } from "./Store.js"

/** How many names are read one by one before it is all of them that are read. */
const maxPlaces = 1000

export interface MirrorOptions {
  readonly store: Store
  readonly replica: Replica
  readonly desk: Desk
  readonly returns: Returns
  readonly node: string
  readonly clock: Clock.Clock
  readonly deadline: Duration.DurationInput
  /** How often all is read while nothing is heard. */
  readonly pollInterval: Duration.DurationInput
  /** How often all is read while changes are heard of. */
  readonly compareInterval: Duration.DurationInput
}

/**
 * Keeps the table of this process like the tables of the database. Where changes are heard of, what has changed is read
 * again, after every gap everything, and now and then everything anyway.
 *
 * It only reads, and what it has read is judged by token and time of reading (`Replica`): so a read that comes late, or
 * twice, does no harm. While the database is away nothing is taken out.
 */
export class Mirror implements Listener {
  /** What may have changed since it was read. */
  private places = new Map<string, Place>()
  private isAllDirty = true
  private isListening = false
  /** Counts the reads; a confirmation waits for the read that takes in all that was dirty when it came. */
  private reads = 0
  private isReading = false
  private confirmation: { readonly upTo: number; readonly read: number } | undefined
  /** All that had changed before is in the table. */
  private completeAt: number
  private version: number | undefined
  private readonly woken = new Signal()

  constructor(private readonly options: MirrorOptions) {
    this.completeAt = this.now()
  }

  /** For how long the table may have been out of date, in microseconds. */
  readonly staleness = (): number => this.now() - this.completeAt

  readonly notified = (payload: string): void => {
    this.touch({ kind: payload.startsWith("n") ? "name" : "group", name: payload.slice(1) })
  }

  readonly resync = (): void => {
    this.isListening = true
    this.touchAll()
  }

  readonly lost = (): void => {
    this.isListening = false
    this.confirmation = undefined
    this.touchAll()
  }

  readonly heard = (upTo: number): void => {
    if (!this.isListening) return
    if (this.isReading || this.isDirty) {
      this.confirmation ??= { upTo, read: this.reads + (this.isDirty ? 1 : 0) }
    } else this.completeAt = Math.max(this.completeAt, upTo)
  }

  readonly touchAll = (): void => {
    this.isAllDirty = true
    this.woken.raise()
  }

  private touch(place: Place): void {
    if (this.places.size < maxPlaces) this.places.set(`${place.kind} ${place.name}`, place)
    else this.isAllDirty = true
    this.woken.raise()
  }

  private get isDirty(): boolean {
    return this.isAllDirty || this.places.size > 0
  }

  /** Reads what may have changed. What cannot be read stays to be read. */
  readonly read: Effect.Effect<void, SqlFailure> = Effect.suspend(() => {
    const of = this.isAllDirty ? ("all" as const) : [...this.places.values()]
    this.isAllDirty = false
    this.places.clear()
    const began = this.now()
    const number = ++this.reads
    this.isReading = true
    return this.readThese(of, began).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          const { confirmation } = this
          if (of === "all") this.completeAt = Math.max(this.completeAt, began)
          if (confirmation !== undefined && confirmation.read <= number) {
            this.completeAt = Math.max(this.completeAt, confirmation.upTo)
            this.confirmation = undefined
          }
        })
      ),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          this.isReading = false
          if (exit._tag === "Failure") this.isAllDirty = true
        })
      )
    )
  })

  private readThese(of: "all" | ReadonlyArray<Place>, began: number): Effect.Effect<void, SqlFailure> {
    const { deadline, desk, node, replica, returns, store } = this.options
    return Effect.gen(this, function* () {
      const version = yield* asking(store.version, deadline)
      if (version !== undefined && version === this.version) return
      const stored = yield* asking(store.read(of), deadline)
      const seen = { began, of, rows: stored.map((row) => rowOf(row, node)) }
      const missing = replica.missing(seen)
      const reasons = missing.length === 0 ? [] : yield* asking(store.reasons(missing), deadline)
      replica.apply(seen, new Map(reasons.map(({ reason, token }) => [token, reasonOf(reason)])))
      // Rows of this process that nobody holds: of claims whose answer was lost.
      for (const row of stored) if (row.node === node && !desk.knows(row)) returns.add(row.token)
      if (of === "all") this.version = version
    })
  }

  /** Follows the database until it is interrupted. */
  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    const { compareInterval, pollInterval } = this.options
    if (!this.isListening) {
      // Woken where the listening begins again.
      return Effect.zipRight(
        Effect.raceFirst(this.woken.wait, Effect.sleep(pollInterval)),
        Effect.suspend(() => {
          this.isAllDirty = true
          return Effect.ignore(this.read)
        })
      )
    }
    const compare = Effect.sync(() => {
      this.isAllDirty = true
      this.version = undefined
    })
    if (this.isDirty && this.isListening) return Effect.catchAll(this.read, () => Effect.sleep("200 millis"))
    return Effect.raceFirst(this.woken.wait, Effect.delay(compare, compareInterval))
  }).pipe(Effect.forever)

  private now(): number {
    return monotonicMicros(this.options.clock)
  }
}

const rowOf = (stored: StoredRow, node: string): Row => ({
  kind: stored.kind,
  name: stored.name,
  token: stored.token,
  revision: stored.revision,
  at: stored.at,
  isOwn: stored.node === node,
  content: () => contentOf(stored)
})

/** What somebody wrote into the table by hand may be anything: what cannot be read is not there. */
const contentOf = ({ address, metadata }: StoredRow): Content | undefined => {
  try {
    const accepted = acceptMetadata(JSON.parse(metadata))
    return accepted instanceof Refused ? undefined : { address: new URL(address), metadata: accepted }
  } catch {
    return undefined
  }
}

const reasonOf = (reason: string): EndReason => (reason === "closed" || reason === "expired" ? reason : "lost")
