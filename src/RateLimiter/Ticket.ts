import type * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { durationOf } from "../internal/durationText.js"
import { toMicros, waitOf } from "../internal/monotonic.js"
import type { Request, Verdict } from "./Backend.js"
import type { NamedLimit } from "./NamedLimit.js"
import { defaults, type Limit, type PolicyOptions, wrongCost } from "./Policy.js"

/** A policy, and what the call adds to it. */
export interface CallOptions extends PolicyOptions {
  /**
   * The subject that the limit is counted for (a user, an address): one for all where not stated. It appears in errors and
   * telemetry; hash what is secret.
   */
  readonly key?: string | undefined
  /** How many units the call takes: 1 where not stated. */
  readonly cost?: number | undefined
}

/** One limit, or several that are taken from at once. */
export type Limits = CallOptions | ReadonlyArray<CallOptions>

/** How a limit stands after an admission. */
export interface Admission {
  readonly limit: number
  /** The time in which `limit` is admitted. */
  readonly interval: Duration.Duration
  /** The units that are left. */
  readonly remaining: number
  /** When the limit is as if never used, in milliseconds rounded up. */
  readonly resetAfter: Duration.Duration
}

/** How a limit stands. */
export interface Status extends Admission {
  /** When a call of the cost asked for is admitted: zero for now, infinity for never under the policy in force. */
  readonly retryAfter: Duration.Duration
}

/** What one call takes from one limit: the request that the backend sees, and where it comes from. */
export interface Ticket extends Request {
  limit: Limit
  cost: number
  reserved: number
  readonly named: NamedLimit
  readonly options: CallOptions
}

export const isMany = (limits: Limits): limits is ReadonlyArray<CallOptions> => Array.isArray(limits)

/** A cost that the code allows and the configuration does not is no mistake of the program. */
export const wrongCostOf = ({ code, limit, name }: NamedLimit, cost: unknown) =>
  wrongCost(name, cost, Math.max(code.maxRequests, limit.maxRequests))

export const isTooDear = ({ cost, limit }: Ticket): boolean => cost > limit.maxRequests
export const waits = ({ named, options }: Ticket): boolean =>
  (named.configured?.onExceeded ?? options.onExceeded ?? named.manner?.onExceeded) === "wait"
export const waitsAt = (tickets: ReadonlyArray<Ticket>, index: number): boolean => {
  const ticket = tickets[index]
  return ticket === undefined || waits(ticket)
}

/** In microseconds. */
export const maxWaitOf = ({ limit, named, options }: Ticket): number => {
  const maxWait = durationOf(named.configured?.maxWait ?? options.maxWait ?? named.manner?.maxWait)
  return Option.match(maxWait, { onNone: () => limit.interval, onSome: toMicros })
}

/** The refusal with the longest wait: when that is over, all admit. -1 where none refuses. */
export const worst = (verdicts: ReadonlyArray<Verdict>): number => {
  let index = -1
  let longest = -1
  for (let at = 0; at < verdicts.length; at++) {
    const verdict = verdicts[at]
    if (verdict === undefined || verdict.admitted || verdict.retryAfter <= longest) continue
    index = at
    longest = verdict.retryAfter
  }
  return index
}

/** How the limit that the options name stands after these were taken. */
export const admissionOf = (
  options: CallOptions,
  verdicts: ReadonlyArray<Verdict>,
  tickets: ReadonlyArray<Ticket>
): Admission => {
  const { key: subject = "", name = defaults.name } = options
  const index = tickets.findIndex(({ key, named }) => named.name === name && key === subject)
  return {
    limit: tickets[index]?.limit.maxRequests ?? 0,
    interval: tickets[index]?.named.policy.interval ?? defaults.interval,
    remaining: verdicts[index]?.remaining ?? 0,
    resetAfter: waitOf(verdicts[index]?.resetAfter ?? 0)
  }
}
