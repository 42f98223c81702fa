import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { ConfigError } from "./FoundationError.js"
import { Behind, serviceOf } from "./internal/access.js"
import { Attached } from "./Telemetry/Attached.js"
import type { Catalogue, MeasurementsOf, MetadataOf } from "./Telemetry/Catalogue.js"
import * as Definition from "./Telemetry/Definition.js"
import { Delivery } from "./Telemetry/Delivery.js"
import { foundationMetrics } from "./Telemetry/foundationMetrics.js"
import { problemOfSelector, type Selector, type TelemetryEvent } from "./Telemetry/Handlers.js"
import * as Metrics from "./Telemetry/Metrics.js"
import { spanNames, spanned } from "./Telemetry/Span.js"

export type Measurements = Readonly<Record<string, number>>
export type Metadata = Readonly<Record<string, unknown>>

export declare namespace Telemetry {
  type Event = TelemetryEvent

  /** Answers nothing, or an effect to run. */
  type Handler<E = never, R = never> = (event: TelemetryEvent) => void | Effect.Effect<unknown, E, R>

  interface AttachOptions {
    /** Whether failures are logged, as warnings: the first, then at most one line a minute. False by default. */
    readonly log?: boolean
  }

  /** What is known of an attached handler. */
  interface Attachment {
    readonly id: string
    readonly selector: Selector
    /** How often it was called. */
    readonly delivered: number
    /** How often it threw, failed, died, was interrupted, or missed an event with too many of its runs in progress. */
    readonly failures: number
    /** How many events it was not given because they arose in a run of its own, or too many handlers deep. */
    readonly skipped: number
    /** How many of its runs go on in the background. */
    readonly running: number
  }

  /** The definition of a metric. */
  type Metric = Definition.Definition

  interface Service {
    readonly execute: (name: string, measurements?: Measurements, metadata?: Metadata) => Effect.Effect<void>
    /** `execute` in a synchronous step: for code that has no fiber to yield to, or no time to. Never throws. */
    readonly unsafeExecute: (name: string, measurements: Measurements, metadata: Metadata) => void
    /** `unsafeExecute` of an event of the catalogue, with its measurements and metadata checked. */
    readonly emit: <Name extends keyof Catalogue>(
      name: Name,
      measurements: MeasurementsOf<Name>,
      metadata: MetadataOf<Name>
    ) => void
    /** Whether any handler takes events of this name: where it does not, an emitter need not measure. */
    readonly enabled: (name: string) => boolean
    readonly attach: <E = never, R = never>(
      id: string,
      selector: Selector,
      handler: Telemetry.Handler<E, R>,
      options?: AttachOptions
    ) => Effect.Effect<void, never, R | Scope.Scope>
    readonly detach: (id: string) => Effect.Effect<void>
    readonly attached: Effect.Effect<ReadonlyArray<Attachment>>
  }
}

const deliveries = new Behind<Telemetry.Service["execute"], Delivery>()

