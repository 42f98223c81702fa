import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { CircuitBreaker } from "../CircuitBreaker.js"
import type { Config } from "../Config.js"
import { up, worst } from "../Foundation/Health/Condition.js"
import type { ConfigError } from "../FoundationError.js"
import { reachable } from "../Redis/Reachable.js"
import { Redis } from "../Redis.js"
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
    Effect.zipWith(
      CircuitBreaker.make({ backend, policies: options.policies, maxCircuits: options.maxCircuits }),
      Redis,
      (service, redis) => {
        const own = service.health ?? Effect.succeed(up)
        return { ...service, health: Effect.zipWith(reachable(redis, options.onUnavailable), own, worst) }
      }
    )
  )

/**
 * Circuits that all processes share which are given the same Redis and state the same `prefix`. Fails with ConfigError if
 * an option is invalid.
 *
 * Exact, by the order in which Redis hears of things and by its clock:
 * - A circuit opens on the Nth failure, wherever that is. Failures in a row are those since the last success that was
 *   reported; a process reports one where it knows of a failure to part. Every outcome counts once at most: one that Redis
 *   does not hear of in time, or of a call that was let through without Redis, does not count.
 * - Whoever sees the Nth failure end, or hears that the circuit is open, lets no call through any more.
 * - No more than `probes` places are taken at one time, by all processes together. A place is held while the probe runs, as
 *   long as the policy lets a probe hold it, under a lease that its process renews: a process that dies frees its places
 *   within `lease`. One that stands still for longer than that loses them; its probe goes on, and counts no more.
 * - What a call ends in after the circuit has changed its state, in whichever process, changes nothing.
 *
 * Within milliseconds, or, where a notification is lost, within `staleness`: the others hear of a change. Until then they
 * let calls through as before, and what those end in does not count. `changes` tells in each process of the changes of all
 * circuits; those that it could not hear of one by one it tells as one, `synchronized`.
 *
 * A closed circuit lets calls through, and an open one rejects them, without asking Redis: it is asked at the first call,
 * after a pause longer than `staleness`, and in the background in between. A call waits at its end where it has failed, was
 * slow under a rate of slow calls, or was a probe. Other successes are reported behind it, where they matter at all: one at
 * a time under a rate, with those that end meanwhile in the next, so that Redis is one round trip behind.
 *
 * The opening lasts as long as the process says whose report causes it, by its own `resetTimeout`; a Schedule takes one step
 * an opening in each process. Processes that state different policies under one name each judge by their own. A circuit
 * that nobody uses is forgotten after a day, or after 30 where it is forced open or disabled. Where Redis loses its data,
 * circuits are closed. A circuit takes some 300 bytes there, a window of calls a byte for each beside that.
 *
 * @example
 * import { Foundation } from "effect-foundation"
 * import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
 * import { Redis } from "effect-foundation/Redis"
 * import { Layer } from "effect"
 *
 * export const Live = Foundation.layer({
 *   circuitBreaker: CircuitBreakerRedis.layerConfig({ onUnavailable: "local" }).pipe(
 *     Layer.provide(Redis.layer({ url: "redis://localhost:6379" }))
 *   )
 * })
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
