import * as Effect from "effect/Effect"
import { correlationIdOf } from "../../CorrelationId.js"
import type { StoreUnavailable } from "../../FoundationError.js"
import type { Answer } from "../../internal/answer.js"
import type { RuntimeFiber } from "../../internal/policiesInForce.js"
import type { RedisError } from "../../Redis/RedisError.js"
import type { Standing } from "../Backend.js"
import { Permit, type Rejection } from "../Circuit.js"
import { MemoryCircuit } from "../Memory.js"
import type { Terms } from "../Policy.js"
import { keysOf } from "./Keys.js"
import type { Knowledge } from "./Knowledge.js"
import { LocalPermit, uncounted } from "./Permits.js"
import type { Store } from "./Store.js"
import { unavailable } from "./Unavailable.js"

/** For how long a circuit that Redis refuses to decide on is left alone before it is tried again, in microseconds. */
const refusedFor = 500_000

/** What decides on the calls of a circuit while Redis does not: by the option of the layer. */
export class Fallback {
  /** What Redis said when it refused to decide on this circuit: a key is not ours, or it is full, or a replica. */
  private refusal: { readonly text: string; readonly until: number } | undefined
  private isTrying = false
  private local: MemoryCircuit | undefined
  /** The stretch of the fleet's circuit that the local one goes on from. */
  private generation: number | undefined

  constructor(
    private readonly store: Store,
    private readonly name: string,
    private readonly knowledge: Knowledge,
    /** Tries whether Redis decides on this circuit again, and says so by `accepted` where it does. */
    private readonly attempt: (done: () => void) => void
  ) {}

  get isRefused(): boolean {
    return this.refusal !== undefined
  }

  /** Whether no call may go by what is known of the fleet's circuit. */
  get isInForce(): boolean {
    return this.store.down || this.refusal !== undefined
  }

  /** The same, for one who comes with a call: where it is time, it is tried in the background whether that is over. */
  isOut(now: number): boolean {
    if (this.store.isDown()) return true
    if (this.refusal === undefined) return false
    if (now >= this.refusal.until && !this.isTrying) {
      this.isTrying = true
      this.attempt(() => {
        this.isTrying = false
      })
    }
    return true
  }

  refused(problem: string, now: number): void {
    this.refusal = { text: problem, until: now + refusedFor }
  }

  /** Redis decides on this circuit; what stood in for it is over. */
  accepted(): void {
    this.refusal = undefined
    this.end()
  }

  end(): void {
    this.local = undefined
  }

  isIdle(): boolean {
    return this.local === undefined || this.local.state === "closed"
  }

  acquire(terms: Terms, fiber: RuntimeFiber, error?: RedisError): Answer<Permit | Rejection, StoreUnavailable> {
    switch (this.store.settings.onUnavailable) {
      case "allow":
        return uncounted
      case "fail":
        return Effect.fail(this.unavailable(fiber, error))
      case "local": {
        const local = this.takeOver(terms)
        const answer = local.acquire(terms, fiber)
        return answer instanceof Permit ? new LocalPermit(local, answer) : answer
      }
    }
  }

  standing(terms: Terms, fiber: RuntimeFiber, error?: RedisError): Effect.Effect<Standing, StoreUnavailable> {
    return this.store.settings.onUnavailable === "local"
      ? Effect.succeed(this.takeOver(terms).standing(terms, fiber))
      : Effect.fail(this.unavailable(fiber, error))
  }

  unavailable(fiber: RuntimeFiber, error: RedisError | undefined): StoreUnavailable {
    const problem = error?.message ?? (this.store.down ? undefined : this.refusal?.text) ?? "Redis does not answer"
    const { circuit } = keysOf(this.store.settings.prefix, this.name)
    const advice = problem.includes("WRONGTYPE")
      ? `. A key that begins with ${circuit} holds something else: delete it, or state another prefix`
      : ""
    return unavailable(this.name, problem + advice, correlationIdOf(fiber))
  }

  /** The circuit of this process, which goes on from what is known of the fleet's; anew where the news is newer. */
  private takeOver(terms: Terms): MemoryCircuit {
    const { until, view } = this.knowledge
    if (this.local !== undefined && this.generation === view?.generation) return this.local
    this.generation = view?.generation
    const local = new MemoryCircuit(
      terms,
      // What it let through may end when it stands in for nothing any more.
      (move) => local === this.local && this.knowledge.tellLocal(move),
      view && { state: view.state, until: view.state === "open" ? until : 0, because: view.because }
    )
    this.local = local
    return local
  }
}
