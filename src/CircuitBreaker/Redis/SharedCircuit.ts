import * as Effect from "effect/Effect"
import type { StoreUnavailable } from "../../FoundationError.js"
import { type Answer, after } from "../../internal/answer.js"
import type { RuntimeFiber } from "../../internal/policiesInForce.js"
import type { RedisError } from "../../Redis/RedisError.js"
import type { Redis } from "../../Redis.js"
import type { BackendCircuit, Control, Standing } from "../Backend.js"
import { type Move, type Outcome, type Permit, Rejection } from "../Circuit.js"
import { delaysOf } from "../Delays.js"
import type { Terms } from "../Policy.js"
import { Fallback } from "./Fallback.js"
import { keysOf } from "./Keys.js"
import { Knowledge, waitOn } from "./Knowledge.js"
import { FleetPermit, LocalPermit } from "./Permits.js"
import { Probes } from "./Probes.js"
import { Proposals } from "./Proposals.js"
import { Reports } from "./Reports.js"
import * as Scripts from "./Scripts.js"
import type { Done, Listening, Store } from "./Store.js"
import { countingOf, digitOf, type Message, type Reply } from "./Wire.js"

/** The circuit of all processes, as one of them sees it. */
export class SharedCircuit implements BackendCircuit, Listening {
  private readonly knowledge: Knowledge
  private isReading = false
  private isAttached = false
  private delays: Proposals
  /** Until when the failures that this process saw ask to be left alone. */
  private askedUntil = 0
  private readonly reports: Reports
  /** Those who wait for the answer to another call, where it nearly always is theirs too. */
  private waiting: Array<() => void> | undefined
  private readonly probes: Probes
  private readonly fallback: Fallback

  constructor(
    private readonly store: Store,
    private readonly name: string,
    private terms: Terms,
    moved: (move: Move) => void
  ) {
    this.knowledge = new Knowledge(store.settings.staleness, moved)
    this.delays = new Proposals(delaysOf(terms.policy))
    this.reports = new Reports((generation, outcomes, done) => this.report(generation, outcomes, done))
    this.probes = new Probes(store, (script, args, done) => this.send(script, args, done))
    this.fallback = new Fallback(store, name, this.knowledge, (done) => this.tryAgain(done))
  }

  pass(terms: Terms): Permit | undefined {
    if (terms !== this.terms) this.adopt(terms)
    if (this.fallback.isInForce) return undefined
    const { knowledge } = this
    const now = this.store.now()
    if (now >= knowledge.rereadFrom) {
      if (now >= knowledge.freshUntil) return undefined
      this.read()
    }
    return knowledge.passing
  }

  acquire(terms: Terms, fiber: RuntimeFiber): Answer<Permit | Rejection, StoreUnavailable> {
    if (terms !== this.terms) this.adopt(terms)
    if (!this.isAttached) this.attach()
    const now = this.store.now()
    if (this.fallback.isOut(now)) return this.fallback.acquire(terms, fiber)
    return this.known(now) ?? this.ask(fiber, now)
  }

  settle(
    permit: Permit,
    outcome: Outcome,
    elapsed: number,
    terms: Terms,
    fiber: RuntimeFiber,
    retryAfter: number
  ): Answer<void> {
    if (terms !== this.terms) this.adopt(terms)
    if (permit instanceof LocalPermit) {
      return permit.circuit.settle(permit.inner, outcome, elapsed, terms, fiber, retryAfter)
    }
    if (!(permit instanceof FleetPermit)) return undefined
    if (outcome === "success") this.askedUntil = 0
    else if (retryAfter > 0) this.askedUntil = Math.max(this.askedUntil, this.store.now() + retryAfter)
    const { trip } = terms.rules
    const slow = trip.type === "rate" && trip.slow !== undefined && elapsed >= trip.slow.micros
    if (permit.token !== undefined) return this.settleProbe(permit, permit.token, outcome, slow)
    const { generation } = permit
    const { view } = this.knowledge
    if (outcome === "ignore" || view?.generation !== generation || view.state !== "closed") return undefined
    const failed = outcome === "failure"
    if (trip.type === "consecutive" && !failed) {
      const { pending } = this.reports
      // A success parts failures, and there are none to part.
      if (pending === "" ? view.failures === 0 : pending === success) return undefined
    }
    const digit = digitOf(failed, slow)
    // Only what may open the circuit is waited for: who fails the Nth time finds it open.
    if (digit === success) return this.reports.add(generation, digit)
    return Effect.async<void>((resume) => this.reports.addAndWait(generation, digit, () => resume(Effect.void)))
  }

