import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as RuntimeFlags from "effect/RuntimeFlags"
import { correlationIdOf } from "../CorrelationId.js"
import { type Condition, degraded, listed, up } from "../Foundation/Health/Condition.js"
import type { CircuitOpen, OperationTimeout, StoreUnavailable } from "../FoundationError.js"
import { type Answer, after } from "../internal/answer.js"
import { within } from "../internal/deadline.js"
import { durationOf } from "../internal/durationText.js"
import { failIn } from "../internal/hotError.js"
import { clockOf, monotonicMicros, toMicros, waitOf } from "../internal/monotonic.js"
import type { NamedPolicies } from "../internal/namedPolicies.js"
import type { RuntimeFiber } from "../internal/policiesInForce.js"
import type { Telemetry } from "../Telemetry.js"
import type { Backend, Control } from "./Backend.js"
import { Changes } from "./Changes.js"
import { type Move, type Outcome, Permit, type Rejection, type State } from "./Circuit.js"
import { circuits, type NamedCircuit } from "./NamedCircuit.js"
import { bounds, type CallOptions, type ConfiguredPolicy, type Policy, type Terms } from "./Policy.js"
import { circuitOpen, operationTimeout } from "./Refusal.js"

/** What `execute` adds to the errors of the effect. */
export type Refused = CircuitOpen | OperationTimeout | StoreUnavailable

/** A change of state. */
export interface Transition extends Move {
  readonly name: string
}

/** A circuit as it stands. */
export interface Status {
  readonly name: string
  readonly state: State
  /** How long until the next call has a chance, in milliseconds rounded up; zero where it has one now. */
  readonly retryAfter: Duration.Duration
  /** What is in force, the configuration included. */
  readonly policy: Policy
}

type Flags = RuntimeFlags.RuntimeFlags

const noOptions = {}

/** In microseconds; what asks for longer gets this. */
const longestAsked = toMicros(bounds.resetTimeout)

/** How many circuits that are not closed are looked at for the health. */
const mostSuspects = 1000

/** How many circuits of a backend elsewhere are asked for at a time. */
const statesAtOnce = 16

