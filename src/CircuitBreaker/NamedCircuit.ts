import type { NamedPolicies } from "../internal/namedPolicies.js"
import { Named, PoliciesInForce } from "../internal/policiesInForce.js"
import { wrongField } from "../internal/wrongField.js"
import type { Backend, BackendCircuit } from "./Backend.js"
import type { Move } from "./Circuit.js"
import {
  agree,
  type ConfiguredPolicy,
  describe,
  type Policy,
  type PolicyOptions,
  parsePolicy,
  states,
  type Terms,
  termsOf,
  writtenAlike
} from "./Policy.js"

/** The circuit of a name, and the policy in force. */
export class NamedCircuit extends Named<Policy, PolicyOptions, ConfiguredPolicy> {
  terms: Terms
  readonly circuit: BackendCircuit

  constructor(code: Policy, backend: Backend, moved: (name: string, move: Move) => void) {
    super(code.name, code)
    this.terms = termsOf(code)
    this.circuit = backend.circuit(code.name, this.terms, (move) => moved(code.name, move))
  }

  override adopt(policy: Policy): void {
    this.terms = termsOf(policy)
  }
}

const forgets = ({ circuit }: NamedCircuit): boolean => {
  circuit.forget?.()
  return true
}

/** Whom to tell. */
export interface Reports {
  readonly moved: (name: string, move: Move) => void
  readonly conflict: (name: string) => void
  readonly rejected: (name: string, reason: string) => void
}

/**
 * The circuits by name. A new one past `maxCircuits` takes the place of the closed one that was used longest ago; where
 * none is closed, of the one that was used longest ago.
 */
export const circuits = (
  backend: Backend,
  configured: NamedPolicies<ConfiguredPolicy>,
  { conflict, moved, rejected }: Reports,
  maxCircuits: number
): PoliciesInForce<Policy, PolicyOptions, ConfiguredPolicy, NamedCircuit> =>
  new PoliciesInForce(
    {
      component: "circuitBreaker",
      subject: "circuit",
      parse: parsePolicy,
      error: (wrong) => wrongField("circuitBreaker", "circuit", wrong),
      agree,
      describe,
      states,
      writtenAlike,
      make: (code) => new NamedCircuit(code, backend, moved),
      makeRoom: (names) => {
        if (!names.forgetIdle((named) => named.circuit.idle() && forgets(named))) names.forgetIdle(forgets)
      },
      conflict,
      rejected
    },
    configured,
    maxCircuits
  )
