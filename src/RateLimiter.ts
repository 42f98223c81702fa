import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Config } from "./Config.js"
import type { Condition } from "./Foundation/Health/Condition.js"
import { ConfigError, type RateLimited, type StoreUnavailable } from "./FoundationError.js"
import { accessing, Behind, serviceOf } from "./internal/access.js"
import { configuredPolicies } from "./internal/configuredPolicies.js"
import { effectFirst } from "./internal/effectFirst.js"
import { type NamedPolicies, noPolicies } from "./internal/namedPolicies.js"
import type { AlgorithmName } from "./RateLimiter/Algorithm.js"
import type { Backend as RateLimiterBackend } from "./RateLimiter/Backend.js"
import { Memory, type MemoryOptions as RateLimiterMemoryOptions } from "./RateLimiter/Memory.js"
import {
  invalid,
  parsePolicy,
  ConfiguredPolicy as RateLimiterConfiguredPolicy,
  type Policy as RateLimiterPolicy,
  type PolicyOptions as RateLimiterPolicyOptions
} from "./RateLimiter/Policy.js"
import { makeService } from "./RateLimiter/Service.js"
import type {
  CallOptions,
  Admission as RateLimiterAdmission,
  Status as RateLimiterStatus
} from "./RateLimiter/Ticket.js"
import { Telemetry } from "./Telemetry.js"

export declare namespace RateLimiter {
  /** What limits a call: the policy of a name, the subject (`key`), and what the call takes (`cost`). */
  type Options = CallOptions
  type Policy = RateLimiterPolicy
  type PolicyOptions = RateLimiterPolicyOptions
  /** What the configuration may state for a name. */
  type ConfiguredPolicy = RateLimiterConfiguredPolicy
  /** Policies by name that are stated outside of the code, live. */
  type Policies = NamedPolicies<RateLimiterConfiguredPolicy>
  type Algorithm = AlgorithmName
  type Admission = RateLimiterAdmission
  type Status = RateLimiterStatus
  type Backend = RateLimiterBackend
  type MemoryOptions = RateLimiterMemoryOptions

  /** A backend has bounds of its own: `maxKeys` goes with the one in the process, which is there where none is given. */
  type MakeOptions = {
    /** The policies that are stated outside of the code, as {@link RateLimiter.policiesFromConfig}: none where not given. */
    readonly policies?: Policies | undefined
  } & ((MemoryOptions & { readonly backend?: undefined }) | { readonly backend: Backend; readonly maxKeys?: undefined })

  interface Execute<Needs> {
    <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options?: Options | ReadonlyArray<Options>
    ): Effect.Effect<A, E | RateLimited | StoreUnavailable, R | Needs>
    (
      options?: Options | ReadonlyArray<Options>
    ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RateLimited | StoreUnavailable, R | Needs>
  }

  interface Service {
    readonly execute: Execute<never>
    readonly consume: (options?: Options) => Effect.Effect<Admission, RateLimited | StoreUnavailable>
    readonly consumeAll: (
      limits: ReadonlyArray<Options>
    ) => Effect.Effect<ReadonlyArray<Admission>, RateLimited | StoreUnavailable>
    readonly peek: (options?: Options) => Effect.Effect<Status, StoreUnavailable>
    readonly reset: (options?: Options) => Effect.Effect<void, StoreUnavailable>
    /** What `Foundation.health` says of it. Without it, it is up. */
    readonly health?: Effect.Effect<Condition>
  }
}

type OneOrMore = RateLimiter.Options | ReadonlyArray<RateLimiter.Options>

const make = (options: RateLimiter.MakeOptions = {}): Effect.Effect<RateLimiter.Service, ConfigError, Telemetry> => {
  const { backend, maxKeys, policies } = options
  return maxKeys === undefined || (Number.isSafeInteger(maxKeys) && maxKeys >= 1)
    ? Effect.suspend(() => build(backend ?? new Memory({ maxKeys }), policies))
    : Effect.fail(
        new ConfigError({
          reason: "invalid_value",
          path: "rateLimiter.maxKeys",
          message: `maxKeys must be a whole number from 1 on, but is ${maxKeys}`
        })
      )
}

const build = (
  backend: RateLimiterBackend,
  policies: RateLimiter.Policies = noPolicies
): Effect.Effect<RateLimiter.Service, never, Telemetry> =>
  Effect.map(Telemetry, (telemetry) => {
    const { run, ...service } = makeService(backend, policies, telemetry)
    const execute: RateLimiter.Execute<never> = effectFirst(
      <A, E, R>(effect: Effect.Effect<A, E, R>, limits?: OneOrMore) =>
        Effect.withFiberRuntime<A, E | RateLimited | StoreUnavailable, R>((fiber) => run(fiber, effect, limits))
    )
    runs.set(execute, run)
    return { ...service, execute }
  })

