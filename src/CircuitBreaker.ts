import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Backend as CircuitBreakerBackend } from "./CircuitBreaker/Backend.js"
import type { State as CircuitState, Outcome as OutcomeOfCall, TransitionReason } from "./CircuitBreaker/Circuit.js"
import { memory } from "./CircuitBreaker/Memory.js"
import {
  type CallOptions,
  ConfiguredPolicy as CircuitBreakerConfiguredPolicy,
  type Policy as CircuitBreakerPolicy,
  type PolicyOptions as CircuitBreakerPolicyOptions,
  parsePolicy,
  type TripOptions
} from "./CircuitBreaker/Policy.js"
import {
  type Status as CircuitStatus,
  type Transition as CircuitTransition,
  makeService,
  type Refused
} from "./CircuitBreaker/Service.js"
import type { Config } from "./Config.js"
import type { Condition } from "./Foundation/Health/Condition.js"
import { ConfigError, type StoreUnavailable } from "./FoundationError.js"
import { accessing, Behind, serviceOf } from "./internal/access.js"
import { configuredPolicies } from "./internal/configuredPolicies.js"
import { effectFirst } from "./internal/effectFirst.js"
import { type NamedPolicies, noPolicies } from "./internal/namedPolicies.js"
import { wrongField } from "./internal/wrongField.js"
import { Telemetry } from "./Telemetry.js"

export declare namespace CircuitBreaker {
  /** The policy of a name, and how the end of the call counts (`classify`). */
  type Options<A = unknown, E = unknown> = CallOptions<A, E>
  type Policy = CircuitBreakerPolicy
  type PolicyOptions = CircuitBreakerPolicyOptions
  /** What the configuration may state for a name. */
  type ConfiguredPolicy = CircuitBreakerConfiguredPolicy
  /** Policies by name that are stated outside of the code, live. */
  type Policies = NamedPolicies<CircuitBreakerConfiguredPolicy>
  type Trip = TripOptions
  type Outcome = OutcomeOfCall
  type State = CircuitState
  type Status = CircuitStatus
  type Transition = CircuitTransition
  type Reason = TransitionReason
  type Backend = CircuitBreakerBackend

  interface MemoryOptions {
    /** How many circuits are kept: 10,000 where not given. */
    readonly maxCircuits?: number | undefined
  }

  interface MakeOptions extends MemoryOptions {
    /** Where the circuits are: in the process, where not given. */
    readonly backend?: Backend | undefined
    /** The policies that are stated outside of the code, as {@link CircuitBreaker.policiesFromConfig}: none where not given. */
    readonly policies?: Policies | undefined
  }

  interface Execute<Needs> {
    <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options?: Options<NoInfer<A>, NoInfer<E>>
    ): Effect.Effect<A, E | Refused, R | Needs>
    <A0 = unknown, E0 = unknown>(
      options?: Options<A0, E0>
    ): <A extends A0, E extends E0, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Refused, R | Needs>
  }

  interface Service {
    readonly execute: Execute<never>
    readonly state: (name: string) => Effect.Effect<State, StoreUnavailable>
    readonly status: (name: string) => Effect.Effect<Status, StoreUnavailable>
    readonly states: Effect.Effect<ReadonlyArray<Status>, StoreUnavailable>
    readonly reset: (name: string) => Effect.Effect<void, StoreUnavailable>
    readonly forceOpen: (name: string) => Effect.Effect<void, StoreUnavailable>
    readonly disable: (name: string) => Effect.Effect<void, StoreUnavailable>
    readonly changes: Stream.Stream<Transition>
    /** What `Foundation.health` says of it. Without it, it is up. */
    readonly health?: Effect.Effect<Condition>
  }
}

/** How many circuits are kept, where `make` is not told otherwise. */
const defaultMaxCircuits = 10_000

const make = (
  options: CircuitBreaker.MakeOptions = {}
): Effect.Effect<CircuitBreaker.Service, ConfigError, Telemetry> => {
  const { backend = memory, maxCircuits = defaultMaxCircuits, policies = noPolicies } = options
  return Number.isSafeInteger(maxCircuits) && maxCircuits >= 1
    ? build(backend, policies, maxCircuits)
    : Effect.fail(
        new ConfigError({
          reason: "invalid_value",
          path: "circuitBreaker.maxCircuits",
          message: `maxCircuits must be a whole number from 1 on, but is ${maxCircuits}`
        })
      )
}

const build = (
  backend: CircuitBreakerBackend,
  policies: CircuitBreaker.Policies,
  maxCircuits = defaultMaxCircuits
): Effect.Effect<CircuitBreaker.Service, never, Telemetry> =>
  Effect.map(Telemetry, (telemetry) => {
    const { run, ...service } = makeService(backend, policies, telemetry, maxCircuits)
    const execute: CircuitBreaker.Execute<never> = effectFirst(
      <A, E, R>(effect: Effect.Effect<A, E, R>, options?: CallOptions<A, E>) =>
        Effect.withFiberRuntime<A, E | Refused, R>((fiber, { runtimeFlags }) =>
          run(fiber, runtimeFlags, effect, options)
        )
    )
    runs.set(execute, run)
    return { ...service, state: (name) => Effect.map(service.status(name), ({ state }) => state), execute }
  })

