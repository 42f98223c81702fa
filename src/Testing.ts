import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CircuitBreaker } from "./CircuitBreaker.js"
import { Config } from "./Config.js"
import { Foundation } from "./Foundation.js"
import type { ConfigError, StoreUnavailable } from "./FoundationError.js"
import { Decision } from "./RateLimiter/Decision.js"
import { Memory } from "./RateLimiter/Memory.js"
import { RateLimiter } from "./RateLimiter.js"
import { Telemetry } from "./Telemetry.js"

/** How many events a recording keeps at least; it holds up to twice as many, and the oldest leave first. */
const keptEvents = 100_000

/**
 * Every telemetry event that was emitted since the layer was built, or since `clear`, in order; of more than
 * 100,000, the last 100,000 at least.
 *
 * @example
 * import { CircuitBreaker } from "effect-foundation"
 * import { FoundationTest, TelemetryRecording } from "effect-foundation/Testing"
 * import { Effect } from "effect"
 *
 * const spec = Effect.gen(function* () {
 *   yield* CircuitBreaker.forceOpen("payments")
 *   const recording = yield* TelemetryRecording
 *   const [transition] = yield* recording.named("circuit_breaker.transition")
 *   console.log(transition?.metadata)
 * })
 *
 * Effect.runPromise(spec.pipe(Effect.provide(FoundationTest)))
 */
export class TelemetryRecording extends Context.Tag("effect-foundation/Testing/TelemetryRecording")<
  TelemetryRecording,
  {
    readonly events: Effect.Effect<ReadonlyArray<Telemetry.Event>>
    readonly named: (name: string) => Effect.Effect<ReadonlyArray<Telemetry.Event>>
    readonly clear: Effect.Effect<void>
  }
>() {
  static readonly layer: Layer.Layer<TelemetryRecording, never, Telemetry> = Layer.scoped(
    TelemetryRecording,
    Effect.gen(function* () {
      let recorded: Array<Telemetry.Event> = []
      yield* Telemetry.attach("recording", "*", (event) => {
        // By halves: to take one out of so long an array at each event would cost more than all else.
        if (recorded.length >= 2 * keptEvents) recorded = recorded.slice(keptEvents)
        recorded.push(event)
      })
      return {
        events: Effect.sync(() => [...recorded]),
        named: (name) => Effect.sync(() => recorded.filter((event) => event.name === name)),
        clear: Effect.sync(() => {
          recorded = []
        })
      }
    })
  )
}

/**
 * The six services for specs, and a recording of their telemetry: in memory, with an empty configuration. Nothing is read
 * from the working directory or the environment.
 */
export const FoundationTest: Layer.Layer<Foundation | TelemetryRecording, ConfigError> = Foundation.layer({
  config: Config.layerFrom(Config.object({})),
  // The one beneath, so that what the other services emit while they are built is recorded too.
  telemetry: Layer.service(Telemetry)
}).pipe(Layer.provideMerge(Layer.provideMerge(TelemetryRecording.layer, Telemetry.layer)))

/** Sets these values, by path, on the configuration that is provided to it. */
export const configSet = (values: Readonly<Record<string, unknown>>): Layer.Layer<never, ConfigError, Config> =>
  Layer.effectDiscard(
    Effect.forEach(Object.entries(values), ([path, value]) => Config.set(path, value), { discard: true })
  )

/**
 * Forces the circuits of these names open: every call is rejected with CircuitOpen, until `CircuitBreaker.reset`.
 *
 * @example
 * import { CircuitBreaker } from "effect-foundation"
 * import { circuitOpen, FoundationTest } from "effect-foundation/Testing"
 * import { Effect, Layer } from "effect"
 *
 * const spec = Effect.succeed("charged").pipe(
 *   CircuitBreaker.execute({ name: "payments" }),
 *   Effect.flip,
 *   Effect.map((error) => error._tag) // "CircuitOpen"
 * )
 *
 * const PaymentsDown = Layer.provideMerge(circuitOpen("payments"), FoundationTest)
 * Effect.runPromise(spec.pipe(Effect.provide(PaymentsDown))).then(console.log)
 */
export const circuitOpen = (...names: ReadonlyArray<string>): Layer.Layer<never, StoreUnavailable, CircuitBreaker> =>
  Layer.effectDiscard(Effect.forEach(names, (name) => CircuitBreaker.forceOpen(name), { discard: true }))

/**
 * A rate limiter in which the limits of these names are used up for ever, for every key; all others work as usual. It
 * takes the place of the one beneath it.
 *
 * @example
 * import { RateLimiter } from "effect-foundation"
 * import { FoundationTest, limitExhausted } from "effect-foundation/Testing"
 * import { Effect, Layer } from "effect"
 *
 * const spec = Effect.succeed("sent").pipe(
 *   RateLimiter.execute({ name: "messages", key: "ada" }),
 *   Effect.flip,
 *   Effect.map((error) => error._tag) // "RateLimited"
 * )
 *
 * const MessagesExhausted = Layer.provideMerge(limitExhausted("messages"), FoundationTest)
 * Effect.runPromise(spec.pipe(Effect.provide(MessagesExhausted))).then(console.log)
 */
export const limitExhausted = (...names: ReadonlyArray<string>): Layer.Layer<RateLimiter, never, Telemetry | Config> =>
  Layer.scoped(
    RateLimiter,
    Effect.flatMap(RateLimiter.policiesFromConfig, (policies) =>
      // It has no bound that could be invalid.
      Effect.orDie(RateLimiter.make({ backend: exhausted(new Set(names)), policies }))
    )
  )

const exhausted = (names: ReadonlySet<string>): RateLimiter.Backend => {
  const others = new Memory()
  const isExhausted = ({ name }: { readonly name: string }) => names.has(name)
  const refusal = ({ interval }: { readonly interval: number }) => new Decision(false, 0, interval, interval)
  return {
    take: (requests, clock) =>
      requests.some(({ limit }) => isExhausted(limit))
        ? requests.map((request) => (isExhausted(request.limit) ? refusal(request.limit) : others.peek(request, clock)))
        : others.take(requests, clock),
    peek: (request, clock) => (isExhausted(request.limit) ? refusal(request.limit) : others.peek(request, clock)),
    reset: (limit, key) => others.reset(limit, key),
    forget: (limit, clock) => others.forget(limit, clock)
  }
}