const make: Effect.Effect<Telemetry.Service, never, Scope.Scope> = Effect.gen(function* () {
  const delivery = new Delivery()
  let closed = false
  const close = Effect.suspend(() => {
    closed = true
    return delivery.detach(delivery.handlers.all)
  })
  yield* whenClosed(yield* Effect.scope, close)

  const unsafeExecute = (name: string, measurements: Measurements, metadata: Metadata): void =>
    delivery.execute(Option.getOrUndefined(Fiber.getCurrentFiber()), name, measurements, metadata)

  const attach: Telemetry.Service["attach"] = <E, R>(
    id: string,
    selector: Selector,
    handler: Telemetry.Handler<E, R>,
    options?: Telemetry.AttachOptions
  ) => {
    const problem = problemOfSelector(selector)
    if (problem !== undefined) return Effect.dieSync(() => invalidSelector(id, problem))
    return Effect.flatMap(Effect.runtime<R | Scope.Scope>(), (runtime) => {
      // A runtime that has more than is asked of it: the services of R are given to the handler's effects one by one.
      const attached = new Attached(id, selector, handler, runtime as Runtime.Runtime<never>, options?.log === true)
      if (!closed) delivery.handlers.add(attached)
      return whenClosed(Context.get(runtime.context, Scope.Scope), delivery.detach([attached]))
    }).pipe(Effect.uninterruptible)
  }

  const execute: Telemetry.Service["execute"] = (name, measurements, metadata) =>
    Effect.withFiberRuntime((fiber) => {
      delivery.execute(fiber, name, measurements, metadata)
      return Effect.void
    })
  deliveries.set(execute, delivery)

  return {
    execute,
    unsafeExecute,
    emit: unsafeExecute,
    enabled: (name) => delivery.handlers.of(name).length > 0,
    attach,
    detach: (id) => Effect.suspend(() => delivery.detach(delivery.handlers.all.filter((handler) => handler.id === id))),
    attached: Effect.sync(() =>
      delivery.handlers.all.map(({ delivered, failures, id, selector, skipped, suspended }) => ({
        id,
        selector,
        delivered,
        failures,
        skipped,
        running: suspended
      }))
    )
  }
})

/** Not `Effect.addFinalizer`, under which a finalizer cannot tell in which handler's run the scope is closed. */
const whenClosed = (scope: Scope.Scope, finalizer: Effect.Effect<void>): Effect.Effect<void> =>
  Scope.addFinalizer(scope, Effect.uninterruptible(finalizer))

const invalidSelector = (id: string, problem: string) =>
  new ConfigError({
    reason: "invalid_value",
    path: `telemetry.${id}.selector`,
    message: `The telemetry handler "${id}" cannot be attached with this selector: ${problem}`
  })

const metrics = (definitions: ReadonlyArray<Telemetry.Metric>): Effect.Effect<void, never, Telemetry | Scope.Scope> =>
  Effect.flatMap(Telemetry, (telemetry) => {
    const clash = Metrics.clashOf(definitions)
    if (clash !== undefined) {
      return Effect.die(
        new ConfigError({
          reason: "invalid_value",
          path: `telemetry.metrics.${clash.name}.name`,
          message: `Two metrics have the name "${clash.name}": give one of them another with the option name`
        })
      )
    }
    return Effect.forEach(definitions, (definition) => Metrics.attach(telemetry, definition), { discard: true })
  })

type Span = {
  <A0 = unknown>(
    name: string,
    metadata?: Metadata,
    ofResult?: (result: A0) => Metadata
  ): <A extends A0, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | Telemetry>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    metadata?: Metadata,
    ofResult?: (result: A) => Metadata
  ): Effect.Effect<A, E, R | Telemetry>
}

const span: Span = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    metadata: Metadata = {},
    ofResult?: (result: A) => Metadata
  ): Effect.Effect<A, E, R | Telemetry> => {
    const names = spanNames(name)
    return Effect.withFiberRuntime((fiber) =>
      spanned(Context.unsafeGet(fiber.currentContext, Telemetry), fiber, effect, names, metadata, ofResult)
    )
  }
)

/**
 * Events from where things happen, to the handlers that are attached: in the process, in the emitter's own step, with no
 * queue between. What handlers do never comes back to the emitter.
 *
 * **Delivery.** Handlers run one after the other in order of attachment. A handler that is attached during an event takes
 * the next one; a handler that is detached during an event, by itself or another, is not called again, not even for this
 * one.
 *
 * **Effects.** A handler that answers an effect has it started in the same step, with the fiber refs of the emitter (its
 * span, log annotations, clock, correlation id) and the services that `attach` was called with. If it suspends, it goes on
 * in the background, at most 256 runs of one handler at a time.
 *
 * **Failures.** A handler that throws, fails, dies or is interrupted is counted (see `attached`), reported as the event
 * `telemetry.handler.failure`, logged if it was attached so, and stays attached. A failure to handle that event is only
 * counted.
 *
 * **Recursion.** A handler is not given the events that arise in its own runs, in their step or in their fibers: so an
 * exporter that is attached to `"*"` does not feed on what its own calls emit. Events that arise more than 8 handlers deep
 * are given to nobody. Both are counted as skipped.
 *
 * @example
 * import { Telemetry } from "effect-foundation"
 * import { Console, Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* Telemetry.attach("print", "http.*", (event) =>
 *     Console.log(`${event.name} took ${event.measurements.duration} ms on ${event.metadata.route}`)
 *   )
 *   yield* Telemetry.execute("http.request", { duration: 50 }, { route: "/orders" })
 * })
 *
 * Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Telemetry.layer)))
 */
