import { CountWindow } from "./CountWindow.js"
import { TimeWindow } from "./TimeWindow.js"

/** Opens after so many failures with no success between them. */
export interface ConsecutiveTrip {
  readonly type: "consecutive"
  readonly maxFailures: number
}

/** Opens when the share of failed, or of slow, calls in a window reaches a rate. */
export interface RateTrip {
  readonly type: "rate"
  /** The last so many calls, or the calls of the last so many microseconds. */
  readonly window:
    | { readonly type: "count"; readonly size: number }
    | { readonly type: "time"; readonly micros: number }
  /** From 0 to 1. Reached, not passed: at 0.5, five of ten are enough. At 0, any failure is. */
  readonly failureRate: number
  readonly slow: { readonly rate: number; readonly micros: number } | undefined
  /** With fewer outcomes in the window nothing is judged. */
  readonly minimumCalls: number
}

export type Trip = ConsecutiveTrip | RateTrip

/** What a window holds. */
export interface Tally {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/** Why a circuit opened: in figures, for the message of its rejections. */
export type Because =
  | { readonly reason: "failures"; readonly failures: number }
  | { readonly reason: "failure_rate" | "slow_call_rate"; readonly share: number; readonly calls: number }
  | { readonly reason: "probe_failed" }

/** Monotonic time in whole microseconds, asked for only where it is needed. */
export type Now = () => number

/** What a closed circuit remembers of its calls: a few numbers for consecutive failures, else a window of fixed size. */
export class History {
  private failures = 0
  private readonly window: CountWindow | TimeWindow | undefined

  constructor(private readonly trip: Trip) {
    this.window = trip.type === "consecutive" ? undefined : makeWindow(trip.window)
  }

  /** Takes the outcome of one call, and says why the circuit opens, if it does. */
  add(trip: Trip, failed: boolean, slow: boolean, now: Now): Because | undefined {
    if (trip.type === "consecutive") {
      this.failures = failed ? this.failures + 1 : 0
      return this.failures >= trip.maxFailures ? { reason: "failures", failures: this.failures } : undefined
    }
    return this.window === undefined ? undefined : judge(trip, this.window.add(failed, slow, now))
  }

  clear(): void {
    this.failures = 0
    this.window?.clear()
  }

  /** Whether what is remembered under the one trip can be judged by the other. */
  fits(trip: Trip): boolean {
    if (this.trip.type === "consecutive" || trip.type === "consecutive") return this.trip.type === trip.type
    const [a, b] = [this.trip.window, trip.window]
    return a.type === "count" ? b.type === "count" && a.size === b.size : b.type === "time" && a.micros === b.micros
  }
}

const makeWindow = (window: RateTrip["window"]): CountWindow | TimeWindow =>
  window.type === "count" ? new CountWindow(window.size) : new TimeWindow(window.micros)

const judge = (trip: RateTrip, { calls, failures, slow }: Tally): Because | undefined => {
  if (calls < trip.minimumCalls) return undefined
  // Multiplied, not divided: 0.3 of 10 calls are 3, and 3 / 10 >= 0.3 must not hang on a rounding.
  if (failures > 0 && failures >= trip.failureRate * calls) {
    return { reason: "failure_rate", share: failures / calls, calls }
  }
  if (trip.slow !== undefined && slow > 0 && slow >= trip.slow.rate * calls) {
    return { reason: "slow_call_rate", share: slow / calls, calls }
  }
  return undefined
}