const runs = new Behind<CircuitBreaker.Service["execute"], ReturnType<typeof makeService>["run"]>()

const access = accessing(() => CircuitBreaker)

/**
 * Stops calling what fails, and tries again with care.
 *
 * A closed circuit lets every call through. After `maxFailures` failures with no success between them (or, with
 * `trip: { type: "rate" }`, at a share of failed or slow calls) it opens, on exactly that failure, and rejects calls
 * with CircuitOpen for `resetTimeout`. Then it is half-open: it lets `probes` calls through and rejects the rest. All
 * probes must succeed for it to close; one that fails, or is slow where slow calls are watched, opens it again.
 *
 * - Typed failures, defects and timeouts are failures; `classify` may judge otherwise of what the effect ended with. An
 *   interruption counts as nothing, and frees the place of the probe.
 * - A result counts only in the stretch of the state that its call began in: what comes late changes nothing.
 * - A probe that does not end holds the circuit no longer than `timeout` (without one, than the opening lasted); then
 *   another is let through, and the first no longer counts.
 * - Time is the monotonic time of the Clock: a jump of the wall clock opens, closes and frees nothing.
 * - The first policy that the code states for a name stays; a second is reported (`circuit_breaker.policy.conflict`, and
 *   one warning in the log). Fields left out are not compared, so `{ name }` alone uses what is in force.
 * - At most 10,000 circuits are kept (`maxCircuits`). A new name past that takes the place of the closed circuit that was
 *   used longest ago; only where none is closed, of another.
 */
export class CircuitBreaker extends Context.Tag("effect-foundation/CircuitBreaker")<
  CircuitBreaker,
  CircuitBreaker.Service
