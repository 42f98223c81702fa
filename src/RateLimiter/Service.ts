import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { correlationIdOf } from "../CorrelationId.js"
import type { RateLimited, StoreUnavailable } from "../FoundationError.js"
import { after } from "../internal/answer.js"
import { failIn } from "../internal/hotError.js"
import { clockOf, monotonicMicros, waitOf } from "../internal/monotonic.js"
import type { NamedPolicies } from "../internal/namedPolicies.js"
import type { RuntimeFiber } from "../internal/policiesInForce.js"
import type { Telemetry } from "../Telemetry.js"
import type { Backend, Verdict } from "./Backend.js"
import { Line, Waiter } from "./Line.js"
import { limits as limitsByName, type NamedLimit } from "./NamedLimit.js"
import { type ConfiguredPolicy, wrongKey } from "./Policy.js"
import { maxWaiting, type Reason, refusal } from "./Refusal.js"
import {
  admissionOf,
  type CallOptions,
  isMany,
  isTooDear,
  type Limits,
  maxWaitOf,
  type Status,
  type Ticket,
  waits,
  waitsAt,
  worst,
  wrongCostOf
} from "./Ticket.js"

const noOptions: CallOptions = {}

type Admitted<A, E, R> = (verdicts: ReadonlyArray<Verdict>, tickets: ReadonlyArray<Ticket>) => Effect.Effect<A, E, R>

/** In microseconds. Timers count milliseconds, in 31 bits; a longer wait looks again in between. */
const shortestSleep = 1000
const longestSleep = Duration.toMillis("1 day") * 1000

