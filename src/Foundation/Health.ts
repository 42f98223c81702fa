import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { CircuitBreaker } from "../CircuitBreaker.js"
import { Config } from "../Config.js"
import { Events } from "../Events.js"
import type { Foundation } from "../Foundation.js"
import { RateLimiter } from "../RateLimiter.js"
import { ServiceRegistry } from "../ServiceRegistry.js"
import { Telemetry } from "../Telemetry.js"
import { type Condition, degraded, down, type Status, up, worst } from "./Health/Condition.js"
import { deadlineOf } from "./Health/Deadline.js"
import { eventsHealth, healthOf } from "./Health/Probes.js"
import { type Component, type Probe, watched } from "./Health/Watched.js"
import { Shutdown } from "./Shutdown.js"

export { type Component, type Condition, degraded, down, type Probe, type Status, up }

/** The six components. */
export type Name = "telemetry" | "config" | "events" | "serviceRegistry" | "circuitBreaker" | "rateLimiter"

/** How a service is. */
export interface Health<Names extends string = Name> {
  /** The worst of the components. */
  readonly status: Status
  /** Whether requests should come: it does not shut down, and no component is down that is required. */
  readonly ready: boolean
  /** Whether it shuts down. */
  readonly draining: boolean
  readonly components: Readonly<Record<Names, Component>>
}

/** Probes of a program's own, by name. */
export type Checks = Readonly<Record<string, Probe<unknown>>>

export interface Options<C extends Checks = Record<never, never>> {
  /**
   * How long all probes together may take: 1 second. A component that does not answer by then is down. To ask with one that
   * is no duration dies with ConfigError.
   */
  readonly deadline?: Duration.DurationInput
  /**
   * Without which the service is not ready: all components and checks, where not given. Where every instance has the same
   * store, the end of it makes all of them unready at once: leave out what they can do without.
   */
  readonly required?: ReadonlyArray<Name | (keyof NoInfer<C> & string)>
  /** How many events a consumer may be behind before the events are degraded: 10,000. */
  readonly maxLag?: number
  /**
   * What the program needs besides, each with its probe: it succeeds with `up`, `degraded(reason)` or `down(reason)`;
   * anything else is up, and a failure is down, of which only the name of the error is told. Under the name of a component
   * it takes the place of that. Keep the probes in constants: what is remembered of one is so by its reference.
   */
  readonly checks?: C
}

/** What the probes need. */
export type NeedsOf<C> = NeedsIn<C[keyof C]>
type NeedsIn<P> = P extends Effect.Effect<infer _A, infer _E, infer R> ? R : never

const defaultMaxLag = 10_000

/**
 * Asks every component how it is, all at once, and answers within the deadline, whatever they do. What runs when another
 * asks is asked once for both.
 *
 * | component | degraded | down |
 * |---|---|---|
 * | `config` | a source could not be read, or what it states was refused: the last good configuration is in force | |
 * | `events` | a consumer has dead letters, or is more than `maxLag` events behind | the store does not answer |
 * | `serviceRegistry` | the lease was lost, or what is known of other processes is older than a lease | the store does not answer |
 * | `circuitBreaker` | a circuit is open, forced open, or has probes out; Redis does not answer | so, where calls fail then |
 * | `rateLimiter` | Redis does not answer, and limits are kept without it | so, where calls fail then |
 * | `telemetry` | | |
 *
 * A half-open circuit that nobody calls is up, and so is a component made by others that does not tell its `health`.
 */
export const check = <const C extends Checks = Record<never, never>>(
  options: Options<C> = {}
): Effect.Effect<Health<Name | (keyof C & string)>, never, Foundation | NeedsOf<C>> => {
  const { maxLag = defaultMaxLag } = options
  const required: ReadonlyArray<string> | undefined = options.required
  const checks: Checks = options.checks ?? {}
  const looked = Effect.gen(function* () {
    const deadline = deadlineOf(options.deadline)
    const telemetry = yield* Telemetry
    const config = yield* Config
    const events = yield* Events
    const serviceRegistry = yield* ServiceRegistry
    const circuitBreaker = yield* CircuitBreaker
    const rateLimiter = yield* RateLimiter
    const shutdown = yield* Shutdown
    const look = (component: object, probe: Probe<unknown>) => watched(component).look(probe, deadline)
    // In a transaction of the caller it would tell of that; and it is nobody's request.
    const own = (component: object, probe: Effect.Effect<Condition, unknown>) =>
      look(
        component,
        probe.pipe(
          Effect.mapInputContext(() => Context.empty()),
          Effect.withTracerEnabled(false)
        )
      )
    const components = yield* Effect.all(
      {
        telemetry: own(telemetry, Effect.succeed(up)),
        config: own(config, healthOf(config)),
        events: own(events, eventsHealth(events, maxLag, Duration.times(deadline, 0.8))),
        serviceRegistry: own(serviceRegistry, healthOf(serviceRegistry)),
        circuitBreaker: own(circuitBreaker, healthOf(circuitBreaker)),
        rateLimiter: own(rateLimiter, healthOf(rateLimiter)),
        ...Object.fromEntries(Object.entries(checks).map(([name, probe]) => [name, look(probe, probe)]))
      },
      { concurrency: "unbounded" }
    )
    const draining = shutdown.isDraining()
    const failed = Object.entries(components).filter(([, { status }]) => status === "down")
    return {
      status: worst<{ readonly status: Status }>(up, ...Object.values(components)).status,
      ready: !draining && failed.every(([name]) => required !== undefined && !required.includes(name)),
      draining,
      components
    }
  })
  // The names of the checks, and what they need, are those of the signature.
  return looked as Effect.Effect<Health<Name | (keyof C & string)>, never, Foundation | NeedsOf<C>>
}
