import * as Effect from "effect/Effect"
import { correlationIdOf } from "../../CorrelationId.js"
import type { StoreUnavailable } from "../../FoundationError.js"
import type { Answer } from "../../internal/answer.js"
import type { RuntimeFiber } from "../../internal/policiesInForce.js"
import type { BackendCircuit, Control, Standing } from "../Backend.js"
import type { Move, Outcome, Permit, Rejection, Rules } from "../Circuit.js"
import { MemoryCircuit } from "../Memory.js"
import type { Terms } from "../Policy.js"
import * as Scripts from "./Scripts.js"
import type { Done, Listening, Store } from "./Store.js"
import { unavailable } from "./Unavailable.js"
import type { Message, View } from "./Wire.js"

/**
 * The rules where so many other processes have their circuits open: each makes the circuit the more easily convinced. One
 * alone halves what it takes, so what a healthy process sees now and then does not suffice.
 */
export const vigilant = (rules: Rules, advisers: number): Rules => {
  const { trip } = rules
  const share = 1 + advisers
  return {
    ...rules,
    trip:
      trip.type === "consecutive"
        ? { type: "consecutive", maxFailures: Math.ceil(trip.maxFailures / share) }
        : {
            ...trip,
            failureRate: trip.failureRate / share,
            slow: trip.slow && { ...trip.slow, rate: trip.slow.rate / share },
            minimumCalls: Math.ceil(trip.minimumCalls / share)
          }
  }
}

/** Generations grow by one; those of a circuit that was made anew begin with the time in microseconds. */
const madeAnew = 1_000_000

/**
 * A circuit of this process that tells the others when it opens, and heeds what they tell. It never waits for Redis, but
 * for the first call, which asks whether an operator has forced it open.
 */
export class AdvisedCircuit implements BackendCircuit, Listening {
  private readonly circuit: MemoryCircuit
  /** The terms by the number of advisers. */
  private vigilantTerms: Array<Terms> = []
  /** When the advice of each ends. */
  private advisedUntil: ReadonlyArray<number> = []
  /** What operators did last that this circuit has followed; none before it was read for the first time. */
  private followed: number | undefined
  /** When that came. */
  private followedAt = Number.NEGATIVE_INFINITY
  /** What the first reading has changed here: the subscribers hear of it by notification, or heard of it before. */
  private isFirst = false
  private untold: Move | undefined
  private rereadFrom = Number.NEGATIVE_INFINITY
  private isReading = false
  private isAttached = false
  private waiting: Array<() => void> = []

  constructor(
    private readonly store: Store,
    private readonly name: string,
    private terms: Terms,
    private readonly moved: (move: Move) => void
  ) {
    this.circuit = new MemoryCircuit(terms, (move) => {
      if (this.isFirst) this.untold = move
      else moved(move)
      if (move.to === "open") this.advise()
    })
  }

  pass(terms: Terms): Permit | undefined {
    if (this.followed === undefined) return undefined
    return this.circuit.pass(this.inForce(terms))
  }

  acquire(terms: Terms, fiber: RuntimeFiber): Answer<Permit | Rejection> {
    if (!this.isAttached) this.attach()
    return this.whenRead(() => this.circuit.acquire(this.inForce(terms), fiber))
  }

  settle(
    permit: Permit,
    outcome: Outcome,
    elapsed: number,
    terms: Terms,
    fiber: RuntimeFiber,
    retryAfter: number
  ): void {
    this.circuit.settle(permit, outcome, elapsed, this.inForce(terms), fiber, retryAfter)
  }

  control(control: Control, terms: Terms, fiber: RuntimeFiber): Answer<void, StoreUnavailable> {
    if (control !== "reset" && !this.isAttached) this.attach()
    const since = this.store.now()
    return Effect.async((resume) =>
      this.store.send(Scripts.control, this.name, terms, [control], (error, reply) => {
        if (reply !== undefined) this.follow(reply.view, since)
        resume(
          error === undefined ? Effect.void : Effect.fail(unavailable(this.name, error.message, correlationIdOf(fiber)))
        )
      })
    )
  }

