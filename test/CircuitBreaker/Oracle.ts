import { type Rules, timerTolerance } from "../../src/CircuitBreaker/Circuit.js"
import { timeBuckets } from "../../src/CircuitBreaker/TimeWindow.js"
import type { Trip } from "../../src/CircuitBreaker/Trip.js"

interface Call {
  readonly id: number
  readonly stretch: Stretch
  readonly leaseEnds: number
  end?: "success" | "failure" | "slow_success" | "ignore" | "replaced"
}

/** One stretch of one state, with all that happened in it. */
interface Stretch {
  readonly state: "closed" | "open" | "half_open" | "forced_open" | "disabled"
  readonly until: number
  readonly calls: Array<Call>
  /** Outcomes that count; a call is slow by the rules that were in force when it ended. */
  outcomes: Array<{ readonly failed: boolean; readonly slow: boolean; readonly at: number }>
}

/**
 * A circuit that keeps everything that ever happened and works each answer out from that, as the documentation says it.
 * Slow and simple on purpose.
 */
export class Oracle {
  private readonly stretches: Array<Stretch> = [{ state: "closed", until: 0, calls: [], outcomes: [] }]
  private readonly calls: Array<Call> = []
  /** How many openings there were since the circuit was last closed or reset. */
  private openings = 0

  constructor(
    private rules: Rules,
    private readonly delays: ReadonlyArray<number>
  ) {}

  get state() {
    return this.now.state
  }

  get running(): ReadonlyArray<number> {
    return this.calls.filter((call) => call.end === undefined).map((call) => call.id)
  }

  acquire(id: number, time: number): { admitted: true } | { admitted: false; state: string; retryAfter: number } {
    this.look(time)
    const { state, until } = this.now
    if (state === "forced_open") return { admitted: false, state, retryAfter: this.lastDelay() }
    if (state === "open") return { admitted: false, state, retryAfter: until - time }
    if (state === "half_open") {
      const out = this.now.calls.filter((call) => call.end === undefined)
      const succeeded = this.now.calls.filter((call) => call.end === "success").length
      if (out.length + succeeded >= this.rules.probes) {
        const [first] = [...out].sort((a, b) => a.leaseEnds - b.leaseEnds || a.id - b.id)
        if (first === undefined)
          throw new Error("half-open, full, and nobody is out: the circuit would stay so for ever")
        if (first.leaseEnds > time) return { admitted: false, state, retryAfter: first.leaseEnds - time }
        first.end = "replaced"
      }
    }
    const call: Call = { id, stretch: this.now, leaseEnds: time + (this.rules.lease ?? this.lastDelay()) }
    this.calls.push(call)
    this.now.calls.push(call)
    return { admitted: true }
  }

  settle(id: number, outcome: "success" | "failure" | "ignore", elapsed: number, time: number): void {
    const call = this.calls.find((call) => call.id === id)
    if (call === undefined || call.end === "replaced") return
    const slow = this.isSlow(elapsed)
    call.end = outcome === "success" && slow ? "slow_success" : outcome
    if (call.stretch !== this.now || outcome === "ignore") return
    if (this.state === "half_open") {
      if (call.end !== "success") this.open(time)
      else this.closeIfAllSucceeded()
    } else if (this.state === "closed") {
      this.now.outcomes.push({ failed: outcome === "failure", slow, at: time })
      if (this.trips(time)) this.open(time)
    }
  }

  look(time: number): void {
    if (this.state === "open" && time > this.now.until - timerTolerance) this.enter("half_open")
  }

  forceOpen(): void {
    if (this.state !== "forced_open") this.enter("forced_open")
  }

  disable(): void {
    if (this.state !== "disabled") this.enter("disabled")
  }

  reset(): void {
    this.openings = 0
    this.enter("closed")
  }

  adopt(rules: Rules): void {
    const before = this.rules.trip
    this.rules = rules
    if (shape(before) !== shape(rules.trip)) this.now.outcomes = []
    if (this.state === "half_open") this.closeIfAllSucceeded()
  }

  private get now(): Stretch {
    const last = this.stretches.at(-1)
    if (last === undefined) throw new Error("there is always a stretch")
    return last
  }

  private enter(state: Stretch["state"], until = 0): void {
    this.stretches.push({ state, until, calls: [], outcomes: [] })
  }

  private open(time: number): void {
    this.openings++
    this.enter("open", time + this.lastDelay())
  }

  private lastDelay(): number {
    return this.delays[Math.min(Math.max(this.openings, 1), this.delays.length) - 1] ?? 0
  }

  private closeIfAllSucceeded(): void {
    if (this.now.calls.filter((call) => call.end === "success").length < this.rules.probes) return
    this.openings = 0
    this.enter("closed")
  }

  private isSlow(elapsed: number): boolean {
    const { trip } = this.rules
    return trip.type === "rate" && trip.slow !== undefined && elapsed >= trip.slow.micros
  }

  private trips(time: number): boolean {
    const { trip } = this.rules
    const { outcomes } = this.now
    if (trip.type === "consecutive") {
      const lastSuccess = outcomes.findLastIndex(({ failed }) => !failed)
      return outcomes.length - 1 - lastSuccess >= trip.maxFailures
    }
    const inWindow = outcomes.filter(({ at }, index) => {
      if (trip.window.type === "count") return index >= outcomes.length - trip.window.size
      const bucket = (at: number) =>
        Math.floor(at / (trip.window.type === "time" ? trip.window.micros / timeBuckets : 1))
      return bucket(at) > bucket(time) - timeBuckets
    })
    if (inWindow.length < trip.minimumCalls) return false
    const failures = inWindow.filter(({ failed }) => failed).length
    const slow = inWindow.filter(({ slow }) => slow).length
    return (
      (failures > 0 && failures >= trip.failureRate * inWindow.length) ||
      (trip.slow !== undefined && slow > 0 && slow >= trip.slow.rate * inWindow.length)
    )
  }
}

const shape = (trip: Trip): string => JSON.stringify(trip.type === "consecutive" ? trip.type : trip.window)