export const makeService = (
  backend: Backend,
  configured: NamedPolicies<ConfiguredPolicy>,
  telemetry: Telemetry.Service
) => {
  const policies = limitsByName(backend, configured, {
    conflict: (name) => telemetry.emit("rate_limiter.policy.conflict", { count: 1 }, { name }),
    rejected: (name, reason) =>
      telemetry.emit("config.policy.rejected", { count: 1 }, { component: "rateLimiter", name, reason })
  })

  const ticketOf = (options: CallOptions, named: NamedLimit): Ticket => {
    // Once the manner is known, there is nothing to be taken of options that state none.
    if (named.manner === undefined || options.onExceeded !== undefined || options.maxWait !== undefined) {
      named.takeManner(options)
    }
    const { cost = 1, key = "" } = options
    const wrong = wrongKey(named.name, key) ?? wrongCostOf(named, cost)
    if (wrong !== undefined) throw wrong
    const reserved = named.lines.size === 0 ? 0 : (named.lines.get(key)?.reserved ?? 0)
    return { limit: named.limit, key, cost, reserved, named, options }
  }

  /** The tickets of a call; limits that are stated twice under the same name and key are taken from once, in sum. */
  const ticketsOf = (limits: Limits, fiber: RuntimeFiber): ReadonlyArray<Ticket> => {
    const ticket = (options: CallOptions) => ticketOf(options, policies.of(options, fiber))
    if (!isMany(limits)) return [ticket(limits)]
    const tickets: Array<Ticket> = []
    for (const next of limits.map(ticket)) {
      const twin = tickets.find(({ key, named }) => named === next.named && key === next.key)
      if (twin === undefined) {
        tickets.push(next)
      } else {
        twin.cost += next.cost
        const wrong = wrongCostOf(twin.named, twin.cost)
        if (wrong !== undefined) throw wrong
      }
    }
    return tickets
  }

  const admitted = ({ cost, key, named }: Ticket, remaining: number, waited: number): void => {
    if (!telemetry.enabled("rate_limiter.admitted")) return
    telemetry.emit("rate_limiter.admitted", { cost, remaining, waited: waited / 1000 }, { name: named.name, key })
  }

  const allAdmitted = (verdicts: ReadonlyArray<Verdict>, tickets: ReadonlyArray<Ticket>, waited: number): void => {
    for (const [index, ticket] of tickets.entries()) admitted(ticket, verdicts[index]?.remaining ?? 0, waited)
  }

  const refuse = (
    ticket: Ticket,
    reason: Reason,
    retryAfter: number,
    fiber: RuntimeFiber
  ): Effect.Effect<never, RateLimited> => {
    if (telemetry.enabled("rate_limiter.rejected")) {
      const { cost, key, named } = ticket
      telemetry.emit(
        "rate_limiter.rejected",
        { cost, retryAfter: Math.ceil(retryAfter / 1000) },
        { name: named.name, key }
      )
    }
    return failIn(fiber, refusal(ticket, reason, retryAfter, correlationIdOf(fiber)))
  }

  /** Takes if it can be done now; else fails, or waits. All of it in one synchronous step, where the backend answers in one. */
  const attempt = <A, E, R>(
    fiber: RuntimeFiber,
    limits: Limits,
    then: Admitted<A, E, R>
  ): Effect.Effect<A, E | RateLimited | StoreUnavailable, R> => {
    const tickets = ticketsOf(limits, fiber)
    if (tickets.length === 0) return then([], tickets)
    let reserved = false
    for (const ticket of tickets) {
      const { warning } = ticket.named
      if (warning !== undefined) {
        ticket.named.warning = undefined
        return Effect.zipRight(Effect.logWarning(warning), attemptLater(limits, then))
      }
      if (isTooDear(ticket)) return refuse(ticket, "cost_above_limit", ticket.limit.interval, fiber)
      if (ticket.reserved > 0) reserved = true
    }
    // Who can wait does so behind those that wait already, also where there is room beside what they need.
    if (reserved && tickets.every(waits)) return Effect.flatMap(waitFor(tickets), (all) => then(all, tickets))
    return after(backend.take(tickets, clockOf(fiber)), (verdicts) => decided(fiber, tickets, verdicts, then))
  }

  const decided = <A, E, R>(
    fiber: RuntimeFiber,
    tickets: ReadonlyArray<Ticket>,
    verdicts: ReadonlyArray<Verdict>,
    then: Admitted<A, E, R>
  ): Effect.Effect<A, E | RateLimited | StoreUnavailable, R> => {
    const refused = worst(verdicts)
    if (refused < 0) {
      allAdmitted(verdicts, tickets, 0)
      return then(verdicts, tickets)
    }
    return verdicts.every((verdict, index) => verdict.admitted || waitsAt(tickets, index))
      ? Effect.flatMap(waitFor(tickets), (all) => then(all, tickets))
      : refuseAt(tickets, verdicts, refused, "used_up", fiber)
  }

  const attemptLater = <A, E, R>(limits: Limits, then: Admitted<A, E, R>) =>
    Effect.withFiberRuntime<A, E | RateLimited | StoreUnavailable, R>((fiber) => attempt(fiber, limits, then))

  /** `attempt` for an effect. For one limit, which nearly all calls have, no more is made than the decision. */
  const run = <A, E, R>(
    fiber: RuntimeFiber,
    effect: Effect.Effect<A, E, R>,
    limits: Limits = noOptions
  ): Effect.Effect<A, E | RateLimited | StoreUnavailable, R> => {
    if (isMany(limits) || backend.takeNow === undefined) return attempt(fiber, limits, () => effect)
    const named = policies.of(limits, fiber)
    // Somebody waits, or there is something to be said first.
    if (named.lines.size > 0 || named.warning !== undefined) return attempt(fiber, limits, () => effect)
    const ticket = ticketOf(limits, named)
    if (isTooDear(ticket)) return refuse(ticket, "cost_above_limit", ticket.limit.interval, fiber)
    const verdict = backend.takeNow(ticket, clockOf(fiber))
    if (!verdict.admitted) {
      return waits(ticket) ? Effect.zipRight(waitFor([ticket]), effect) : refuseBy(ticket, verdict, "used_up", fiber)
    }
    admitted(ticket, verdict.remaining, 0)
    return effect
  }

  const refuseAt = (
    tickets: ReadonlyArray<Ticket>,
    verdicts: ReadonlyArray<Verdict>,
    index: number,
    reason: Reason,
    fiber: RuntimeFiber
  ): Effect.Effect<never, RateLimited> => {
    const ticket = tickets[index]
    const verdict = verdicts[index]
    if (ticket === undefined || verdict === undefined) return Effect.dieMessage("The backend answered other requests")
    return refuseBy(ticket, verdict, reason, fiber)
  }

  const refuseBy = (ticket: Ticket, verdict: Verdict, reason: Reason, fiber: RuntimeFiber) =>
    refuse(ticket, verdict.full === true ? "keys_full" : reason, verdict.retryAfter, fiber)

  /** Waits in the lines of the tickets, and takes when it can. */
  const waitFor = (
    tickets: ReadonlyArray<Ticket>
  ): Effect.Effect<ReadonlyArray<Verdict>, RateLimited | StoreUnavailable> =>
    Effect.withFiberRuntime((fiber) => {
      const full = tickets.find(({ key, named }) => (named.lines.get(key)?.length ?? 0) >= maxWaiting)
      if (full !== undefined) return refuse(full, "line_full", full.limit.interval, fiber)
      // Atomic with the turns: an interruption between joining and the first turn would leave the place taken.
      return Effect.acquireUseRelease(
        Effect.sync(() => join(tickets)),
        (waiter) => {
          const since = monotonicMicros(clockOf(fiber))
          return turn(waiter, tickets, since, since + Math.min(...tickets.map(maxWaitOf)))
        },
        (waiter) => Effect.sync(() => leave(waiter, tickets))
      )
    })

  const join = (tickets: ReadonlyArray<Ticket>): Waiter => {
    const waiter = new Waiter(tickets.length > 1)
    for (const { cost, key, named } of tickets) {
      const line = named.lines.get(key) ?? new Line()
      named.lines.set(key, line)
      waiter.sit(line, cost)
    }
    return waiter
  }

  const leave = (waiter: Waiter, tickets: ReadonlyArray<Ticket>): void => {
    waiter.leave()
    for (const { key, named } of tickets) if (named.lines.get(key)?.length === 0) named.lines.delete(key)
  }

  /** Takes if all is free beside what those ahead wait for; else sleeps until that is so, until called, or to the end. */
  const turn = (
    waiter: Waiter,
    tickets: ReadonlyArray<Ticket>,
    since: number,
    until: number
  ): Effect.Effect<ReadonlyArray<Verdict>, RateLimited | StoreUnavailable> =>
    Effect.withFiberRuntime((fiber) => {
      const clock = clockOf(fiber)
      const now = monotonicMicros(clock)
      const again = Effect.suspend(() => turn(waiter, tickets, since, until))
      // One before it is about to go, or to find that it cannot yet; it calls this one where it goes.
      if (!waiter.begin(now)) return Effect.zipRight(sleep(clock, waiter, shortestSleep), again)
      if (waiter.behind && waiter.hasLooked && now < until)
        return Effect.zipRight(sleep(clock, waiter, until - now), again)
      for (const [index, ticket] of tickets.entries()) {
        policies.refresh(ticket.named)
        ticket.limit = ticket.named.limit
        const seat = waiter.seats[index]
        ticket.reserved = seat === undefined ? 0 : Waiter.ahead(seat)
      }
      const dear = tickets.find(isTooDear)
      if (dear !== undefined) return refuse(dear, "cost_above_limit", dear.limit.interval, fiber)
      return after(backend.take(tickets, clock), (verdicts) => {
        const refused = worst(verdicts)
        if (refused < 0) {
          leave(waiter, tickets)
          allAdmitted(verdicts, tickets, now - since)
          return Effect.succeed(verdicts)
        }
        if (!verdicts.every((verdict, index) => verdict.admitted || waitsAt(tickets, index))) {
          return refuseAt(tickets, verdicts, refused, "used_up", fiber)
        }
        const due = now + Math.max(...verdicts.map((verdict) => verdict.retryAfter))
        if (due > until) return refuseAt(tickets, verdicts, refused, "wait_too_long", fiber)
        waiter.postpone(due)
        return Effect.zipRight(sleep(clock, waiter, (waiter.behind ? until : due) - now), again)
      })
    })

  return {
    run,
    consume: (options: CallOptions = {}) =>
      attemptLater(options, (verdicts, tickets) => Effect.succeed(admissionOf(options, verdicts, tickets))),
    consumeAll: (limits: ReadonlyArray<CallOptions>) =>
      attemptLater(limits, (verdicts, tickets) =>
        Effect.succeed(limits.map((options) => admissionOf(options, verdicts, tickets)))
      ),
    peek: (options: CallOptions = {}) =>
      Effect.withFiberRuntime<Status, StoreUnavailable>((fiber) => {
        const asked = ticketOf(options, policies.peek(options))
        return after(backend.peek(asked, clockOf(fiber)), (verdict) =>
          Effect.succeed({
            limit: asked.limit.maxRequests,
            interval: asked.named.policy.interval,
            remaining: verdict.remaining,
            resetAfter: waitOf(verdict.resetAfter),
            retryAfter: isTooDear(asked) ? Duration.infinity : waitOf(verdict.retryAfter)
          })
        )
      }),
    reset: (options: CallOptions = {}) =>
      Effect.suspend(() => {
        const { key, limit, named } = ticketOf(options, policies.peek(options))
        return after(backend.reset(limit, key), () => Effect.sync(() => named.lines.get(key)?.first?.waiter.call()))
      })
  }
}

const called = (waiter: Waiter): Effect.Effect<void> =>
  Effect.async((resume) => {
    waiter.onCall(() => resume(Effect.void))
    return Effect.sync(() => waiter.onCall(undefined))
  })

const sleep = (clock: Clock.Clock, waiter: Waiter, micros: number): Effect.Effect<void> =>
  Effect.raceFirst(clock.sleep(waitOf(Math.min(micros, longestSleep))), called(waiter))
