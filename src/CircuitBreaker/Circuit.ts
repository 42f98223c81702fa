import { type Because, History, type Now, type Trip } from "./Trip.js"

export type State = "closed" | "open" | "half_open" | "forced_open" | "disabled"

/** How a call that was let through has ended. What is ignored counts neither way. */
export type Outcome = "success" | "failure" | "ignore"

export type TransitionReason =
  | Because["reason"]
  | "reset_timeout"
  | "probes_succeeded"
  | "forced_open"
  | "disabled"
  | "reset"
  // What has come of changes elsewhere that were not heard of one by one.
  | "synchronized"

export interface Move {
  readonly from: State
  readonly to: State
  readonly reason: TransitionReason
}

/** The part of a policy that decides. */
export interface Rules {
  readonly trip: Trip
  /** How many calls a half-open circuit lets through; all of them must succeed for it to close. */
  readonly probes: number
  /** After so many microseconds a probe may be replaced; without it, after the delay of the opening. */
  readonly lease: number | undefined
}

/** How long each opening lasts, in microseconds: always finite and above 0. */
export interface Delays {
  /** The length of the opening that begins now, one step further than the last. */
  readonly next: (now: number) => number
  /** What `next` answered last, or what it is expected to. */
  readonly last: number
  /** Back to the first step. */
  readonly reset: () => void
}

/** A call that was let through. It belongs to one stretch of one state: its result counts only within that. */
export class Permit {
  constructor(
    readonly generation: number,
    /** When another may take the place of this probe; none for a call that is no probe. */
    readonly leaseEnds: number | undefined
  ) {}
}

/** A call that was not let through. */
export class Rejection {
  constructor(
    readonly state: "open" | "half_open" | "forced_open",
    /** Microseconds until the next call has a chance. */
    readonly retryAfter: number,
    readonly because: Because | undefined
  ) {}
}

/**
 * A timer counts whole milliseconds and may fire up to one early: a call that waited for `retryAfter` by a timer is let
 * through, not rejected for the last few microseconds.
 */
export const timerTolerance = 1000

/**
 * One circuit: what it has seen, and what it decides. Plain data that is changed in one synchronous step at a time, with
 * no knowledge of effects, timers or names; time comes as an argument. Each step changes the state at most once.
 */
export class Circuit {
  state: State = "closed"
  /** The change of state that the last step made. Whoever runs the step takes it. */
  moved: Move | undefined
  private because: Because | undefined
  private openUntil = 0
  /** Until when the failures that were counted ask to be left alone. */
  private askedUntil = 0
  private delay = 0
  private generation = 0
  /** Calls of a closed or disabled circuit need no identity, so one permit serves for all of a generation. */
  private shared = new Permit(0, undefined)
  /** The probes that are out, the oldest first. */
  private probes: Array<Permit> = []
  private succeeded = 0
  private history: History

  constructor(
    private rules: Rules,
    private delays: Delays
  ) {
    this.history = new History(rules.trip)
  }

  /** A permit that need not be given back, which is any of a closed or disabled circuit. */
  pass(): Permit | undefined {
    return this.state === "closed" || this.state === "disabled" ? this.shared : undefined
  }

  acquire(now: Now): Permit | Rejection {
    switch (this.state) {
      case "closed":
      case "disabled":
        return this.shared
      case "forced_open":
        return new Rejection("forced_open", this.delays.last, undefined)
      default: {
        const time = now()
        this.advance(time)
        return this.state === "open"
          ? new Rejection("open", this.openUntil - time, this.because)
          : this.admitProbe(time)
      }
    }
  }

  /**
   * Takes the outcome of a call that ran for `elapsed` microseconds. Late results, of an earlier generation, are dropped. An
   * opening that this failure has part in lasts at least until `retryAfter` microseconds from now.
   */
  settle(permit: Permit, outcome: Outcome, elapsed: number, now: Now, retryAfter = 0): void {
    if (permit.generation !== this.generation) return
    if (outcome === "success") this.askedUntil = 0
    else if (retryAfter > 0) this.askedUntil = Math.max(this.askedUntil, now() + retryAfter)
    const slow = this.isSlow(elapsed)
    if (this.state === "half_open") this.settleProbe(permit, outcome, slow, now)
    else if (this.state === "closed" && outcome !== "ignore") {
      const because = this.history.add(this.rules.trip, outcome === "failure", slow, now)
      if (because !== undefined) this.open(because, now())
    }
  }