export class Telemetry extends Context.Tag("effect-foundation/Telemetry")<Telemetry, Telemetry.Service>() {
  /** The service; when the scope closes, every handler is detached and the runs that go on are interrupted. */
  static readonly make = make

  static readonly layer: Layer.Layer<Telemetry> = Layer.scoped(Telemetry, make)

  /**
   * Emits an event: its name, measurements (numbers; durations in milliseconds) and metadata. Never fails and never
   * throws, whatever the handlers do. Done when every handler has been called; handlers that suspended go on without it.
   * Costs a table read where nobody takes the event.
   *
   * @example
   * import { Telemetry } from "effect-foundation"
   * import { Effect } from "effect"
   *
   * const program = Telemetry.execute("request_latency", { duration: 50 }, { controller: "UserController" })
   *
   * Effect.runSync(program.pipe(Effect.provide(Telemetry.layer)))
   */
  static readonly execute = (
    name: string,
    measurements?: Measurements,
    metadata?: Metadata
  ): Effect.Effect<void, never, Telemetry> =>
    // Not by `accessing`, which does not tell the fiber: to find it once more, with a closure in a closure, is 7 to 11 % of
    // an event that a metric counts.
    Effect.withFiberRuntime<void, never, Telemetry>((fiber) => {
      const telemetry = serviceOf(fiber, Telemetry)
      const delivery = deliveries.get(telemetry.execute)
      if (delivery === undefined) return telemetry.execute(name, measurements, metadata)
      delivery.execute(fiber, name, measurements, metadata)
      return Effect.void
    })

  /**
   * Attaches a handler until the scope closes: then it is not called again, its runs in the background are interrupted, and
   * the closing waits for them to end (unless a handler closes the scope: it would wait for itself). The id is a label for
   * people and for `detach`, and need not be unique. A selector that could never match is a defect, a `ConfigError`.
   *
   * @example
   * import { Telemetry } from "effect-foundation"
   * import { Effect } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const slow: Array<string> = []
   *   yield* Telemetry.attach("slow", ["db.query", "http.*"], (event) => {
   *     if ((event.measurements.duration ?? 0) > 100) slow.push(event.name)
   *   })
   *   yield* Telemetry.execute("db.query", { duration: 250 })
   *   return slow // ["db.query"]
   * })
   *
   * Effect.runSync(program.pipe(Effect.scoped, Effect.provide(Telemetry.layer)))
   */
  static readonly attach = <E = never, R = never>(
    id: string,
    selector: Selector,
    handler: Telemetry.Handler<E, R>,
    options?: Telemetry.AttachOptions
  ): Effect.Effect<void, never, R | Scope.Scope | Telemetry> =>
    Effect.flatMap(Telemetry, (telemetry) => telemetry.attach(id, selector, handler, options))

  /** Detaches every handler of this id before its scope does, with the same guarantees. None is no error. */
  static readonly detach = (id: string): Effect.Effect<void, never, Telemetry> =>
    Effect.flatMap(Telemetry, (telemetry) => telemetry.detach(id))

  /** The attached handlers in the order in which they are called, with what they have done. */
  static readonly attached: Effect.Effect<ReadonlyArray<Telemetry.Attachment>, never, Telemetry> = Effect.flatMap(
    Telemetry,
    (telemetry) => telemetry.attached
  )

