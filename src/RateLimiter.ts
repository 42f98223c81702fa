import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Config } from "./Config.js"
import { ConfigError, type RateLimited, type StoreUnavailable } from "./FoundationError.js"
import { configuredPolicies } from "./internal/configuredPolicies.js"
import { type NamedPolicies, noPolicies } from "./internal/namedPolicies.js"
import type { AlgorithmName } from "./RateLimiter/Algorithm.js"
import type { Backend as RateLimiterBackend } from "./RateLimiter/Backend.js"
import { Memory, type MemoryOptions as RateLimiterMemoryOptions } from "./RateLimiter/Memory.js"
import {
  ConfiguredPolicy,
  parsePolicy,
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
  type Algorithm = AlgorithmName
  type Admission = RateLimiterAdmission
  type Status = RateLimiterStatus
  type Backend = RateLimiterBackend
  type MemoryOptions = RateLimiterMemoryOptions

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
  }
}

type OneOrMore = RateLimiter.Options | ReadonlyArray<RateLimiter.Options>

const make = (
  options: { readonly backend?: RateLimiterBackend; readonly policies?: NamedPolicies<ConfiguredPolicy> } = {}
): Effect.Effect<RateLimiter.Service, never, Telemetry> =>
  Effect.map(Telemetry, (telemetry) => {
    const { backend = new Memory(), policies = noPolicies } = options
    const service = makeService(backend, policies, telemetry)
    return { ...service, execute: piped(service.execute) }
  })

/** Both forms of `execute`, of the one with the effect first. */
const piped = <Needs>(
  dataFirst: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options?: OneOrMore
  ) => Effect.Effect<A, E | RateLimited | StoreUnavailable, R | Needs>
): RateLimiter.Execute<Needs> => {
  function execute<A, E, R>(first?: Effect.Effect<A, E, R> | OneOrMore, options?: OneOrMore): unknown {
    return Effect.isEffect(first)
      ? dataFirst(first, options)
      : <A, E, R>(effect: Effect.Effect<A, E, R>) => dataFirst(effect, first)
  }
  // The overloads say what each of the two branches answers, which one signature cannot.
  return execute as RateLimiter.Execute<Needs>
}

/**
 * Limits how much happens in how long, by name and subject.
 *
 * The default algorithm, `"sliding-window"`, is exact: in no span of `interval`, wherever it starts, is more than
 * `maxRequests` admitted. `"fixed-window"` and `"token-bucket"` take less memory and admit up to twice as much in an
 * unlucky span. A call that is refused takes nothing, and its `retryAfter` is exact: a call then is admitted, if no other
 * comes between. Time is the monotonic time of the Clock; a jump of the wall clock frees nothing.
 *
 * The first policy that is stated for a name stays; a second is reported (`rate_limiter.policy.conflict`, and one
 * warning in the log). A call that states only `name`, `key` and `cost` uses what is in force. `onExceeded` and `maxWait`
 * belong to the call, so that some may wait where others fail.
 */
export class RateLimiter extends Context.Tag("effect-foundation/RateLimiter")<RateLimiter, RateLimiter.Service>() {
  /** The service over a backend (in the process, where not given), with the policies that are stated outside of the code. */
  static readonly make = make

  /** The limits of this process. */
  static readonly layer: Layer.Layer<RateLimiter, never, Telemetry> = Layer.effect(RateLimiter, make())

  /**
   * The limits of this process, with the policies that the configuration states under `rateLimiter.<name>` over those in
   * code, live: `maxRequests`, `interval`, `algorithm`, `onExceeded`, `maxWait`. What was taken stays taken; an interval
   * that becomes longer does not bring back what has left the shorter one, and another algorithm starts anew. Those that
   * wait hear of a change with the next call under the name, or when they wake.
   */
  static readonly layerConfig: Layer.Layer<RateLimiter, never, Telemetry | Config> = Layer.scoped(
    RateLimiter,
    Effect.flatMap(configuredPolicies("rateLimiter", ConfiguredPolicy), (policies) => make({ policies }))
  )

  /** The backend of this process with another bound on keys. */
  static readonly memory = (options: RateLimiterMemoryOptions = {}): Effect.Effect<RateLimiterBackend, ConfigError> =>
    options.maxKeys === undefined || (Number.isSafeInteger(options.maxKeys) && options.maxKeys >= 1)
      ? Effect.sync(() => new Memory(options))
      : Effect.fail(
          new ConfigError({
            reason: "invalid_value",
            path: "rateLimiter.maxKeys",
            message: `maxKeys must be a whole number from 1 on, but is ${options.maxKeys}`
          })
        )

  /**
   * Checks a policy, once and in advance. The policy serves as options: `{ ...policy, key }`. Fails with ConfigError on
   * what cannot be a limit: a count that is not a whole number from 1 on, an interval of no or endless length.
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
    Effect.suspend(() => parsePolicy(options))

  /**
   * Runs the effect if the limit admits it; else fails with RateLimited or, with `onExceeded: "wait"`, waits for its
   * turn. Several limits are taken from all at once, or not at all; the error names the one that is used up longest.
   *
   * Those that wait under a name and key are admitted in order of arrival, no call takes what they wait for, and a call
   * whose wait would be longer than `maxWait` is refused without waiting. (With costs above 1, what the calls ahead need
   * may turn out more than can be told at first; then it is refused when that shows, at the latest after `maxWait`.)
   * At most 10,000 wait under a name and key. An interrupted call gives its place back.
   *
   * Options that cannot be (see {@link RateLimiter.policy}), or a cost above the limit, are a defect: a ConfigError.
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
  static readonly execute: RateLimiter.Execute<RateLimiter> = piped<RateLimiter>(
    <A, E, R>(effect: Effect.Effect<A, E, R>, options?: OneOrMore) =>
      // Reads the context of the fiber itself: 0.4 µs less than by way of the Tag's effect.
      Effect.withFiberRuntime<A, E | RateLimited | StoreUnavailable, R | RateLimiter>((fiber) =>
        Context.unsafeGet(fiber.currentContext, RateLimiter).execute(effect, options)
      )
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
  static readonly consume = (options?: RateLimiter.Options) =>
    Effect.flatMap(RateLimiter, (limiter) => limiter.consume(options))

  /** Takes from all of the limits, or from none; answers how each stands, in their order. */
  static readonly consumeAll = (limits: ReadonlyArray<RateLimiter.Options>) =>
    Effect.flatMap(RateLimiter, (limiter) => limiter.consumeAll(limits))

  /** How a limit stands for a call of this cost, with nothing taken. What others wait for counts as taken. */
  static readonly peek = (options?: RateLimiter.Options) =>
    Effect.flatMap(RateLimiter, (limiter) => limiter.peek(options))

  /** Forgets what was taken under the name and key; those that wait are admitted as if they came now. */
  static readonly reset = (options?: RateLimiter.Options) =>
    Effect.flatMap(RateLimiter, (limiter) => limiter.reset(options))
}
