import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type { ConfigError } from "../FoundationError.js"
import type { NamedPolicies } from "./namedPolicies.js"
import { Names } from "./names.js"
import type { Wrong } from "./wrongField.js"

export type RuntimeFiber = Fiber.RuntimeFiber<unknown, unknown>

/** What the policies of a component are, and what it keeps under each name. */
export interface Kind<P, O extends { readonly name?: string | undefined }, C extends O, N extends Named<P, O, C>> {
  /** The section of the configuration. */
  readonly component: "circuitBreaker" | "rateLimiter"
  /** What a name stands for, to people: `circuit`. */
  readonly subject: string
  /** The policy, or what is wrong with the options; what they do not state is taken from the base, or is the default. */
  readonly parse: (options: O, base?: P) => Either.Either<P, Wrong>
  readonly error: (wrong: Wrong) => ConfigError
  /** Whether the two are the same policy. */
  readonly agree: (one: P, other: P) => boolean
  readonly describe: (policy: P) => string
  /** Whether the options state a policy, or only use the one of the name. */
  readonly states: (options: O) => boolean
  /** Whether both state the same in the same words, so that a literal in a call is parsed only once. */
  readonly writtenAlike: (one: O, other: O) => boolean
  readonly make: (code: P) => N
  /** Makes room for the name, where there are as many as there may be; or throws. */
  readonly makeRoom: (names: Names<N>, name: string, fiber: RuntimeFiber) => void
  readonly conflict: (name: string) => void
  readonly rejected: (name: string, reason: string) => void
}

/** The policy under one name, and, in what a component makes of this class, what it keeps there. */
export abstract class Named<P, O, C> {
  /** What is in force: the code's policy, and over it the configuration's. */
  policy: P
  /** Whether the code has stated a policy: the first that it states stays. */
  stated = false
  /** What the last policy that agreed with the code's, and the last that did not, were written as. */
  agreed: O | undefined
  conflicting: O | undefined
  /** What the configuration states now, and the last that could be used. */
  seen: C | undefined
  configured: C | undefined
  revision: unknown
  /** Why what the configuration states now is not used. */
  rejected: string | undefined
  warnedOfConflict = false
  /** The text of a warning that is still to be logged. */
  warning: string | undefined

  constructor(
    readonly name: string,
    /** The policy that the code states; the defaults, until it states one. */
    public code: P
  ) {
    this.policy = code
  }

  /** Another policy is in force. */
  abstract adopt(policy: P): void

  warn(text: string): void {
    this.warning = this.warning === undefined ? text : `${this.warning}\n${text}`
  }
}

/**
 * The policies by name. The first that the code states for a name stays, and another is reported; what the configuration
 * states wins over it, live, and where that cannot be used the last that could stays in force. Bad options are thrown as a
 * ConfigError: in a call they are a mistake of the program.
 */
export class PoliciesInForce<
  P,
  O extends { readonly name?: string | undefined },
  C extends O,
  N extends Named<P, O, C>
