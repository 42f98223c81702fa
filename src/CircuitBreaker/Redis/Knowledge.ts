import { type Move, type Permit, Rejection, type State, timerTolerance } from "../Circuit.js"
import { FleetPermit } from "./Permits.js"
import type { Message, Reply, View } from "./Wire.js"

/**
 * What a process knows of a circuit of the fleet: the newest view of it, how old that may be, and which changes the
 * subscribers here have heard of. Plain data; times are this process's monotonic microseconds, and come as arguments.
 */
export class Knowledge {
  view: View | undefined
  /** When the next call has a chance, by the view. */
  until = 0
  /** For every call of the stretch of the state, if it is one that lets all through. */
  passing: FleetPermit | undefined
  /** What is known serves calls until then, and should be read again from half the way on. */
  freshUntil = Number.NEGATIVE_INFINITY
  rereadFrom = Number.NEGATIVE_INFINITY
  /** When the view came. */
  private since = Number.NEGATIVE_INFINITY
  /** The change that the subscribers have heard of last. */
  private told: { readonly generation: number; readonly state: State } | undefined
  /** The generation that was there when this process began to use the circuit, and the last that was heard of. */
  private begunWith = 0
  private heard = 0
  /** What an answer has shown, of whose beginning they should hear by notification. */
  private expected: { readonly generation: number; readonly state: State; readonly at: number } | undefined
  private isCatchingUp = false

  constructor(
    private readonly staleness: number,
    private readonly moved: (move: Move) => void
  ) {}

  /** The decision on a call, where what is known suffices. `hint` is how long one waits where it is forced open. */
  decide(now: number, hint: number): Permit | Rejection | undefined {
    const { view } = this
    if (view === undefined || now >= this.freshUntil) return undefined
    switch (view.state) {
      case "closed":
      case "disabled":
        return this.passing
      case "forced_open":
        return new Rejection("forced_open", hint, undefined)
      default:
        return now < this.until - timerTolerance ? new Rejection(view.state, this.until - now, view.because) : undefined
    }
  }

  /** Notifications may have been lost: what is known serves no call until it is read again. */
  doubt(): void {
    this.freshUntil = this.rereadFrom = Number.NEGATIVE_INFINITY
    this.isCatchingUp = true
  }

  hear({ moves, view }: Message, now: number): void {
    for (const [index, move] of moves.entries()) this.tell(view.generation - (moves.length - 1 - index), move)
    this.take(view, undefined, now)
  }

  /** Takes the answer to what was asked at `since`. */
  learn({ moves, view }: Reply, since: number, now: number): void {
    if (this.told === undefined) {
      this.begunWith = view.generation - moves
      this.told = { generation: this.begunWith, state: view.state }
    }
    this.take(view, since, now)
    // What does not exist in Redis yet, the next call makes.
    this.freshUntil = view.generation === 0 ? Number.NEGATIVE_INFINITY : since + this.staleness
    this.rereadFrom = since + this.staleness / 2
    // Notifications tell of each change, in their order. Where they fail to, what has come of it is told.
    if (moves > 0) return
    const { expected } = this
    if (this.isCatchingUp) this.catchUp(view)
    else if (expected !== undefined && now - expected.at >= this.staleness / 4) this.catchUp(expected)
    this.isCatchingUp = false
    if (this.expected === undefined && view.generation > this.told.generation) {
      this.expected = { generation: view.generation, state: view.state, at: now }
    }
  }

  /** Tells what has come of changes that were not heard of. */
  private catchUp({ generation, state }: { readonly generation: number; readonly state: State }): void {
    const from = this.told?.state ?? state
    this.expected = undefined
    this.heard = generation
    this.told = { generation, state }
    if (from !== state) this.moved({ from, to: state, reason: "synchronized" })
  }

  /** Tells of a change that the circuit made which stands in for the fleet's. */
  tellLocal(move: Move): void {
    this.told = { generation: this.told?.generation ?? 0, state: move.to }
    this.moved(move)
  }

  private tell(generation: number, move: Move): void {
    const isNewer = this.told === undefined || generation > this.told.generation
    // What the first answer has overtaken was told nowhere yet.
    if (!isNewer && (generation > this.begunWith || generation <= this.heard)) return
    this.heard = generation
    if (isNewer) this.told = { generation, state: move.to }
    if (this.expected !== undefined && generation >= this.expected.generation) this.expected = undefined
    this.moved(move)
  }

  private take(view: View, since: number | undefined, now: number): void {
    const known = this.view
    const steps = known === undefined ? 1 : view.generation - known.generation || view.seq - known.seq
    // An answer to what was asked after the last news is newer, whatever its numbers: Redis may have lost them.
    if (steps < 0 && (since === undefined || since < this.since)) return
    // News of what is known already, which came another way.
    if (steps === 0 && since === undefined) return
    const until = now + waitOn(view)
    // An opening ends when it ends: what says later was longer on its way.
    this.until = view.state === "open" && view.generation === known?.generation ? Math.min(this.until, until) : until
    this.view = view
    this.since = now
    const passes = view.state === "closed" || view.state === "disabled"
    if (this.passing?.generation !== view.generation || !passes) {
      this.passing = passes ? new FleetPermit(view.generation, undefined) : undefined
    }
  }
}

/** Microseconds until the next call has a chance. A timer may fire a little early, and a lease knows no tolerance. */
export const waitOn = ({ state, wait }: View): number =>
  state === "half_open" && wait > 0 ? wait + timerTolerance : wait