  control(control: Control, terms: Terms, fiber: RuntimeFiber): Answer<void, StoreUnavailable> {
    if (terms !== this.terms) this.adopt(terms)
    if (control !== "reset" && !this.isAttached) this.attach()
    if (this.store.isDown()) return Effect.fail(this.fallback.unavailable(fiber, undefined))
    return this.request(Scripts.control, [control]).pipe(
      Effect.matchEffect({
        onSuccess: () => Effect.sync(() => this.accepted()),
        onFailure: (error) => Effect.fail(this.fallback.unavailable(fiber, error))
      })
    )
  }

  standing(terms: Terms, fiber: RuntimeFiber): Answer<Standing, StoreUnavailable> {
    if (terms !== this.terms) this.adopt(terms)
    if (this.fallback.isOut(this.store.now())) return this.fallback.standing(terms, fiber)
    return this.request(Scripts.look, [""]).pipe(
      Effect.matchEffect({
        onSuccess: ({ view: { state, wait } }) =>
          Effect.succeed({ state, retryAfter: state === "forced_open" ? this.delays.last : wait }),
        onFailure: (error) => this.fallback.standing(terms, fiber, error)
      })
    )
  }

  idle(): boolean {
    const { view } = this.knowledge
    return (view === undefined || view.state === "closed") && this.fallback.isIdle()
  }

  forget(): void {
    this.isAttached = false
    this.store.detach(this.name, this)
  }

  hear(message: Message): void {
    this.knowledge.hear(message, this.store.now())
  }

  doubt(): void {
    this.knowledge.doubt()
    if (!this.store.down) this.fallback.end()
  }

  reread(done: () => void): void {
    if (this.isAttached) this.send(Scripts.look, [""], done)
    else done()
  }

  private attach(): void {
    this.isAttached = true
    this.store.attach(this.name, this)
  }

  private adopt(terms: Terms): void {
    // A schedule goes on from where it is, unless another takes its place.
    if (this.terms.policy.resetTimeout !== terms.policy.resetTimeout)
      this.delays = new Proposals(delaysOf(terms.policy))
    this.terms = terms
  }

  /** The decision, where what is known suffices. */
  private known(now: number): Permit | Rejection | undefined {
    const { knowledge } = this
    if (now >= knowledge.rereadFrom && now < knowledge.freshUntil) this.read()
    return knowledge.decide(now, this.delays.last)
  }

  private ask(fiber: RuntimeFiber, since: number): Effect.Effect<Permit | Rejection, StoreUnavailable> {
    return Effect.async((resume) => {
      const { waiting } = this
      if (waiting !== undefined) {
        waiting.push(() => resume(Effect.suspend(() => this.askAgain(fiber, since))))
        return
      }
      // Where the circuit may well be closed, one call asks for all who come meanwhile.
      const line: Array<() => void> = []
      const isLead = this.knowledge.view === undefined || this.knowledge.passing !== undefined
      if (isLead) this.waiting = line
      const token = this.store.token()
      const lease = String(this.store.settings.lease)
      this.store.send(
        Scripts.acquire,
        this.name,
        this.terms,
        [lease, token],
        this.answered(since, (error, reply) => {
          if (isLead) this.waiting = undefined
          resume(
            reply === undefined
              ? this.notAnswered(fiber, token, error)
              : Effect.suspend(() => this.decided(fiber, reply, token))
          )
          for (const next of line) next()
        }),
        [],
        Math.max(1, this.store.settings.deadlineMillis - Math.floor((this.store.now() - since) / 1000))
      )
    })
  }

  /** After another has asked. */
  private askAgain(fiber: RuntimeFiber, since: number): Effect.Effect<Permit | Rejection, StoreUnavailable> {
    const now = this.store.now()
    if (this.fallback.isOut(now)) return asEffect(this.fallback.acquire(this.terms, fiber))
    const known = this.known(now)
    return known === undefined ? this.ask(fiber, since) : Effect.succeed(known)
  }

