import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { monotonicMicros, waitOf } from "../../internal/monotonic.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import type { Lease } from "../Backend.js"
import type { EndReason } from "../Registration.js"
import type { Replica } from "../Replica.js"
import { asking } from "./asking.js"
import * as Arithmetic from "./Lease.js"
import type { Store } from "./Store.js"

/** The lease that all registrations of this process share. One that has run out stays so; another takes its place. */
export class SharedLease implements Lease {
  constructor(
    private readonly clock: Clock.Clock,
    private readonly terms: Arithmetic.Terms,
    sentAt: number
  ) {
    this.until = Arithmetic.validUntil(terms, sentAt)
  }

  until: number

  readonly holds = (): boolean => Arithmetic.isValid(this.until, monotonicMicros(this.clock))

  renew(sentAt: number): void {
    this.until = Arithmetic.renewed(this.terms, this.until, sentAt, monotonicMicros(this.clock))
  }

  end(): void {
    this.until = Number.NEGATIVE_INFINITY
  }
}

export interface SessionOptions {
  readonly store: Store
  readonly replica: Replica
  readonly node: string
  readonly terms: Arithmetic.Terms
  readonly clock: Clock.Clock
  /** Has what has lapsed granted anew under this lease. Runs as soon as the database has granted the lease. */
  readonly resume: (lease: SharedLease) => Effect.Effect<void, SqlFailure>
  /** Others were taken out. */
  readonly reaped: () => void
}

/** The lease of this process: one row, which one statement renews, whatever the number of registrations. */
export class Session {
  /** The one in force, or the one that was last. */
  lease: SharedLease
  /** When it was last renewed, and since when without a break. */
  private sentAt = 0
  private steadySince = 0

  constructor(private readonly options: SessionOptions) {
    this.lease = new SharedLease(options.clock, options.terms, 0)
    this.lease.end()
  }

  /** Enters this process in the database. */
  readonly open: Effect.Effect<void, SqlFailure> = Effect.suspend(() => {
    const { node, store, terms } = this.options
    const sentAt = this.now()
    return Effect.map(asking(store.open(node, terms.length), waitOf(terms.length)), () => {
      this.lease = new SharedLease(this.options.clock, terms, sentAt)
      this.sentAt = sentAt
      this.steadySince = sentAt
    })
  })

  /** Renews in time, gives up in time, and begins anew, until it is interrupted. */
  readonly run: Effect.Effect<never> = Effect.suspend(() => this.step).pipe(Effect.forever)

  private readonly step = Effect.gen(this, function* () {
    const { replica, terms } = this.options
    const after = Arithmetic.renewAfter(terms, yield* Random.next)
    yield* Effect.sleep(waitOf(Math.min(this.sentAt + after, this.lease.until) - this.now()))
    const renewed = yield* this.renewal
    if (!renewed) return yield* this.recover
    if (replica.lapsed().length > 0) yield* Effect.ignore(this.options.resume(this.lease))
    // After an outage all others had no chance to renew. They have it while this process does not judge them.
    if (this.now() - this.steadySince < terms.length) return
    const reaped = yield* Effect.orElseSucceed(asking(this.options.store.reap), () => 0)
    if (reaped > 0) this.options.reaped()
  })

  /** Renews, as often as it takes while the lease holds. False where it is over. */
  private readonly renewal = Effect.gen(this, function* () {
    const { node, store, terms } = this.options
    for (let failures = 0; this.lease.holds(); failures++) {
      const sentAt = this.now()
      const within = waitOf(Arithmetic.attemptWithin(terms, this.lease.until, sentAt))
      const answer = yield* Effect.option(asking(store.renew(node, terms.length), within))
      if (answer._tag === "Some" && !answer.value) {
        this.lapse("lost")
        return false
      }
      if (answer._tag === "Some") {
        this.lease.renew(sentAt)
        if (!this.lease.holds()) break
        this.sentAt = sentAt
        return true
      }
      const after = Arithmetic.retryAfter(terms, failures, yield* Random.next)
      yield* Effect.sleep(waitOf(Math.min(after, this.lease.until - this.now())))
    }
    this.lapse("expired")
    return false
  })

  /** Gives up all that was granted. It counts no more since the lease has run out; now everybody is told. */
  private lapse(reason: EndReason): void {
    this.lease.end()
    this.options.replica.lapse(this.lease, reason)
  }

  private readonly recover = Effect.gen(this, function* () {
    const { terms } = this.options
    for (let failures = 0; ; failures++) {
      const done = yield* Effect.option(
        Effect.zipRight(
          this.open,
          Effect.suspend(() => this.options.resume(this.lease))
        )
      )
      if (done._tag === "Some" || this.lease.holds()) return
      yield* Effect.sleep(waitOf(Arithmetic.retryAfter(terms, failures, yield* Random.next)))
    }
  })

  /** Takes this process out of the database, if that can be done at once. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { node, store } = this.options
    this.lapse("closed")
    return Effect.ignore(asking(store.close(node), "2 seconds"))
  })

  private now(): number {
    return monotonicMicros(this.options.clock)
  }
}