>() {
  /**
   * The service over a backend of one's own, with policies from elsewhere, or with another bound. Fails with ConfigError
   * if `maxCircuits` is invalid.
   *
   * @example
   * import { CircuitBreaker, Config, Telemetry } from "effect-foundation"
   * import { Effect, Layer } from "effect"
   *
   * const layer = Layer.scoped(
   *   CircuitBreaker,
   *   Effect.flatMap(CircuitBreaker.policiesFromConfig, (policies) =>
   *     CircuitBreaker.make({ policies, maxCircuits: 500 })
   *   )
   * )
   *
   * const config = Config.layerFrom(Config.object({ circuitBreaker: { payments: { maxFailures: 2 } } }))
   * const program = CircuitBreaker.status("payments").pipe(
   *   Effect.flatMap(({ policy }) => Effect.log(policy.maxFailures)),
   *   Effect.provide(layer),
   *   Effect.provide(Layer.provideMerge(config, Telemetry.layer))
   * )
   *
   * Effect.runPromise(program)
   */
  static readonly make = make

  /** The circuits of this process, with the policies that the code states. */
  static readonly layer: Layer.Layer<CircuitBreaker, never, Telemetry> = Layer.effect(
    CircuitBreaker,
    build(memory, noPolicies)
  )

  /** As `layer`, with another bound. Fails with ConfigError if it is invalid. */
  static readonly layerMemory = (
    options: CircuitBreaker.MemoryOptions
  ): Layer.Layer<CircuitBreaker, ConfigError, Telemetry> => Layer.effect(CircuitBreaker, make(options))

  /**
   * The policies that the configuration states under `circuitBreaker.<name>`, for {@link CircuitBreaker.make}. One that
   * cannot be used is reported (`config.policy.rejected`, and one warning in the log), and what was in force stays.
   */
  static readonly policiesFromConfig: Effect.Effect<CircuitBreaker.Policies, never, Config | Telemetry | Scope.Scope> =
    configuredPolicies("circuitBreaker", CircuitBreakerConfiguredPolicy)

  /**
   * The circuits of this process. What the configuration states under `circuitBreaker.<name>` (`timeout`, `maxFailures`,
   * `resetTimeout`, `probes`, `trip`) wins over the code, field by field and live. The state of the circuit survives such a
   * change: a lowered `maxFailures` holds from the next failure on, another `resetTimeout` from the next opening on.
   *
   * A circuit finds the policy of its name, or else one whose name has the same letters: that of `userService`, as the
   * environment states it, holds for `user-service` and `user_service` too.
   */
  static readonly layerConfig: Layer.Layer<CircuitBreaker, never, Telemetry | Config> = Layer.scoped(
    CircuitBreaker,
    Effect.flatMap(CircuitBreaker.policiesFromConfig, (policies) => build(memory, policies))
  )

  /**
   * Checks a policy, once and in advance; it serves as options. Fails with ConfigError if an option is invalid. At the top
   * of a module: `const payments = Effect.runSync(CircuitBreaker.policy({ … }))`.
   *
   * @example
   * import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
   * import { Effect } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const payments = yield* CircuitBreaker.policy({ name: "payments", timeout: "1 second", probes: 3 })
   *   const error = yield* CircuitBreaker.policy({ name: "payments", maxFailures: 0 }).pipe(Effect.flip)
   *   yield* Effect.log(payments.maxFailures, error.message)
   * })
   *
   * Effect.runSync(program)
   */
  static readonly policy = (
    options: CircuitBreakerPolicyOptions = {}
  ): Effect.Effect<CircuitBreakerPolicy, ConfigError> =>
    Effect.suspend(() =>
      Either.mapLeft(parsePolicy(options), (wrong) => wrongField("circuitBreaker", "circuit", wrong))
    )

  /**
   * Runs the effect if the circuit of the name lets it through; else fails with CircuitOpen at once. Its `retryAfter` is
   * always finite: the rest of the opening, of the lease of a probe, or, where forced open, `resetTimeout` as a hint.
   *
   * What the effect fails or dies with passes through unchanged. Past `timeout` the work is interrupted and the call fails
   * with OperationTimeout, as soon as the work has ended, and no more than a turn of the event loop later: what does not
   * let itself be interrupted, and finalizers that wait, go on in the background. Interruption of the caller interrupts
   * the work and waits for it. Without a timeout (`Duration.infinity`) the effect runs in the fiber of the caller.
   *
   * With a timeout, fibers that the effect forks with `Effect.fork` end with the call, as under `Effect.timeout`: use
   * `Effect.forkDaemon` or `Effect.forkScoped` for those that should outlive it.
   *
   * Calls without `name` share one circuit, called "default". Dies with ConfigError if an option is invalid;
   * {@link CircuitBreaker.policy} checks options in advance.
   *
   * @example
   * import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
   * import { Telemetry } from "effect-foundation/Telemetry"
   * import { Effect, Layer } from "effect"
   *
   * const charge = (order: number) =>
   *   Effect.fail(`no answer for order ${order}`).pipe(
   *     CircuitBreaker.execute({ name: "payments", timeout: "1 second", maxFailures: 2 }),
   *     Effect.catchTag("CircuitOpen", (error) => Effect.log(error.message)),
   *     Effect.catchTag("OperationTimeout", (error) => Effect.log(error.message)),
   *     Effect.catchAll((error) => Effect.log(error))
   *   )
   *
   * const layer = CircuitBreaker.layer.pipe(Layer.provide(Telemetry.layer))
   * Effect.runPromise(Effect.forEach([1, 2, 3], charge).pipe(Effect.provide(layer)))
   */
  static readonly execute: CircuitBreaker.Execute<CircuitBreaker> = effectFirst(
    <A, E, R>(effect: Effect.Effect<A, E, R>, options?: CallOptions<A, E>) =>
      Effect.withFiberRuntime<A, E | Refused, R | CircuitBreaker>((fiber, { runtimeFlags }) => {
        const breaker = serviceOf(fiber, CircuitBreaker)
        const run = runs.get(breaker.execute)
        return run === undefined ? breaker.execute(effect, options) : run(fiber, runtimeFlags, effect, options)
      })
  )

  /** The state of the circuit; one that was never used is closed. An opening whose time is over reads `half_open`. */
  static readonly state = (name: string) => access((breaker) => breaker.state(name))

  /** The state of the circuit, how long until the next call has a chance, and the policy in force. */
  static readonly status = (name: string) => access((breaker) => breaker.status(name))

  /** All circuits that this process uses. */
  static readonly states = access((breaker) => breaker.states)

  /** Closes the circuit, whatever its state, and forgets what was counted; results of calls that are out no longer count. */
  static readonly reset = (name: string) => access((breaker) => breaker.reset(name))

  /** Rejects every call from now on, until `reset`. */
  static readonly forceOpen = (name: string) => access((breaker) => breaker.forceOpen(name))

  /** Lets every call through from now on and counts nothing, until `reset`. The timeout holds all the same. */
  static readonly disable = (name: string) => access((breaker) => breaker.disable(name))

  /**
   * The changes of state from the start of the stream on, each once. A subscriber that is more than 1024 behind loses the
   * oldest.
   *
   * @example
   * import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
   * import { Telemetry } from "effect-foundation/Telemetry"
   * import { Effect, Fiber, Layer, Stream } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const two = yield* CircuitBreaker.changes.pipe(
   *     Stream.take(2),
   *     Stream.runForEach(({ from, name, reason, to }) => Effect.log(`${name}: ${from} → ${to} (${reason})`)),
   *     Effect.fork
   *   )
   *   yield* Effect.sleep("10 millis") // until the subscriber listens
   *   yield* CircuitBreaker.forceOpen("payments")
   *   yield* CircuitBreaker.reset("payments")
   *   yield* Fiber.join(two)
   * })
   *
   * const layer = CircuitBreaker.layer.pipe(Layer.provide(Telemetry.layer))
   * Effect.runPromise(program.pipe(Effect.provide(layer)))
   */
  static readonly changes: Stream.Stream<CircuitTransition, never, CircuitBreaker> = Stream.unwrap(
    access((breaker) => Effect.succeed(breaker.changes))
  )
}
