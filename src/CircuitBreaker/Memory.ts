import type * as Clock from "effect/Clock"
import { clockOf, monotonicMicros } from "../internal/monotonic.js"
import type { RuntimeFiber } from "../internal/policiesInForce.js"
import type { Backend, BackendCircuit, Control } from "./Backend.js"
import { Circuit, type Move, type Outcome, type Permit, type State } from "./Circuit.js"
import { delaysOf } from "./Delays.js"
import type { Terms } from "./Policy.js"
import type { Because, Now } from "./Trip.js"

/** Where a circuit begins that takes over from another. */
export interface Beginning {
  readonly state: State
  /** When an opening ends, in monotonic microseconds. */
  readonly until: number
  readonly because: Because | undefined
}

/** Circuits in this process. Each answer is given in the step of the call. */
export const memory: Backend = {
  circuit: (_, terms, moved) => new MemoryCircuit(terms, moved)
}

/** A circuit in this process; one that goes on from where another was begins there, and tells nobody of that. */
export class MemoryCircuit implements BackendCircuit {
  private readonly circuit: Circuit

  constructor(
    private terms: Terms,
    private readonly moved: (move: Move) => void,
    from?: Beginning
  ) {
    this.circuit = new Circuit(terms.rules, delaysOf(terms.policy))
    if (from !== undefined) this.circuit.resume(from.state, from.until, from.because)
  }

  get state(): State {
    return this.circuit.state
  }

  pass(terms: Terms): Permit | undefined {
    if (terms !== this.terms) this.adopt(terms)
    return this.circuit.pass()
  }

  acquire(terms: Terms, fiber: RuntimeFiber) {
    if (terms !== this.terms) this.adopt(terms)
    const answer = this.circuit.acquire(nowOf(fiber))
    this.tell()
    return answer
  }

  settle(permit: Permit, outcome: Outcome, elapsed: number, terms: Terms, fiber: RuntimeFiber, retryAfter = 0): void {
    if (terms !== this.terms) this.adopt(terms)
    this.circuit.settle(permit, outcome, elapsed, nowOf(fiber), retryAfter)
    this.tell()
  }

  control(control: Control, terms: Terms): void {
    if (terms !== this.terms) this.adopt(terms)
    if (control === "reset") this.circuit.reset()
    else if (control === "disable") this.circuit.disable()
    else this.circuit.forceOpen()
    this.tell()
  }

  standing(terms: Terms, fiber: RuntimeFiber) {
    if (terms !== this.terms) this.adopt(terms)
    const time = nowOf(fiber)()
    this.circuit.advance(time)
    this.tell()
    return { state: this.circuit.state, retryAfter: this.circuit.retryAfter(time) }
  }

  idle(): boolean {
    return this.circuit.state === "closed"
  }

  /** Microseconds until the next call has a chance. */
  retryAfter(time: number): number {
    return this.circuit.retryAfter(time)
  }

  private adopt(terms: Terms): void {
    const { policy } = this.terms
    this.terms = terms
    // A schedule goes on from where it is, unless another takes its place.
    const delays = policy.resetTimeout === terms.policy.resetTimeout ? undefined : delaysOf(terms.policy)
    this.circuit.adopt(terms.rules, delays)
    this.tell()
  }

  /** The step is complete by now: whoever hears of it may well step in again. */
  private tell(): void {
    const { moved } = this.circuit
    if (moved === undefined) return
    this.circuit.moved = undefined
    this.moved(moved)
  }
}

/** The time of the last clock that was asked for: nearly always there is one clock, and so one closure. */
let lastClock: Clock.Clock | undefined
let lastNow: Now = () => 0
const nowOf = (fiber: RuntimeFiber): Now => {
  const clock = clockOf(fiber)
  if (clock !== lastClock) {
    lastClock = clock
    lastNow = () => monotonicMicros(clock)
  }
  return lastNow
}
