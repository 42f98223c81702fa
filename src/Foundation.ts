import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CircuitBreaker } from "./CircuitBreaker.js"
import { Config } from "./Config.js"
import { Events } from "./Events.js"
import * as Health from "./Foundation/Health.js"
import type { ConfigError } from "./FoundationError.js"
import { RateLimiter } from "./RateLimiter.js"
import { ServiceRegistry } from "./ServiceRegistry.js"
import { Telemetry } from "./Telemetry.js"

/** The six services. */
export type Foundation = Telemetry | Config | Events | ServiceRegistry | CircuitBreaker | RateLimiter

export declare namespace Foundation {
  /** How the service is, and each of its components. */
  type Health = Health.Health
  /** For each component, the layer to use in place of the in-process one. */
  interface Replacements {
    readonly telemetry?: Layer.Layer<Telemetry, unknown, unknown>
    /** May need `Telemetry`. */
    readonly config?: Layer.Layer<Config, unknown, unknown>
    /** May need `Telemetry` and `Config`, as may those below. */
    readonly events?: Layer.Layer<Events, unknown, unknown>
    readonly serviceRegistry?: Layer.Layer<ServiceRegistry, unknown, unknown>
    readonly circuitBreaker?: Layer.Layer<CircuitBreaker, unknown, unknown>
    readonly rateLimiter?: Layer.Layer<RateLimiter, unknown, unknown>
  }

  /** What a composition with these replacements can fail with. */
  type ErrorOf<R extends Replacements> =
    | ErrorIn<R[keyof R & keyof Replacements]>
    | (R extends { readonly config: Layer.Layer.Any } ? never : ConfigError)

  /** What a composition with these replacements needs. */
  type NeedsOf<R extends Replacements> =
    | NeedsIn<R[keyof R & "telemetry"]>
    | Exclude<NeedsIn<R[keyof R & "config"]>, Telemetry>
    | Exclude<NeedsIn<R[Exclude<keyof R & keyof Replacements, "telemetry" | "config">]>, Telemetry | Config>
}

/** Unlike `Layer.Layer.Error`, nothing where there is no layer. */
type ErrorIn<L> = L extends Layer.Layer<infer _Out, infer E, infer _Needs> ? E : never
type NeedsIn<L> = L extends Layer.Layer<infer _Out, infer _E, infer Needs> ? Needs : never

const configLive = Layer.provide(Config.layer, NodeFileSystem.layer)

/**
 * The six services in one layer, each replaceable: the errors and needs of a replacement appear in the type. A
 * replacement is given `Telemetry` and `Config` where it needs them. Keep the result in a constant: a layer is built
 * once per reference.
 *
 * @example
 * import { Config, Foundation } from "effect-foundation"
 * import { Effect } from "effect"
 *
 * const Live = Foundation.layer({ config: Config.layerFrom(Config.object({ port: 3000 })) })
 *
 * Effect.runPromise(Config.get("port", 8080).pipe(Effect.provide(Live))).then(console.log)
 */
const layer = <const R extends Foundation.Replacements = Record<never, never>>(
  replacements?: R
): Layer.Layer<Foundation, Foundation.ErrorOf<R>, Foundation.NeedsOf<R>> => {
  const given: Foundation.Replacements = replacements ?? {}
  const composed = Layer.mergeAll(
    given.events ?? Events.layer,
    given.serviceRegistry ?? ServiceRegistry.layer,
    given.circuitBreaker ?? CircuitBreaker.layerConfig,
    given.rateLimiter ?? RateLimiter.layerConfig
  ).pipe(Layer.provideMerge(given.config ?? configLive), Layer.provideMerge(given.telemetry ?? Telemetry.layer))
  // `given` has forgotten which replacements there are; the signature has not.
  return composed as Layer.Layer<Foundation, Foundation.ErrorOf<R>, Foundation.NeedsOf<R>>
}

/**
 * How the service is, and each component: up, degraded or down, why, and since when. It answers within a second, whatever
 * the components do, and never fails. `check` of `Foundation/Health` is the same with options; `Http/Health` has the routes.
 *
 * @example
 * import { CircuitBreaker, Foundation, FoundationLive } from "effect-foundation"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* CircuitBreaker.forceOpen("payments")
 *   const { components, ready, status } = yield* Foundation.health
 *   console.log(status, ready, components.circuitBreaker.reason) // degraded true …: "payments"
 * })
 *
 * Effect.runPromise(program.pipe(Effect.provide(FoundationLive)))
 */
const health: Effect.Effect<Foundation.Health, never, Foundation> = Health.check<Record<never, never>>()

export const Foundation = { layer, health } as const

/**
 * The six services in one process: events in memory, configuration from `foundation.config.{yaml,yml,json,toml}` in the
 * working directory and from `FOUNDATION__SECTION__KEY` variables, policies by name from the configuration, live.
 * Provide it at the edge of the program.
 *
 * @example
 * import { Events, FoundationLive } from "effect-foundation"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* Events.store({ type: "order_placed", data: { orderId: 123 } })
 *   return yield* Events.get({ type: "order_placed" })
 * })
 *
 * Effect.runPromise(program.pipe(Effect.provide(FoundationLive))).then(console.log)
 */
export const FoundationLive: Layer.Layer<Foundation, ConfigError> = layer()