  /** Brings an open circuit whose time is over to half-open; for those who only look. */
  advance(time: number): void {
    if (this.state === "open" && time > this.openUntil - timerTolerance) this.move("half_open", "reset_timeout")
  }

  /** Microseconds until the next call has a chance; 0 where it has one now. */
  retryAfter(time: number): number {
    switch (this.state) {
      case "closed":
      case "disabled":
        return 0
      case "forced_open":
        return this.delays.last
      case "open":
        return Math.max(0, this.openUntil - time)
      case "half_open":
        return this.hasPlace(time) ? 0 : this.firstLeaseEnd() - time
    }
  }

  forceOpen(): void {
    if (this.state !== "forced_open") this.move("forced_open", "forced_open")
  }

  disable(): void {
    if (this.state !== "disabled") this.move("disabled", "disabled")
  }

  /** Closed, with nothing remembered; results of calls that are out no longer count. */
  reset(): void {
    if (this.state !== "closed") this.move("closed", "reset")
    else {
      this.renew()
      this.history.clear()
    }
    this.delays.reset()
    this.askedUntil = 0
  }

  /**
   * Goes on from the state that another circuit was in; for one that was made just now. What was half-open is open until
   * this very time: its probes are not known here.
   */
  resume(state: State, openUntil: number, because: Because | undefined): void {
    this.state = state === "half_open" ? "open" : state
    if (this.state !== "open") return
    this.openUntil = openUntil
    this.because = because
    this.delay = this.delays.last
  }

  /** Puts other rules in force. The state and, where the new trip can judge it, what was counted stay. */
  adopt(rules: Rules, delays: Delays = this.delays): void {
    this.rules = rules
    this.delays = delays
    if (!this.history.fits(rules.trip)) this.history = new History(rules.trip)
    // With fewer probes than have succeeded already no other would be let through, and none could close the circuit.
    if (this.state === "half_open" && this.succeeded >= rules.probes) this.close()
  }

  private isSlow(elapsed: number): boolean {
    const trip = this.rules.trip
    return trip.type === "rate" && trip.slow !== undefined && elapsed >= trip.slow.micros
  }

  private hasPlace(time: number): boolean {
    return this.probes.length + this.succeeded < this.rules.probes || this.firstLeaseEnd() <= time
  }

  private firstLeaseEnd(): number {
    let first = Number.POSITIVE_INFINITY
    for (const { leaseEnds } of this.probes) if (leaseEnds !== undefined && leaseEnds < first) first = leaseEnds
    return first
  }

  private admitProbe(time: number): Permit | Rejection {
    if (!this.hasPlace(time)) return new Rejection("half_open", this.firstLeaseEnd() - time, this.because)
    if (this.probes.length + this.succeeded >= this.rules.probes) {
      const first = this.firstLeaseEnd()
      this.probes.splice(
        this.probes.findIndex(({ leaseEnds }) => leaseEnds === first),
        1
      )
    }
    const probe = new Permit(this.generation, time + (this.rules.lease ?? this.delay))
    this.probes.push(probe)
    return probe
  }

  private settleProbe(probe: Permit, outcome: Outcome, slow: boolean, now: Now): void {
    const index = this.probes.indexOf(probe)
    // Its lease was over and another has taken its place.
    if (index < 0) return
    this.probes.splice(index, 1)
    if (outcome === "ignore") return
    // A slow answer is no recovery, where slow calls are what the circuit watches.
    if (outcome === "failure" || slow) {
      this.open({ reason: "probe_failed" }, now())
    } else {
      this.succeeded++
      if (this.succeeded >= this.rules.probes) this.close()
    }
  }

  private open(because: Because, time: number): void {
    this.because = because
    this.delay = this.delays.next(time)
    this.openUntil = Math.max(time + this.delay, this.askedUntil)
    this.move("open", because.reason)
  }

  private close(): void {
    this.move("closed", "probes_succeeded")
    this.delays.reset()
  }

  private move(to: State, reason: TransitionReason): void {
    this.moved = { from: this.state, to, reason }
    this.state = to
    this.renew()
    if (to === "closed") {
      this.because = undefined
      this.history.clear()
    }
  }

  private renew(): void {
    this.generation++
    this.shared = new Permit(this.generation, undefined)
    this.probes = []
    this.succeeded = 0
  }
}