export const makeService = (
  backend: Backend,
  configured: NamedPolicies<ConfiguredPolicy>,
  telemetry: Telemetry.Service,
  maxCircuits: number
) => {
  const changes = new Changes<Transition>()
  const moved = (name: string, move: Move): void => {
    telemetry.emit("circuit_breaker.transition", { count: 1 }, { name, ...move })
    changes.publish({ name, ...move })
  }
  backend.elsewhere?.(moved)
  const policies = circuits(
    backend,
    configured,
    {
      moved,
      conflict: (name) => telemetry.emit("circuit_breaker.policy.conflict", { count: 1 }, { name }),
      rejected: (name, reason) =>
        telemetry.emit("config.policy.rejected", { count: 1 }, { component: "circuitBreaker", name, reason })
    },
    maxCircuits
  )

  const run = <A, E, R>(
    fiber: RuntimeFiber,
    flags: Flags,
    effect: Effect.Effect<A, E, R>,
    options: CallOptions<A, E> = noOptions
  ): Effect.Effect<A, E | Refused, R> => {
    const named = policies.of(options, fiber)
    const { terms, warning } = named
    if (warning !== undefined) {
      named.warning = undefined
      return Effect.zipRight(
        Effect.logWarning(warning),
        Effect.suspend(() => run(fiber, flags, effect, options))
      )
    }
    const permit = named.circuit.pass(terms, fiber)
    // The way of nearly all calls without a timeout: one continuation. When the call is interrupted it does not run, and
    // need not: an interruption counts as nothing, and the permit leaves nothing to give back.
    if (permit !== undefined && terms.timeoutMillis === Number.POSITIVE_INFINITY && !isMeasured()) {
      return settling(effect, new Call<A, E>(fiber, named, permit, options))
    }
    // From here on an interruption must be seen, so none may fall between the permit and the continuation.
    return Effect.uninterruptible(
      Effect.suspend(() =>
        permit !== undefined
          ? perform(fiber, flags, effect, new Call<A, E>(fiber, named, permit, options))
          : after(
              named.circuit.acquire(terms, fiber),
              (answer): Effect.Effect<A, E | Refused, R> =>
                answer instanceof Permit
                  ? perform(fiber, flags, effect, new Call<A, E>(fiber, named, answer, options))
                  : reject(fiber, named, answer)
            )
      )
    )
  }

  const perform = <A, E, R>(
    fiber: RuntimeFiber,
    flags: Flags,
    effect: Effect.Effect<A, E, R>,
    call: Call<A, E>
  ): Effect.Effect<A, E | OperationTimeout, R> => {
    const { timeoutMillis } = call.terms
    return timeoutMillis === Number.POSITIVE_INFINITY
      ? settling(RuntimeFlags.interruptible(flags) ? Effect.interruptible(effect) : effect, call)
      : within<A, E, R, A, E | OperationTimeout>(fiber, flags, effect, timeoutMillis, call)
  }

  const settling = <A, E, R>(effect: Effect.Effect<A, E, R>, call: Call<A, E>): Effect.Effect<A, E, R> =>
    Effect.matchCauseEffect(effect, {
      onSuccess: (value) => call.onSuccess(value),
      onFailure: (cause) => call.onFailure(cause)
    })

  const reject = (
    fiber: RuntimeFiber,
    { terms }: NamedCircuit,
    rejection: Rejection
  ): Effect.Effect<never, CircuitOpen> => {
    const error = circuitOpen(terms.policy, rejection, correlationIdOf(fiber))
    if (telemetry.enabled("circuit_breaker.rejected")) {
      telemetry.emit(
        "circuit_breaker.rejected",
        { count: 1, retryAfter: Duration.toMillis(error.retryAfter) },
        { name: terms.policy.name, state: rejection.state }
      )
    }
    return failIn(fiber, error)
  }

  const isMeasured = (): boolean => telemetry.enabled("circuit_breaker.call")

  /** One call that was let through: settles it, whichever way it ends. */
  class Call<A, E> {
    /** What was in force when the call began: its timeout stays what it was. */
    readonly terms: Terms
    private readonly since: number
    private readonly measured = isMeasured()

    constructor(
      private readonly fiber: RuntimeFiber,
      private readonly named: NamedCircuit,
      private readonly permit: Permit,
      private readonly options: CallOptions<A, E>
    ) {
      this.terms = named.terms
      this.since = this.measured || named.terms.timed ? monotonicMicros(clockOf(fiber)) : -1
    }

    onSuccess(value: A): Effect.Effect<A> {
      const { classify } = this.options
      if (classify === undefined) return then(this.settle("success", "success", 0), Effect.succeed(value))
      const exit = Exit.succeed(value)
      const outcome = judge(classify, exit)
      return then(this.settle(outcome, outcome, this.retryAfter(outcome, exit)), Effect.succeed(value))
    }

    onFailure(cause: Cause.Cause<E>): Effect.Effect<never, E> {
      if (Cause.isInterruptedOnly(cause)) return then(this.settle("ignore", "interrupted", 0), Effect.failCause(cause))
      const { classify } = this.options
      const exit = Exit.failCause(cause)
      const outcome = classify === undefined ? "failure" : judge(classify, exit)
      return then(this.settle(outcome, outcome, this.retryAfter(outcome, exit)), Effect.failCause(cause))
    }

    onExit(exit: Exit.Exit<A, E>): Effect.Effect<A, E> {
      return Exit.isSuccess(exit) ? this.onSuccess(exit.value) : this.onFailure(exit.cause)
    }

    onTimeout(): Effect.Effect<never, OperationTimeout> {
      const error = operationTimeout(this.terms.policy, correlationIdOf(this.fiber))
      return then(this.settle("failure", "timeout", 0), Effect.fail(error))
    }

    onInterrupt(): Effect.Effect<void> {
      return then(this.settle("ignore", "interrupted", 0), Effect.void)
    }

    /** For how long the failure asks to be left alone, in microseconds; not at all where it cannot be told. */
    private retryAfter(outcome: Outcome, exit: Exit.Exit<A, E>): number {
      const { retryAfter } = this.options
      if (retryAfter === undefined || outcome !== "failure") return 0
      try {
        const asked = Option.getOrElse(durationOf(retryAfter(exit)), () => Duration.zero)
        return Math.min(toMicros(asked), longestAsked)
      } catch {
        return 0
      }
    }

    private settle(outcome: Outcome, label: string, retryAfter: number): Answer<void> {
      const { fiber, measured, named, permit, since } = this
      const elapsed = since < 0 ? 0 : monotonicMicros(clockOf(fiber)) - since
      if (measured) {
        telemetry.emit("circuit_breaker.call", { duration: elapsed / 1000 }, { name: named.name, outcome: label })
      }
      // A policy that has changed since the call began holds for its outcome.
      policies.refresh(named)
      return named.circuit.settle(permit, outcome, elapsed, named.terms, fiber, retryAfter)
    }
  }

  const control = (control: Control) => (name: string) =>
    Effect.withFiberRuntime<void, StoreUnavailable>((fiber) => {
      const named = control === "reset" ? policies.peek({ name }) : policies.of({ name }, fiber)
      return after(named.circuit.control(control, named.terms, fiber), () => Effect.void)
    })

  const statusOf = (named: NamedCircuit) =>
    Effect.withFiberRuntime<Status, StoreUnavailable>((fiber) =>
      after(named.circuit.standing(named.terms, fiber), ({ retryAfter, state }) =>
        Effect.succeed({ name: named.name, state, retryAfter: waitOf(retryAfter), policy: named.terms.policy })
      )
    )

  return {
    run,
    status: (name: string) => Effect.suspend(() => statusOf(policies.peek({ name }))),
    states: Effect.suspend(() => Effect.forEach(policies.all(), statusOf, { concurrency: statesAtOnce })),
    reset: control("reset"),
    forceOpen: control("force_open"),
    disable: control("disable"),
    health: Effect.suspend(() => {
      const suspects = policies.all().filter(({ circuit }) => !circuit.idle())
      return Effect.map(
        Effect.forEach(suspects.slice(0, mostSuspects), (named) => Effect.option(statusOf(named)), {
          concurrency: statesAtOnce
        }),
        healthOf
      )
    }),
    changes: changes.stream
  }
}

/**
 * A circuit that rejects calls, or whose probes are out, is news. One that is half-open because nobody has called since is
 * none, nor is one that an operator has disabled.
 */
const healthOf = (statuses: ReadonlyArray<Option.Option<Status>>): Condition => {
  const isBroken = ({ retryAfter, state }: Status) =>
    state === "open" || state === "forced_open" || (state === "half_open" && Duration.toMillis(retryAfter) > 0)
  const names = statuses.flatMap((status) =>
    status._tag === "Some" && isBroken(status.value) ? [status.value.name] : []
  )
  return names.length === 0 ? up : degraded(`Calls are rejected by open circuits: ${listed(names)}`)
}

const then = <A, E>(settled: Answer<void>, end: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  settled === undefined ? end : Effect.zipRight(settled, end)

/** A classification that throws has not said that all is well. */
const judge = <A, E>(classify: (exit: Exit.Exit<A, E>) => Outcome, exit: Exit.Exit<A, E>): Outcome => {
  try {
    const outcome = classify(exit)
    return outcome === "success" || outcome === "ignore" ? outcome : "failure"
  } catch {
    return "failure"
  }
}
