import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { EventError } from "../../FoundationError.js"
import { deadline } from "../../internal/deadline.js"
import { clockOf, monotonicMicros } from "../../internal/monotonic.js"
import type { Patience } from "./Patience.js"
import type { ConsumerStore, Lease, TransactionRefused } from "./Store.js"

/**
 * Which part of its lease a consumer makes use of, where it cannot renew it: so that its handler has come to an end when
 * another begins, whose store may count a little faster.
 */
const used = 0.9

/** The lease is over, or was given to another: whoever goes on works without a right to. */
export class Lost {
  readonly _tag = "Lost"
}

/** The time for which one consumer is the active one: its lease, and how far it has come. */
export class Tenure {
  /** The position up to which everything was handled. */
  position: number
  /** How many events were handled since the checkpoint was written. */
  unsaved = 0
  /** Whether dead letters may wait to be replayed. */
  replays: boolean
  /** From when the lease runs at least: before it was asked for, in monotonic microseconds. */
  private since: number

  constructor(
    readonly lease: Lease,
    private readonly store: ConsumerStore,
    private readonly patience: Patience,
    start: { readonly since: number; readonly position: number; readonly replays: boolean }
  ) {
    this.since = start.since
    this.position = start.position
    this.replays = start.replays
  }

  /**
   * Writes the checkpoint, and so renews the lease. While the store does not answer it tries again, but not past the end
   * of the lease, where another may have begun.
   */
  readonly save: Effect.Effect<void, Lost> = this.saving(0)

  private saving(failures: number): Effect.Effect<void, Lost> {
    return Effect.suspend(() => this.keep(this.position)).pipe(
      Effect.map((confirm) => confirm()),
      Effect.catchTag("TransactionRefused", Effect.die), // there is none
      Effect.catchTag("EventError", (error) =>
        Effect.flatMap(this.left, (left) =>
          Effect.zipRight(this.patience.wait(error, failures, Math.ceil(left / 1000)), this.saving(failures + 1))
        )
      )
    )
  }

  /**
   * Writes the checkpoint at this position, in one attempt, as a part of the transaction where there is one. To be
   * confirmed when it is committed.
   */
  keep(position: number): Effect.Effect<() => void, Lost | EventError | TransactionRefused> {
    return Effect.withFiberRuntime((fiber) => {
      const asked = monotonicMicros(clockOf(fiber))
      const left = this.leftAt(asked)
      if (left <= 0) return Effect.fail(new Lost())
      const { unsaved } = this
      return Effect.flatMap(
        deadline(this.store.keep(this.lease, position), Duration.millis(left / 1000), () => new Lost()),
        (kept) =>
          kept === undefined
            ? Effect.fail(new Lost())
            : Effect.succeed(() => {
                this.since = Math.max(this.since, asked)
                this.unsaved -= unsaved
                if (kept.replays) this.replays = true
              })
      )
    })
  }

  /** Renews the lease at a third of its length, a little earlier at random, so that not all come at once. Ends when it is lost. */
  readonly renewing: Effect.Effect<never, Lost> = Effect.suspend(() => {
    const third = (this.lease.lease * 1000) / 3
    return Effect.flatMap(Effect.zip(Random.next, now), ([random, now]) => {
      const due = this.since + third * (1 - 0.2 * random)
      // A checkpoint that was written meanwhile has renewed it.
      const next = due > now ? Effect.sleep(Duration.millis(Math.ceil((due - now) / 1000))) : this.save
      return Effect.zipRight(next, this.renewing)
    })
  })

  /** Fails when the lease is over: another may be at work, though nobody could say so to a process that stood still. */
  readonly held: Effect.Effect<void, Lost> = Effect.withFiberRuntime((fiber) =>
    this.leftAt(monotonicMicros(clockOf(fiber))) > 0 ? Effect.void : Effect.fail(new Lost())
  )

  /** What is left of the lease to be used, in microseconds. */
  private readonly left: Effect.Effect<number> = Effect.map(
    Effect.suspend(() => now),
    (now) => Math.max(0, this.leftAt(now))
  )

  private leftAt(now: number): number {
    return this.since + this.lease.lease * 1000 * used - now
  }
}

const now = Effect.map(Clock.clockWith(Effect.succeed), monotonicMicros)
