import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import type { ConfigError } from "../FoundationError.js"
import type { NamedPolicies } from "../internal/namedPolicies.js"
import type { Backend, BackendCircuit } from "./Backend.js"
import type { Move } from "./Circuit.js"
import { Names } from "./Names.js"
import {
  agree,
  type ConfiguredPolicy,
  defaults,
  type Policy,
  type PolicyOptions,
  parsePolicy,
  type Terms,
  type TripOptions,
  termsOf
} from "./Policy.js"

/** All that is known under one name. */
export class Named {
  readonly circuit: BackendCircuit
  /** What is in force: the code's policy, and over it the configuration's. */
  terms: Terms
  /** Whether the code has stated a policy: the first that it states stays. */
  stated: boolean
  /** What the last policy that agreed with the code's, and the last that did not, were written as. */
  agreed: PolicyOptions | undefined
  conflicting: PolicyOptions | undefined
  configured: ConfiguredPolicy | undefined
  revision: unknown
  warned = false
  /** The text of a warning that is still to be logged. */
  warning: string | undefined

  constructor(
    public code: Policy,
    options: PolicyOptions,
    backend: Backend,
    moved: (name: string, move: Move) => void
  ) {
    this.terms = termsOf(code)
    this.stated = states(options)
    this.agreed = this.stated ? options : undefined
    this.circuit = backend.circuit(code.name, this.terms, (move) => moved(code.name, move))
  }

  get name(): string {
    return this.code.name
  }

  idle(): boolean {
    return this.circuit.idle()
  }
}

/** Whom to tell. */
export interface Reports {
  readonly moved: (name: string, move: Move) => void
  readonly conflict: (name: string) => void
}

/** The circuits by name, each with the policy in force. Bad options are thrown as a ConfigError. */
export class PoliciesInForce {
  private readonly names: Names<Named>

  constructor(
    private readonly backend: Backend,
    private readonly configured: NamedPolicies<ConfiguredPolicy>,
    private readonly reports: Reports,
    maxCircuits: number
  ) {
    this.names = new Names(maxCircuits)
  }

  /** What is in force under the name of these options. */
  of(options: PolicyOptions): Named {
    let named = this.names.use(options.name ?? defaults.name)
    if (named === undefined) {
      named = this.make(options)
      this.names.add(named)
    } else if (!writtenAlike(named.agreed, options) && states(options)) this.compare(named, options)
    this.refresh(named)
    return named
  }

  /** What is in force under the name; one that is not used is not kept for having been asked about. */
  peek(name: string): Named {
    const named = this.names.use(name) ?? this.make({ name })
    this.refresh(named)
    return named
  }

  all(): ReadonlyArray<Named> {
    const all = this.names.all()
    for (const named of all) this.refresh(named)
    return all
  }

  /** Looks whether the configuration states another policy than before. */
  refresh(named: Named): void {
    const revision = this.configured.revision()
    if (revision === named.revision) return
    named.revision = revision
    const configured = this.configured.get(named.name)
    if (configured === named.configured) return
    named.configured = configured
    this.merge(named)
  }

  private make(options: PolicyOptions): Named {
    return new Named(throwLeft(parsePolicy(options)), options, this.backend, this.reports.moved)
  }

  private merge(named: Named): void {
    const merged = named.configured === undefined ? named.code : throwLeft(parsePolicy(named.configured, named.code))
    if (!agree(merged, named.terms.policy)) named.terms = termsOf(merged)
  }

  private compare(named: Named, options: PolicyOptions): void {
    if (writtenAlike(named.conflicting, options)) return
    // What these options leave out they do not claim, so it is compared with nothing.
    const policy = throwLeft(parsePolicy(options, named.code))
    if (!named.stated) {
      named.stated = true
      named.code = policy
      named.agreed = options
      this.merge(named)
    } else if (agree(policy, named.code)) {
      named.agreed = options
    } else {
      named.conflicting = options
      this.reports.conflict(named.name)
      if (named.warned) return
      named.warned = true
      named.warning =
        `The circuit ${JSON.stringify(named.name)} was used with a second policy (${describe(policy)}); ` +
        `the first (${describe(named.code)}) stays. Give the circuits two names, or state the policy in one place.`
    }
  }
}

const states = ({ maxFailures, probes, resetTimeout, timeout, trip }: PolicyOptions): boolean =>
  timeout !== undefined ||
  maxFailures !== undefined ||
  resetTimeout !== undefined ||
  trip !== undefined ||
  probes !== undefined

/** Whether both state the same in the same words, so that a literal in a call is checked only once. */
const writtenAlike = (one: PolicyOptions | undefined, other: PolicyOptions): boolean =>
  one === other ||
  (one !== undefined &&
    one.maxFailures === other.maxFailures &&
    one.probes === other.probes &&
    sameValue(one.timeout, other.timeout) &&
    sameValue(one.resetTimeout, other.resetTimeout) &&
    sameTrip(one.trip, other.trip))

const sameValue = (one: unknown, other: unknown): boolean =>
  one === other || (Duration.isDuration(one) && Duration.isDuration(other) && Duration.equals(one, other))

const sameTrip = (one: TripOptions | undefined, other: TripOptions | undefined): boolean => {
  if (one === other) return true
  if (one?.type !== "rate" || other?.type !== "rate") return one?.type === "consecutive" && other?.type === one.type
  return (
    one.failureRate === other.failureRate &&
    one.slowCallRate === other.slowCallRate &&
    one.minimumCalls === other.minimumCalls &&
    sameValue(one.slowCallDuration, other.slowCallDuration) &&
    ("count" in one.window
      ? "count" in other.window && one.window.count === other.window.count
      : "duration" in other.window && sameValue(one.window.duration, other.window.duration))
  )
}

const describe = ({ maxFailures, probes, resetTimeout, timeout, trip }: Policy): string =>
  `timeout ${Duration.format(timeout)}, ` +
  (trip.type === "rate" ? `trip at a failure rate of ${trip.failureRate}` : `maxFailures ${maxFailures}`) +
  `, resetTimeout ${Duration.isDuration(resetTimeout) ? Duration.format(resetTimeout) : "by a schedule"}, probes ${probes}`

const throwLeft = <A>(either: Either.Either<A, ConfigError>): A => {
  if (Either.isLeft(either)) throw either.left
  return either.right
}
