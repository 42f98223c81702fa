import * as Either from "effect/Either"
import { ConfigError } from "../FoundationError.js"
import { clockOf } from "../internal/monotonic.js"
import type { NamedPolicies } from "../internal/namedPolicies.js"
import { alike, Named, PoliciesInForce } from "../internal/policiesInForce.js"
import type { Backend } from "./Backend.js"
import type { Line } from "./Line.js"
import {
  agree,
  type ConfiguredPolicy,
  describe,
  invalid,
  type Limit,
  limitOf,
  type Policy,
  type PolicyOptions,
  parseMaxWait,
  parsePolicy,
  states,
  writtenAlike
} from "./Policy.js"
import { type Wording, wordingOf } from "./Refusal.js"

/** Whether to wait, and how long. */
export type Manner = Pick<PolicyOptions, "onExceeded" | "maxWait">

/** The limit of a name, the policy in force, and those that wait. */
export class NamedLimit extends Named<Policy, PolicyOptions, ConfiguredPolicy> {
  limit: Limit
  wording: Wording
  /** That of the first call which stated anything. */
  manner: Manner | undefined
  /** The last maximal wait that was found to be one. */
  private maxWait: unknown
  /** By key. Only keys that somebody waits for have a line. */
  readonly lines = new Map<string, Line>()

  constructor(code: Policy) {
    super(code.name, code)
    this.limit = limitOf(code)
    this.wording = wordingOf(code)
  }

  override adopt(policy: Policy): void {
    this.limit = limitOf(policy)
    this.wording = wordingOf(policy)
    for (const line of this.lines.values()) line.first?.waiter.call()
  }

  /** Takes note of how the call waits, which is no part of the rate that is compared. Bad options are thrown. */
  takeManner({ maxWait, onExceeded }: Manner): void {
    if (onExceeded !== undefined && onExceeded !== "fail" && onExceeded !== "wait") {
      throw invalid({ name: this.name, field: "onExceeded", value: onExceeded, must: `"fail" or "wait"` })
    }
    if (maxWait !== undefined && !alike(maxWait, this.maxWait)) {
      const parsed = parseMaxWait(this.name, maxWait)
      if (Either.isLeft(parsed)) throw invalid(parsed.left)
      this.maxWait = maxWait
    }
    if (this.manner === undefined && (this.stated || onExceeded !== undefined || maxWait !== undefined)) {
      this.manner = { maxWait, onExceeded }
    }
  }
}

/** How many names there may be. What varies with users and addresses is a key, not a name. */
export const maxNames = 10_000

/** Whom to tell. */
export interface Reports {
  readonly conflict: (name: string) => void
  readonly rejected: (name: string, reason: string) => void
}

/**
 * The limits by name. A new one past `maxNames` takes the place of one under which nobody waits and no key is in use; where
 * there is none it is refused, since to forget another would let that one exceed its limit.
 */
export const limits = (
  backend: Backend,
  configured: NamedPolicies<ConfiguredPolicy>,
  reports: Reports
): PoliciesInForce<Policy, PolicyOptions, ConfiguredPolicy, NamedLimit> =>
  new PoliciesInForce(
    {
      component: "rateLimiter",
      subject: "limit",
      parse: parsePolicy,
      error: invalid,
      agree,
      describe,
      states,
      writtenAlike,
      make: (code) => new NamedLimit(code),
      makeRoom: (names, name, fiber) => {
        const clock = clockOf(fiber)
        const isIdle = ({ limit, lines }: NamedLimit) => lines.size === 0 && (backend.forget?.(limit, clock) ?? true)
        if (names.forgetIdle(isIdle)) return
        throw new ConfigError({
          reason: "invalid_value",
          path: `rateLimiter.${name}`,
          message: `${maxNames} names of limits are in use already: put what varies into the key of one name`
        })
      },
      ...reports
    },
    configured,
    maxNames
  )
