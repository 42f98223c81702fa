import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Config } from "../Config.js"
import type { ConfigError } from "../FoundationError.js"
import { RateLimiter } from "../RateLimiter.js"
import { reachable } from "../Redis/Reachable.js"
import { Redis } from "../Redis.js"
import { Telemetry } from "../Telemetry.js"
import { RedisBackend } from "./Redis/Backend.js"
import { parseOptions, type Options as RedisOptions } from "./Redis/Options.js"

export type Options = RedisOptions

/**
 * The limits of all processes that share a Redis, over policies from elsewhere where such are given. Fails with ConfigError
 * if an option is invalid.
 */
export const make = (
  options: Options & { readonly policies?: RateLimiter.Policies | undefined } = {}
): Effect.Effect<RateLimiter.Service, ConfigError, Redis | Telemetry> =>
  Effect.gen(function* () {
    const settings = yield* parseOptions(options)
    const redis = yield* Redis
    const backend = new RedisBackend(redis, settings, yield* Telemetry)
    const service = yield* RateLimiter.make({ backend, policies: options.policies })
    return { ...service, health: reachable(redis, settings.onUnavailable) }
  })

/**
 * The limits of all processes that share a Redis: every decision is one script there, on its time, for all three
 * algorithms as exact as in one process. Time is that of the machine on which Redis runs: if somebody turns it on, what it
 * passes over has passed; if somebody turns it back by more than a second, or another Redis whose clock is behind takes
 * over, what was taken counts as if it had been taken then. What Redis loses (in a failover, for want of memory, by
 * FLUSHALL) is forgotten: those limits start unused.
 *
 * Each decision is there within the `deadline` (50 ms): by Redis, or as `onUnavailable` says. While Redis is known not to
 * answer, calls do not wait for it; when it answers again, it decides again, by itself. A decision without it is told by
 * telemetry (`rate_limiter.fallback`).
 *
 * In Redis a key holds at most 18 bytes for each admission of the last interval (sliding window), 16 bytes (fixed window) or
 * 40 (token bucket), beside its name and some 100 bytes; it goes a second after all in it has lapsed, that of a token
 * bucket up to half a second earlier, that of a sliding window up to an eighth of the interval later. Those that wait, wait
 * in this process: the order of arrival is kept among its own calls, and between processes it is not.
 *
 * @example
 * import { Foundation } from "effect-foundation"
 * import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
 * import { Redis } from "effect-foundation/Redis"
 * import { Layer } from "effect"
 *
 * export const Live = Foundation.layer({
 *   rateLimiter: RateLimiterRedis.layerConfig({ onUnavailable: { local: { share: 0.25 } } }).pipe(
 *     Layer.provide(Redis.layer({ url: "redis://localhost:6379" }))
 *   )
 * })
 */
export const layer = (options: Options = {}): Layer.Layer<RateLimiter, ConfigError, Redis | Telemetry> =>
  Layer.effect(RateLimiter, make(options))

/** As `layer`, with the policies that the configuration states under `rateLimiter.<name>` over those in code, live. */
export const layerConfig = (options: Options = {}): Layer.Layer<RateLimiter, ConfigError, Redis | Telemetry | Config> =>
  Layer.scoped(
    RateLimiter,
    Effect.flatMap(RateLimiter.policiesFromConfig, (policies) => make({ ...options, policies }))
  )