  private decided(
    fiber: RuntimeFiber,
    { verdict, view }: Reply,
    token: string
  ): Effect.Effect<Permit | Rejection, StoreUnavailable> {
    const [word, hold] = verdict.split(" ")
    if (word === "probe") return Effect.succeed(this.probes.take(view.generation, token, Number(hold)))
    if (word === "reject" && view.state !== "closed" && view.state !== "disabled") {
      const retryAfter = view.state === "forced_open" ? this.delays.last : waitOn(view)
      return Effect.succeed(new Rejection(view.state, retryAfter, view.because))
    }
    // What was heard meanwhile is newer than the answer.
    const now = this.store.now()
    const known = this.known(now)
    if (known !== undefined) return Effect.succeed(known)
    return now < this.knowledge.freshUntil
      ? this.ask(fiber, now)
      : Effect.succeed(new FleetPermit(view.generation, undefined))
  }

  private notAnswered(
    fiber: RuntimeFiber,
    token: string,
    error: RedisError | undefined
  ): Effect.Effect<Permit | Rejection, StoreUnavailable> {
    // It may have been carried out: then there is a place that nobody takes.
    if (error?.reason === "timeout" || error?.reason === "connection_lost") this.probes.giveBack(token)
    return asEffect(this.fallback.acquire(this.terms, fiber, error))
  }

  private settleProbe(permit: FleetPermit, token: string, outcome: Outcome, slow: boolean): Answer<void> {
    const { view } = this.knowledge
    if (view !== undefined && view.generation > permit.generation) return this.probes.leave(permit)
    // A slow answer is no recovery, where slow calls are what the circuit watches.
    const judged = outcome === "success" && slow ? "failure" : outcome
    return this.probes.settle(permit, token, judged, this.proposal())
  }

  private proposal(): string {
    const openings = this.knowledge.view?.openings ?? 0
    const now = this.store.now()
    return String(Math.ceil(Math.max(this.delays.of(openings + 1, now), this.askedUntil - now)))
  }

  private report(generation: number, outcomes: string, done: () => void): void {
    const { circuit } = keysOf(this.store.settings.prefix, this.name)
    const { trip } = this.terms.rules
    const { args, keys } = countingOf(trip, circuit)
    this.store.send(
      trip.type === "consecutive" ? Scripts.countFailures : Scripts.countRate,
      this.name,
      this.terms,
      [String(generation), outcomes, this.proposal(), ...args],
      this.answered(this.store.now(), done),
      keys
    )
  }

  /** Reads the circuit in the background. */
  private read(): void {
    if (this.isReading) return
    this.isReading = true
    this.send(Scripts.look, [""], () => {
      this.isReading = false
    })
  }

  /** Whether Redis decides on this circuit again, having refused to: whether it takes in what is written. */
  private tryAgain(done: () => void): void {
    const since = this.store.now()
    const learn = this.answered(since, done)
    this.store.send(Scripts.look, this.name, this.terms, ["write"], (error, reply) => {
      if (reply !== undefined) this.accepted()
      learn(error, reply)
    })
  }

  /** Redis has taken in what was written: what it refused to decide on before is to be read anew. */
  private accepted(): void {
    if (!this.fallback.isRefused) return
    this.fallback.accepted()
    this.store.accepted(this)
    this.knowledge.doubt()
  }

  private request(script: Redis.Script, args: ReadonlyArray<string>): Effect.Effect<Reply, RedisError> {
    return Effect.async((resume) =>
      this.send(script, args, (error, reply) => {
        if (reply !== undefined) resume(Effect.succeed(reply))
        else if (error !== undefined) resume(Effect.fail(error))
      })
    )
  }

  private send(script: Redis.Script, args: ReadonlyArray<string>, done: Done): void {
    this.store.send(script, this.name, this.terms, args, this.answered(this.store.now(), done))
  }

  /** Learns from the answer before it is passed on. */
  private answered(since: number, done: Done): Done {
    return (error, reply) => {
      if (reply !== undefined) this.knowledge.learn(reply, since, this.store.now())
      else if (error?.reason === "refused") {
        this.fallback.refused(error.message, this.store.now())
        if (this.isAttached) this.store.refused(this, error.message)
      }
      done(error, reply)
    }
  }
}

/** What a success that was not slow is, as a digit. */
const success = "0"

const asEffect = <A, E>(answer: Answer<A, E>): Effect.Effect<A, E> => after(answer, Effect.succeed)
