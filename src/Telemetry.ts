import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { unsafeCurrentCorrelationId } from "./CorrelationId.js"
import type { Catalogue, MeasurementsOf, MetadataOf } from "./Telemetry/Catalogue.js"
import { type Attached, Handlers, type Selector, type TelemetryEvent } from "./Telemetry/Handlers.js"

export type Measurements = Readonly<Record<string, number>>
export type Metadata = Readonly<Record<string, unknown>>

export declare namespace Telemetry {
  type Event = TelemetryEvent
  type Handler<E = never, R = never> = (event: TelemetryEvent) => void | Effect.Effect<unknown, E, R>

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
    readonly attach: <E, R>(
      id: string,
      selector: Selector,
      handler: Telemetry.Handler<E, R>
    ) => Effect.Effect<void, never, R | Scope.Scope>
    readonly attached: Effect.Effect<ReadonlyArray<{ readonly id: string; readonly selector: Selector }>>
  }
}

/** How many runs of one handler may be suspended at a time; past it, the event is not delivered to that handler. */
const maxSuspended = 256

const make: Effect.Effect<Telemetry.Service> = Effect.sync(() => {
  const handlers = new Handlers()

  const failed = (id: string, event: TelemetryEvent, reason: string): void => {
    // A failure while a failure is handled is not an event of its own: that would go on for ever.
    if (event.name !== "telemetry.handler.failure") {
      emit("telemetry.handler.failure", { count: 1 }, { handler: id, event: event.name, reason })
    }
  }

  const deliver = (attached: Attached, event: TelemetryEvent): void => {
    try {
      attached.handle(event)
    } catch (error) {
      failed(attached.id, event, String(error))
    }
  }

  const unsafeExecute = (name: string, measurements: Measurements, metadata: Metadata): void => {
    const attached = handlers.of(name)
    if (attached.length === 0) return
    const event = { name, measurements, metadata, correlationId: unsafeCurrentCorrelationId() }
    for (const handler of attached) deliver(handler, event)
  }
  const emit: Telemetry.Service["emit"] = unsafeExecute

  const attach = <E, R>(id: string, selector: Selector, handler: Telemetry.Handler<E, R>) =>
    Effect.acquireRelease(
      Effect.map(Effect.context<R>(), (context) => {
        let suspended = 0
        const attached: Attached = {
          id,
          selector,
          handle: (event) => {
            const result = handler(event)
            if (!Effect.isEffect(result)) return
            if (suspended >= maxSuspended) return failed(id, event, `${maxSuspended} runs are in progress`)
            const fiber = runHere(Effect.provide(result, context))
            const settled = (exit: Exit.Exit<unknown, unknown>) => {
              if (Exit.isFailure(exit)) failed(id, event, Cause.pretty(exit.cause))
            }
            const exit = fiber.unsafePoll()
            if (exit !== null) return settled(exit)
            suspended++
            fiber.addObserver((exit) => {
              suspended--
              settled(exit)
            })
          }
        }
        handlers.add(attached)
        return attached
      }),
      (attached) => Effect.sync(() => handlers.remove(attached))
    ).pipe(Effect.asVoid)

  return {
    execute: (name, measurements = {}, metadata = {}) => Effect.sync(() => unsafeExecute(name, measurements, metadata)),
    unsafeExecute,
    emit,
    enabled: (name) => handlers.of(name).length > 0,
    attach,
    attached: Effect.sync(() => handlers.all.map(({ id, selector }) => ({ id, selector })))
  }
})

/**
 * Starts the effect in this very step, with the fiber refs of the emitter (so its log annotations, its span and its
 * clock). What does not end in the step goes on by itself: a slow handler does not hold the emitter.
 */
const runHere = <A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> => {
  const emitter = Option.getOrUndefined(Fiber.getCurrentFiber())
  if (emitter === undefined) return Effect.runFork(effect)
  const runtime = Runtime.make({
    context: emitter.currentContext,
    fiberRefs: emitter.getFiberRefs(),
    runtimeFlags: Runtime.defaultRuntimeFlags
  })
  return Runtime.runFork(runtime)(effect)
}

export class Telemetry extends Context.Tag("effect-foundation/Telemetry")<Telemetry, Telemetry.Service>() {
  static readonly make = make
  static readonly layer: Layer.Layer<Telemetry> = Layer.effect(Telemetry, make)
  static readonly execute = (name: string, measurements?: Measurements, metadata?: Metadata) =>
    Effect.flatMap(Telemetry, (telemetry) => telemetry.execute(name, measurements, metadata))
  static readonly attach = <E, R>(id: string, selector: Selector, handler: Telemetry.Handler<E, R>) =>
    Effect.flatMap(Telemetry, (telemetry) => telemetry.attach(id, selector, handler))
  static readonly attached = Effect.flatMap(Telemetry, (telemetry) => telemetry.attached)
}