const runs = new Behind<RateLimiter.Service["execute"], ReturnType<typeof makeService>["run"]>()

const access = accessing(() => RateLimiter)

/**
 * Limits how much happens in how long, by name and subject.
 *
 * The default algorithm, `"sliding-window"`, is exact: in no span of `interval`, wherever it starts, is more than
 * `maxRequests` admitted. `"fixed-window"` and `"token-bucket"` take less memory and admit up to twice as much in an
 * unlucky span. A call that is refused takes nothing, and its `retryAfter` is exact: a call then is admitted, if no other
 * comes between. Time is the monotonic time of the Clock; a jump of the wall clock frees nothing.
 *
 * The first policy that is stated for a name stays; a second is reported (`rate_limiter.policy.conflict`, and one
 * warning in the log). A call that states only `name`, `key` and `cost` uses what is in force. The first call that states
 * anything says with `onExceeded` and `maxWait` how calls wait that do not say it themselves, so that some may wait where
 * others fail. What the configuration states wins over all of them.
 *
 * At most 10,000 names are kept. A new one past that takes the place of one under which nobody waits and no key is in use;
 * while all are in use it is a defect: a ConfigError. What varies with users and addresses is a `key`, of which there may
 * be a million (`maxKeys`).
 */
export class RateLimiter extends Context.Tag("effect-foundation/RateLimiter")<RateLimiter, RateLimiter.Service>() {
  /**
   * The service over a backend of one's own, with policies from elsewhere, or with another bound. Fails with ConfigError
   * if `maxKeys` is invalid.
   *
   * @example
   * import { Config, RateLimiter, Telemetry } from "effect-foundation"
   * import { Effect, Layer } from "effect"
   *
   * const layer = Layer.scoped(
   *   RateLimiter,
   *   Effect.flatMap(RateLimiter.policiesFromConfig, (policies) => RateLimiter.make({ policies, maxKeys: 5000 }))
   * )
   *
   * const config = Config.layerFrom(Config.object({ rateLimiter: { api: { maxRequests: 20 } } }))
   * const program = RateLimiter.consume({ name: "api", key: "ada" }).pipe(
   *   Effect.flatMap(({ remaining }) => Effect.log(remaining)),
   *   Effect.provide(layer),
   *   Effect.provide(Layer.provideMerge(config, Telemetry.layer))
   * )
   *
   * Effect.runPromise(program)
   */
  static readonly make = make

  /** The limits of this process. */
  static readonly layer: Layer.Layer<RateLimiter, never, Telemetry> = Layer.effect(
    RateLimiter,
    Effect.suspend(() => build(new Memory()))
  )

  /** As `layer`, with another bound on keys. Fails with ConfigError if it is invalid. */
  static readonly layerMemory = (options: RateLimiterMemoryOptions): Layer.Layer<RateLimiter, ConfigError, Telemetry> =>
    Layer.effect(RateLimiter, make(options))

  /**
   * The policies that the configuration states under `rateLimiter.<name>`, for {@link RateLimiter.make}. One that cannot
   * be used is reported (`config.policy.rejected`, and one warning in the log), and what was in force stays.
   */
  static readonly policiesFromConfig: Effect.Effect<RateLimiter.Policies, never, Config | Telemetry | Scope.Scope> =
    configuredPolicies("rateLimiter", RateLimiterConfiguredPolicy)

  /**
   * The limits of this process, with the policies that the configuration states under `rateLimiter.<name>` over those in
   * code, live: `maxRequests`, `interval`, `algorithm`, `onExceeded`, `maxWait`. What was taken stays taken; an interval
   * that becomes longer does not bring back what has left the shorter one, and another algorithm starts anew. Those that
   * wait hear of a change with the next call under the name, or when they wake.
   *
   * A limit finds the policy of its name, or else one whose name has the same letters: that of `userMails`, as the
   * environment states it, holds for `user-mails` and `user_mails` too.
   */
  static readonly layerConfig: Layer.Layer<RateLimiter, never, Telemetry | Config> = Layer.scoped(
    RateLimiter,
    Effect.flatMap(RateLimiter.policiesFromConfig, (policies) => build(new Memory(), policies))
  )