> {
  private readonly names: Names<N>

  constructor(
    private readonly kind: Kind<P, O, C, N>,
    private readonly configured: NamedPolicies<C>,
    maxNames: number
  ) {
    this.names = new Names(maxNames)
  }

  /** What is in force under the name of these options. */
  of(options: O, fiber: RuntimeFiber): N {
    const { name = defaultName } = options
    let named = this.names.use(name)
    if (named === undefined) {
      named = this.make(options)
      if (this.names.full) this.kind.makeRoom(this.names, name, fiber)
      this.names.add(named)
    } else this.compare(named, options)
    this.refresh(named)
    return named
  }

  /** What is, or would be, in force under the name of these options. A name is not kept for having been asked about. */
  peek(options: O): N {
    const named = this.names.use(options.name ?? defaultName)
    if (named === undefined) return this.passing(options)
    this.compare(named, options)
    this.refresh(named)
    return named
  }

  all(): ReadonlyArray<N> {
    const all = this.names.all()
    for (const named of all) this.refresh(named)
    return all
  }

  /** Looks whether the configuration states another policy than before. */
  refresh(named: N): void {
    const revision = this.configured.revision()
    if (revision === named.revision) return
    named.revision = revision
    const seen = this.configured.get(named.name)
    if (seen === named.seen) return
    named.seen = seen
    this.merge(named)
  }

  private make(options: O): N {
    const { kind } = this
    const named = kind.make(this.parsed(options))
    if (kind.states(options)) {
      named.stated = true
      named.agreed = options
    }
    return named
  }

  private passing(options: O): N {
    const named = this.make(options)
    const configured = this.configured.get(named.name)
    const merged = configured === undefined ? undefined : this.kind.parse(configured, named.code)
    if (merged !== undefined && Either.isRight(merged)) {
      named.configured = configured
      this.putInForce(named, merged.right)
    }
    return named
  }

  private merge(named: N): void {
    const { kind } = this
    const merged = named.seen === undefined ? Either.right(named.code) : kind.parse(named.seen, named.code)
    if (Either.isRight(merged)) {
      named.rejected = undefined
      named.configured = named.seen
      this.putInForce(named, merged.right)
      return
    }
    // Not the value: what is configured may be private.
    const { field, must } = merged.left
    this.reject(named, `since it does not go with the policy in the code: ${field} must be ${must}`)
    const last = named.configured === undefined ? Either.right(named.code) : kind.parse(named.configured, named.code)
    if (Either.isLeft(last)) named.configured = undefined
    this.putInForce(named, Either.isLeft(last) ? named.code : last.right)
  }

  private putInForce(named: N, policy: P): void {
    if (this.kind.agree(policy, named.policy)) return
    named.policy = policy
    named.adopt(policy)
  }

  private reject(named: N, reason: string): void {
    if (named.rejected === reason) return
    named.rejected = reason
    this.kind.rejected(named.name, reason)
    named.warn(`The policy ${this.kind.component}.${named.name} is not used, ${reason}; what was in force stays`)
  }

  private compare(named: N, options: O): void {
    const { kind } = this
    const { agreed, conflicting } = named
    if (agreed !== undefined && kind.writtenAlike(agreed, options)) return
    if (!kind.states(options)) return
    if (conflicting !== undefined && kind.writtenAlike(conflicting, options)) return
    // What these options leave out they do not claim, so it is compared with nothing.
    const policy = kind.parse(options, named.code)
    if (!named.stated) {
      named.stated = true
      named.agreed = options
      named.code = Either.isRight(policy) ? policy.right : this.parsed(options)
      this.merge(named)
    } else if (Either.isRight(policy) && kind.agree(policy.right, named.code)) {
      named.agreed = options
    } else {
      // Options may be right, and yet not go with the policy that is there: that is a conflict too.
      this.conflict(named, options, Either.isRight(policy) ? policy.right : this.parsed(options))
    }
  }

  private conflict(named: N, options: O, second: P): void {
    const { describe, subject } = this.kind
    named.conflicting = options
    this.kind.conflict(named.name)
    if (named.warnedOfConflict) return
    named.warnedOfConflict = true
    named.warn(
      `The ${subject} ${JSON.stringify(named.name)} was used with a second policy (${describe(second)}); ` +
        `the first (${describe(named.code)}) stays. Give the ${subject}s two names, or state the policy in one place.`
    )
  }

  private parsed(options: O): P {
    const policy = this.kind.parse(options)
    if (Either.isLeft(policy)) throw this.kind.error(policy.left)
    return policy.right
  }
}

/** Calls that state no name share this one. */
export const defaultName = "default"

/** Whether two values in options say the same. Two schedules cannot be compared: they are taken to. */
export const alike = (one: unknown, other: unknown): boolean =>
  Object.is(one, other) ||
  (typeof one === "object" && typeof other === "object" && one !== null && other !== null && alikeObjects(one, other))

const alikeObjects = (one: object, other: object): boolean => {
  if (Duration.isDuration(one)) return Duration.isDuration(other) && Duration.equals(one, other)
  if (Schedule.isSchedule(one)) return Schedule.isSchedule(other)
  const entries = Object.entries(one)
  return (
    entries.length === Object.keys(other).length &&
    // What is not there reads as undefined, and is unlike.
    entries.every(([key, value]) => Object.hasOwn(other, key) && alike(value, (other as Record<string, unknown>)[key]))
  )
}
