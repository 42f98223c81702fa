import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { ConfigError } from "../FoundationError.js"
import type { NamedPolicies } from "../internal/namedPolicies.js"
import type { Line } from "./Line.js"
import {
  type ConfiguredPolicy,
  defaults,
  type Limit,
  limitOf,
  type Policy,
  type PolicyOptions,
  parseMaxWait,
  parsePolicy
} from "./Policy.js"

/** The rate as a call states it, as it was written: compared by identity, so that a literal is checked only once. */
type Stated = Pick<PolicyOptions, "maxRequests" | "interval" | "algorithm">

const states = ({ algorithm, interval, maxRequests }: PolicyOptions): boolean =>
  maxRequests !== undefined || interval !== undefined || algorithm !== undefined

const same = (one: Stated | undefined, other: Stated): boolean =>
  one !== undefined &&
  one.maxRequests === other.maxRequests &&
  one.interval === other.interval &&
  one.algorithm === other.algorithm

/** All that is known under one name. */
export class Named {
  readonly name: string
  /** The policy that the code states: the first that it stated stays. The defaults, until it states one. */
  code: Policy
  stated: boolean
  /** What the last stated policy that agreed, and the last that did not, were written as. */
  agreed: Stated | undefined
  conflicting: Stated | undefined
  /** What is in force: the code's, and over it the configuration's. */
  policy: Policy
  limit: Limit
  configured: ConfiguredPolicy | undefined
  revision: unknown
  /** The text of a warning that is still to be logged. */
  warning: string | undefined
  warned = false
  /** The last maximal wait that was found to be one. */
  maxWait: unknown
  /** Those that wait, by key. Only keys that somebody waits for have a line. */
  readonly lines = new Map<string, Line>()

  constructor(code: Policy, stated: boolean) {
    this.name = code.name
    this.code = code
    this.stated = stated
    this.policy = code
    this.limit = limitOf(code)
  }
}

/** How many names there may be. What varies with users and addresses is a key, not a name. */
export const maxNames = 10_000

/** Whom to tell. */
export interface Reports {
  readonly conflict: (name: string) => void
  readonly rejected: (name: string, reason: string) => void
}

/** The policies by name. Bad options are thrown as a ConfigError: in a call they are a mistake of the program. */
export class PoliciesInForce {
  private readonly names = new Map<string, Named>()
  private readonly configured: NamedPolicies<ConfiguredPolicy>
  private readonly reports: Reports

  constructor(configured: NamedPolicies<ConfiguredPolicy>, reports: Reports) {
    this.configured = configured
    this.reports = reports
  }

  /** What is in force under the name of these options. */
  of(options: PolicyOptions): Named {
    const { maxWait, name = defaults.name, onExceeded } = options
    let named = this.names.get(name)
    if (named === undefined) named = this.add(options)
    else if (!same(named.agreed, options) && states(options)) this.compare(named, options)
    if (onExceeded !== undefined && onExceeded !== "fail" && onExceeded !== "wait") throwLeft(parsePolicy(options))
    if (maxWait !== undefined && maxWait !== named.maxWait) {
      throwLeft(parseMaxWait(named.name, maxWait))
      named.maxWait = maxWait
    }
    if (this.configured.revision() !== named.revision) this.refresh(named)
    return named
  }

  /** Looks whether the configuration states another policy than before; answers whether the limit is another. */
  refresh(named: Named): boolean {
    const revision = this.configured.revision()
    if (revision === named.revision) return false
    named.revision = revision
    return this.merge(named, this.configured.get(named.name))
  }

  private merge(named: Named, configured: ConfiguredPolicy | undefined): boolean {
    const merged = configured === undefined ? Either.right(named.code) : parsePolicy(configured, named.code)
    if (Either.isLeft(merged)) {
      this.reports.rejected(named.name, merged.left.message)
      return false
    }
    named.configured = configured
    const { policy } = named
    named.policy = merged.right
    if (agree(policy, merged.right)) return false
    named.limit = limitOf(merged.right)
    for (const line of named.lines.values()) line.first?.waiter.call()
    return true
  }

  private add(options: PolicyOptions): Named {
    const code = throwLeft(parsePolicy(options))
    if (this.names.size >= maxNames) {
      throw new ConfigError({
        reason: "invalid_value",
        path: `rateLimiter.${code.name}`,
        message: `There are ${maxNames} names of limits already: put what varies into the key of one name`
      })
    }
    const named = new Named(code, states(options))
    if (named.stated) named.agreed = statedIn(options)
    this.names.set(code.name, named)
    return named
  }

  private compare(named: Named, options: PolicyOptions): void {
    if (same(named.conflicting, options)) return
    const policy = throwLeft(parsePolicy({ ...options, maxWait: undefined }, named.stated ? named.code : undefined))
    if (!named.stated) {
      named.stated = true
      named.code = policy
      named.agreed = statedIn(options)
      this.merge(named, named.configured)
    } else if (agree(policy, named.code)) {
      named.agreed = statedIn(options)
    } else {
      named.conflicting = statedIn(options)
      this.reports.conflict(named.name)
      if (named.warned) return
      named.warned = true
      named.warning =
        `The rate limiter ${JSON.stringify(named.name)} was used with a second policy (${describe(policy)}); ` +
        `the first (${describe(named.code)}) stays. Give the limits two names, or state the policy in one place.`
    }
  }
}

const statedIn = ({ algorithm, interval, maxRequests }: PolicyOptions): Stated => ({ algorithm, interval, maxRequests })

const agree = (one: Policy, other: Policy): boolean =>
  one.maxRequests === other.maxRequests &&
  one.algorithm === other.algorithm &&
  Duration.equals(one.interval, other.interval)

const describe = ({ algorithm, interval, maxRequests }: Policy): string =>
  `${maxRequests} in ${spanOf(interval)}, ${algorithm}`

/** The length as people write it, in one unit. */
export const spanOf = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  return millis >= 1000 && millis % 1000 === 0 ? `${millis / 1000} s` : `${millis} ms`
}

const throwLeft = <A>(either: Either.Either<A, ConfigError>): A => {
  if (Either.isLeft(either)) throw either.left
  return either.right
}