  /**
   * Emits `<name>.start` before the effect, and after it `<name>.stop` or, if it did not succeed, `<name>.exception`. The
   * effect's value, errors and needs stay as they are.
   *
   * - start measures `monotonicTime` (only differences have a meaning) and `systemTime` (since 1970)
   * - stop measures `duration`; `ofResult` adds to its metadata
   * - exception measures `duration`, and adds `kind` (`"failure"`, `"defect"`, `"interruption"`) and `reason` (the error or
   *   the defect itself) to the metadata
   *
   * All in milliseconds, with microseconds in the fraction. Durations are monotonic: a jump of the wall clock changes
   * nothing. Where nobody takes any of the three when the effect starts, nothing is measured.
   *
   * Where the program has a tracer, as `Telemetry/Otlp` gives it one, the effect also runs in a span of that tracer, of the
   * same name, with the metadata as its attributes; the events arise within it, and its trace id is their correlation id
   * unless one was set.
   *
   * @example
   * import { Telemetry } from "effect-foundation"
   * import { Console, Effect } from "effect"
   *
   * const fetchOrder = Effect.succeed({ id: 1, lines: ["a", "b"] }).pipe(
   *   Effect.delay("10 millis"),
   *   Telemetry.span("order.fetch", { source: "db" }, (order: { lines: ReadonlyArray<string> }) => ({
   *     lines: order.lines.length
   *   }))
   * )
   *
   * const program = Telemetry.attach("print", "order.fetch.stop", (event) =>
   *   Console.log(event.measurements.duration, event.metadata)
   * ).pipe(Effect.zipRight(fetchOrder), Effect.scoped, Effect.provide(Telemetry.layer))
   *
   * Effect.runPromise(program)
   */
  static readonly span = span

  /** How often the event happened. An option `keep` says which of them count. */
  static readonly counter = Definition.counter
  /** What the measurement adds up to. It only rises: a negative measurement is a failure of the handler. */
  static readonly sum = Definition.sum
  /** The measurement of the last event. */
  static readonly lastValue = Definition.lastValue
  /** Quantiles of the measurement over the last minute; costs more to read than a distribution, and cannot be summed up. */
  static readonly summary = Definition.summary
  /** How the measurement falls into buckets. */
  static readonly distribution = Definition.distribution

  /**
   * Feeds the metrics into Effect's own `Metric` registry until the scope closes, and so to every exporter that reads it;
   * what was counted stays. A definition that is given twice counts once.
   *
   * A metric has at most `maxSeries` series (1000), in this process, however often it is attached; events with other tags
   * go to one more, with the tag `otel.metric.overflow=true`, and the first of them emits `telemetry.metric.overflow`.
   * A measurement that is not a finite number is a failure of the handler, and does not count.
   *
   * An option out of its bounds, and two metrics with one name, are defects, each a `ConfigError`.
   *
   * @example
   * import { Telemetry } from "effect-foundation"
   * import { Effect, Layer, Metric } from "effect"
   *
   * const requests = Telemetry.counter("http.request.stop", { name: "http_requests", tags: ["route"] })
   * const latency = Telemetry.distribution("http.request.stop", { measurement: "duration", unit: "ms", tags: ["route"] })
   * const Live = Layer.provideMerge(Telemetry.layerMetrics([requests, latency]), Telemetry.layer)
   *
   * const program = Effect.gen(function* () {
   *   yield* Telemetry.execute("http.request.stop", { duration: 42 }, { route: "/orders" })
   *   return yield* Metric.value(Metric.counter("http_requests").pipe(Metric.tagged("route", "/orders"))) // count 1
   * })
   *
   * Effect.runPromise(Effect.provide(program, Live)).then(console.log)
   */
  static readonly metrics = metrics

  /** {@link Telemetry.metrics} for as long as the layer lives. Keep it in a constant. */
  static readonly layerMetrics = (definitions: ReadonlyArray<Telemetry.Metric>): Layer.Layer<never, never, Telemetry> =>
    Layer.scopedDiscard(metrics(definitions))

  /** Definitions for the library's own events: circuits, limits, configuration, events, registrations, handlers. */
  static readonly foundationMetrics = foundationMetrics
}
