import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { CircuitBreaker } from "../CircuitBreaker.js"
import type { Config } from "../Config.js"
import type { ConfigError } from "../FoundationError.js"
import type { Redis } from "../Redis.js"
import type { Telemetry } from "../Telemetry.js"
import { redis } from "./Redis/Fleet.js"
import type { OnUnavailable as RedisOnUnavailable, Options as RedisOptions } from "./Redis/Options.js"

export type Options = RedisOptions
export type OnUnavailable = RedisOnUnavailable

/** The service, as `CircuitBreaker.make` makes it, over circuits in Redis. Fails with ConfigError if an option is invalid. */
export const make = (
  options: Options & Pick<CircuitBreaker.MakeOptions, "policies"> = {}
): Effect.Effect<CircuitBreaker.Service, ConfigError, Redis | Telemetry | Scope.Scope> =>
  Effect.flatMap(redis(options), (backend) =>
    CircuitBreaker.make({ backend, policies: options.policies, maxCircuits: options.maxCircuits })
  )

/**
 * Circuits that all processes share that are given the same Redis and state the same `prefix`. Fails with ConfigError if
 * an option is invalid.
 *
 * Exact, by the order in which Redis hears of things and by its clock:
 * - The circuit opens on the Nth failure, wherever that is. Failures in a row are those since the last success that was
 *   reported; a success is reported where its process knows of failures to part. Each outcome counts at most once.
 * - One who has seen the Nth failure end, or has heard of it, calls no more.
 * - No more than `probes` places are held at one time. A place is its probe's until that ends, is kept by a lease while
 *   its process lives, and for no longer than the policy lets a probe hold it. A process that dies frees its places
 *   within `lease`. One that stands still for longer than that loses them: its probe runs on, and counts no more.
 * - What began in an earlier stretch of the state, in whichever process, changes nothing.
 *
 * With a delay of milliseconds: that the others hear of a change. Until then they let calls through as before, whose
 * outcomes count for nothing. Where a notification is lost they find out within `staleness`.
 *
 * A call of a closed circuit does not wait for Redis, but for the first and after a pause longer than `staleness`; nor
 * does one that an open circuit rejects. Waited for are failures, probes, and successes of neither.
 *
 * The length of an opening is what the process says whose report opens the circuit, by its own `resetTimeout`. A circuit
 * that nobody uses is forgotten after a day, one that is forced open or disabled after 30 days. Where Redis loses its data,
 * circuits are closed, and calls that are out count no more. Processes that state another policy under the name judge by
 * their own.
 *
 * @example
 * import { CircuitBreaker } from "effect-foundation"
 * import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
 * import { Redis } from "effect-foundation/Redis"
 * import { Telemetry } from "effect-foundation/Telemetry"
 * import { Effect, Layer } from "effect"
 *
 * const Live = CircuitBreakerRedis.layer({ onUnavailable: "local" }).pipe(
 *   Layer.provide(Redis.layer({ url: "redis://localhost:6379" })),
 *   Layer.provide(Telemetry.layer)
 * )
 *
 * export const program = Effect.succeed("charged").pipe(
 *   CircuitBreaker.execute({ name: "payments", timeout: "1 second" }),
 *   Effect.provide(Live)
 * )
 */
export const layer = (options: Options = {}): Layer.Layer<CircuitBreaker, ConfigError, Redis | Telemetry> =>
  Layer.scoped(CircuitBreaker, make(options))

/** As `layer`, with what the configuration states under `circuitBreaker.<name>` over the code, live. */
export const layerConfig = (
  options: Options = {}
): Layer.Layer<CircuitBreaker, ConfigError, Redis | Telemetry | Config> =>
  Layer.scoped(
    CircuitBreaker,
    Effect.flatMap(CircuitBreaker.policiesFromConfig, (policies) => make({ ...options, policies }))
  )
