import type * as Fiber from "effect/Fiber"
import { Permit } from "../Circuit.js"
import type { MemoryCircuit } from "../Memory.js"

/** A call that the fleet's circuit has let through, with the token of its place where it is a probe. */
export class FleetPermit extends Permit {
  /** What keeps the place. */
  renewal: Fiber.RuntimeFiber<void> | undefined

  constructor(
    generation: number,
    readonly token: string | undefined
  ) {
    super(generation, undefined)
  }
}

/** A call that the circuit of this process has let through, in place of the fleet's. */
export class LocalPermit extends Permit {
  constructor(
    readonly circuit: MemoryCircuit,
    readonly inner: Permit
  ) {
    super(inner.generation, inner.leaseEnds)
  }
}

/** A call that was let through because nobody could tell; its outcome counts nowhere. */
export const uncounted = new Permit(-1, undefined)