  standing(terms: Terms, fiber: RuntimeFiber): Answer<Standing> {
    return this.whenRead(() => this.circuit.standing(this.inForce(terms), fiber))
  }

  idle(): boolean {
    return this.circuit.idle()
  }

  forget(): void {
    this.isAttached = false
    this.store.detach(this.name, this)
  }

  hear({ moves, view }: Message): void {
    const { untold } = this
    if (untold !== undefined && moves.length > 0) {
      this.untold = undefined
      if (view.generation === this.followed) this.moved(untold)
    }
    this.follow(view, undefined)
  }

  doubt(): void {
    this.rereadFrom = Number.NEGATIVE_INFINITY
  }

  reread(done: () => void): void {
    this.look(done)
  }

  private attach(): void {
    this.isAttached = true
    this.store.attach(this.name, this)
  }

  /** Answers at once where the circuit was read before, or cannot be read now; else when it has been read. */
  private whenRead<A>(answer: () => A): Answer<A> {
    const cannot = this.store.isDown() || (!this.isReading && this.store.now() < this.rereadFrom)
    if (this.followed !== undefined || cannot) return answer()
    return Effect.async((resume) => {
      this.waiting.push(() => resume(Effect.sync(answer)))
      this.read()
    })
  }

  private inForce(terms: Terms): Terms {
    if (terms !== this.terms) {
      this.terms = terms
      this.vigilantTerms = []
    }
    const now = this.store.now()
    if (this.isAttached && now >= this.rereadFrom && !this.store.isDown()) this.read()
    if (this.advisedUntil.length === 0) return terms
    const advisers = this.advisedUntil.filter((until) => now < until).length
    if (advisers === 0) {
      this.advisedUntil = []
      return terms
    }
    const known = this.vigilantTerms[advisers]
    if (known !== undefined) return known
    const vigilantTerms = { ...terms, rules: vigilant(terms.rules, advisers) }
    this.vigilantTerms[advisers] = vigilantTerms
    return vigilantTerms
  }

  private read(): void {
    if (this.isReading) return
    this.isReading = true
    this.look(() => {
      this.isReading = false
    })
  }

  private look(done: Done): void {
    const since = this.store.now()
    this.rereadFrom = since + this.store.settings.staleness / 2
    this.store.send(Scripts.look, this.name, this.terms, ["local"], (error, reply) => {
      if (reply !== undefined) this.follow(reply.view, since)
      if (error?.reason !== "refused") this.store.accepted(this)
      else if (this.isAttached) this.store.refused(this, error.message)
      done(error, reply)
      const { waiting } = this
      this.waiting = []
      for (const go of waiting) go()
    })
  }

  private advise(): void {
    const length = Math.ceil(this.circuit.retryAfter(this.store.now()))
    // Advice that does not arrive is not given: each process has its own eyes.
    if (!this.store.isDown()) {
      this.store.send(Scripts.advise, this.name, this.terms, [this.store.id, String(length)], () => undefined)
    }
  }

  /** Does as operators did, by the answer to what was asked at `since`, or by the news. */
  private follow({ advice, generation, state }: View, since: number | undefined): void {
    const now = this.store.now()
    this.advisedUntil = advice.filter(({ adviser }) => adviser !== this.store.id).map(({ length }) => now + length)
    const { followed } = this
    const steps = followed === undefined ? 0 : generation - followed
    // An answer to what was asked after the last news is newer, whatever its number: Redis may have lost some.
    if (followed !== undefined && steps <= 0 && (steps === 0 || since === undefined || since < this.followedAt)) return
    this.followed = generation
    this.followedAt = now
    this.isFirst = followed === undefined && since !== undefined
    if (state === "forced_open") this.circuit.control("force_open", this.terms)
    else if (state === "disabled") this.circuit.control("disable", this.terms)
    // Redis has lost what operators did: what they forced is over, as it is for those who start now.
    else if (followed === undefined || steps < 0 || steps >= madeAnew) this.release()
    else this.circuit.control("reset", this.terms)
    this.isFirst = false
  }

  private release(): void {
    const { state } = this.circuit
    if (state === "forced_open" || state === "disabled") this.circuit.control("reset", this.terms)
  }
}
