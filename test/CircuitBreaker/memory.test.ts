import { it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import type { Backend, BackendCircuit } from "../../src/CircuitBreaker/Backend.js"
import { memory } from "../../src/CircuitBreaker/Memory.js"
import { circuitBreakerContract } from "../contract/CircuitBreaker.js"

circuitBreakerContract("memory", { layer: CircuitBreaker.layer, advance: TestClock.adjust, it: it.effect })

/** The same circuits, further away: each answer takes some turns of the scheduler, and none is known at once. */
const remote: Backend = {
  circuit: (name, terms, moved) => {
    const near = memory.circuit(name, terms, moved)
    const far = <A>(answer: () => A) => Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 3), Effect.sync(answer))
    // The circuit in memory answers at once, with no effect: to wrap its answers is all there is to do.
    return {
      pass: () => undefined,
      acquire: (...args) => far(() => near.acquire(...args)),
      settle: (...args) => far(() => near.settle(...args)),
      control: (...args) => far(() => near.control(...args)),
      standing: (...args) => far(() => near.standing(...args)),
      idle: () => near.idle()
    } as BackendCircuit
  }
}

circuitBreakerContract("a backend that answers later", {
  layer: Layer.effect(CircuitBreaker, Effect.orDie(CircuitBreaker.make({ backend: remote }))),
  advance: TestClock.adjust,
  it: it.effect
})