  /**
   * Checks a policy, once and in advance. The policy serves as options: `{ ...policy, key }`. Fails with ConfigError if an
   * option is invalid. At the top of a module: `const api = Effect.runSync(RateLimiter.policy({ … }))`.
   *
   * @example
   * import { RateLimiter } from "effect-foundation"
   * import { Effect } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const api = yield* RateLimiter.policy({ name: "api", maxRequests: 50, interval: "10 seconds" })
   *   const error = yield* RateLimiter.policy({ name: "api", maxRequests: 0 }).pipe(Effect.flip)
   *   yield* Effect.log(api.algorithm, error.message)
   * })
   *
   * Effect.runSync(program)
   */
  static readonly policy = (options: RateLimiterPolicyOptions = {}): Effect.Effect<RateLimiterPolicy, ConfigError> =>
    Effect.suspend(() => Either.mapLeft(parsePolicy(options), invalid))

  /**
   * Runs the effect if the limit admits it; else fails with RateLimited or, with `onExceeded: "wait"`, waits for its
   * turn. Several limits are taken from all at once, or not at all; the error names the one that is used up longest.
   *
   * Those that wait under a name and key are admitted in order of arrival, no call takes what they wait for, and a call
   * whose wait would be longer than `maxWait` is refused without waiting. (With costs above 1, what the calls ahead need
   * may turn out more than can be told at first; then it is refused when that shows, at the latest after `maxWait`.)
   * At most 10,000 wait under a name and key. An interrupted call gives its place back.
   *
   * Calls without `name` share one limit, called "default". Dies with ConfigError if an option is invalid or the cost is
   * above the limit; {@link RateLimiter.policy} checks options in advance.
   *
   * @example
   * import { RateLimiter, Telemetry } from "effect-foundation"
   * import { Effect, Layer } from "effect"
   *
   * const send = (user: string, text: string) =>
   *   Effect.log(`to ${user}: ${text}`).pipe(
   *     RateLimiter.execute([
   *       { name: "messages", maxRequests: 1000, interval: "1 minute" },
   *       { name: "messages-per-user", key: user, maxRequests: 1, interval: "1 second" }
   *     ])
   *   )
   *
   * const program = Effect.gen(function* () {
   *   yield* send("ada", "hello")
   *   yield* send("ada", "again").pipe(Effect.catchTag("RateLimited", (error) => Effect.log(error.message)))
   * })
   *
   * const layer = RateLimiter.layer.pipe(Layer.provide(Telemetry.layer))
   * Effect.runPromise(program.pipe(Effect.provide(layer)))
   */
  static readonly execute: RateLimiter.Execute<RateLimiter> = effectFirst(
    <A, E, R>(effect: Effect.Effect<A, E, R>, options?: OneOrMore) =>
      Effect.withFiberRuntime<A, E | RateLimited | StoreUnavailable, R | RateLimiter>((fiber) => {
        const limiter = serviceOf(fiber, RateLimiter)
        const run = runs.get(limiter.execute)
        return run === undefined ? limiter.execute(effect, options) : run(fiber, effect, options)
      })
  )

  /**
   * Takes from the limit as {@link RateLimiter.execute} does, and answers how it stands: what the headers of an HTTP
   * answer say.
   *
   * @example
   * import { RateLimiter, Telemetry } from "effect-foundation"
   * import { Duration, Effect, Layer } from "effect"
   *
   * const headers = Effect.map(
   *   RateLimiter.consume({ name: "api", key: "ada", cost: 5 }),
   *   ({ limit, remaining, resetAfter }) => ({
   *     "ratelimit-limit": limit,
   *     "ratelimit-remaining": remaining,
   *     "ratelimit-reset": Math.ceil(Duration.toSeconds(resetAfter))
   *   })
   * )
   *
   * const layer = RateLimiter.layer.pipe(Layer.provide(Telemetry.layer))
   * Effect.runPromise(headers.pipe(Effect.tap(Effect.log), Effect.provide(layer)))
   */
  static readonly consume = (options?: RateLimiter.Options) => access((limiter) => limiter.consume(options))

  /** Takes from all of the limits, or from none; answers how each stands, in their order. */
  static readonly consumeAll = (limits: ReadonlyArray<RateLimiter.Options>) =>
    access((limiter) => limiter.consumeAll(limits))

  /** How a limit stands for a call of this cost, with nothing taken or kept. What others wait for counts as taken. */
  static readonly peek = (options?: RateLimiter.Options) => access((limiter) => limiter.peek(options))

  /** Forgets what was taken under the name and key; those that wait are admitted as if they came now. */
  static readonly reset = (options?: RateLimiter.Options) => access((limiter) => limiter.reset(options))
}
