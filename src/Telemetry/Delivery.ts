import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { CorrelationId, correlationIdOf } from "../CorrelationId.js"
import { jsonSafe } from "../internal/jsonSafe.js"
import { clockOf, monotonicMicros } from "../internal/monotonic.js"
import { type Attached, maxSuspended, type Run } from "./Attached.js"
import type { MeasurementsOf, MetadataOf } from "./Catalogue.js"
import { Handlers, type TelemetryEvent } from "./Handlers.js"

type Emitter = Fiber.RuntimeFiber<unknown, unknown> | undefined

/** An event on its way. Its correlation id is empty until the first handler that may read it, or a failure, needs it. */
interface Emitted extends TelemetryEvent {
  correlationId: string
}

/**
 * The run that a fiber is of: the one that started it, or the one that its parent is of. Not in the context, which a
 * finalizer and a layer have from elsewhere; and not passed on by a join, which would draw the joining fiber into the run.
 */
const runOfFiber: FiberRef.FiberRef<Run | undefined> = globalValue("effect-foundation/Telemetry/run", () =>
  FiberRef.unsafeMake<Run | undefined>(undefined, { join: (parent) => parent })
)

const failureEvent = "telemetry.handler.failure"

/** A handler that fails for ever is logged once in this time, in microseconds. */
const logInterval = 60_000_000

/** How much of a failure is told, in characters. */
const maxReason = 1024

/** Brings each event to the handlers that take it, and sees to it that nothing they do comes back to the emitter. */
export class Delivery {
  readonly handlers = new Handlers<Attached>()
  /** The run of the handler whose step this is. */
  private running: Run | undefined

  execute(
    emitter: Emitter,
    name: string,
    measurements: TelemetryEvent["measurements"] | undefined,
    metadata: TelemetryEvent["metadata"] | undefined
  ): void {
    try {
      const handlers = this.handlers.of(name)
      if (handlers.length === 0) return
      const event = { name, measurements: measurements ?? {}, metadata: metadata ?? {}, correlationId: "" }
      this.deliver(handlers, event, this.runOf(emitter), emitter)
    } catch {
      // Only where the stack is used up to the last frame; there is no room to tell of it.
    }
  }

  /**
   * Detaches the handlers and interrupts their runs. Waits for the runs to end, unless it is called from within a
   * handler: that would wait for itself.
   */
  detach(detached: ReadonlyArray<Attached>): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      for (const handler of detached) {
        if (!handler.detached) this.handlers.remove(handler)
        handler.detached = true
        fibers.push(...handler.fibers)
      }
      for (const run of fibers) run.unsafeInterruptAsFork(fiber.id())
      return fibers.length === 0 || this.runOf(fiber) !== undefined
        ? Effect.void
        : Effect.asVoid(Fiber.awaitAll(fibers))
    })
  }

  private runOf(emitter: Emitter): Run | undefined {
    return this.running ?? emitter?.getFiberRef(runOfFiber)
  }

  private deliver(handlers: ReadonlyArray<Attached>, event: Emitted, cause: Run | undefined, emitter: Emitter): void {
    const outer = this.running
    for (const handler of handlers) {
      // A handler before it in the list may have detached it.
      if (handler.detached) continue
      const run = handler.run(cause)
      if (run === undefined) {
        handler.skipped++
        continue
      }
      if (handler.readsId) identify(event, emitter)
      this.running = run
      try {
        if (handler.suspended >= maxSuspended) {
          this.failed(
            run,
            event,
            Cause.die(`not delivered: ${maxSuspended} runs of the handler are in progress`),
            emitter
          )
        } else {
          handler.delivered++
          const result = handler.handle(event)
          if (result !== undefined) this.goOn(run, event, result, emitter)
        }
      } catch (error) {
        this.failed(run, event, Cause.die(error), emitter)
      } finally {
        this.running = outer
      }
    }
  }

  /** What the handler answered is started in this very step; what does not end in the step goes on by itself. */
  private goOn(run: Run, event: Emitted, result: unknown, emitter: Emitter): void {
    if (Effect.isEffect(result)) {
      // `attach` has taken the context that the effect needs, and what it fails with is reported.
      this.start(run, event, result as Effect.Effect<unknown, unknown>, emitter)
    } else if (result instanceof Promise) {
      // Code without types may answer one: its rejection would otherwise end the process.
      const { handler } = run
      handler.promises++
      result.then(
        () => {
          handler.promises--
        },
        (error: unknown) => {
          handler.promises--
          this.failed(run, event, Cause.fail(error), undefined)
        }
      )
    }
  }

  private start(run: Run, event: Emitted, effect: Effect.Effect<unknown, unknown>, emitter: Emitter): void {
    const { handler } = run
    if (Exit.isExit(effect)) {
      this.settled(run, event, effect, emitter)
      return
    }
    const fiber = startIn(run, emitter, event.correlationId)(effect)
    const exit = fiber.unsafePoll()
    if (exit !== null) {
      this.settled(run, event, exit, emitter)
    } else if (handler.detached) {
      // By itself, in this step: the detachment could not see this run.
      fiber.unsafeInterruptAsFork(fiber.id())
    } else {
      handler.fibers.add(fiber)
      fiber.addObserver((exit) => {
        handler.fibers.delete(fiber)
        this.settled(run, event, exit, fiber)
      })
    }
  }

  private settled(run: Run, event: Emitted, exit: Exit.Exit<unknown, unknown>, emitter: Emitter): void {
    if (Exit.isSuccess(exit)) return
    if (run.handler.detached && Cause.isInterruptedOnly(exit.cause)) return
    this.failed(run, event, exit.cause, emitter)
  }

  private failed(run: Run, event: Emitted, cause: Cause.Cause<unknown>, emitter: Emitter): void {
    const { handler } = run
    identify(event, emitter)
    handler.failures++
    if (handler.log) this.log(run, event, cause, emitter)
    if (event.name === failureEvent) return
    const handlers = this.handlers.of(failureEvent)
    if (handlers.length === 0) return
    const measurements: MeasurementsOf<typeof failureEvent> = { count: 1 }
    const metadata: MetadataOf<typeof failureEvent> = {
      handler: handler.id,
      event: event.name,
      reason: reasonOf(cause)
    }
    // It arises in the run that failed, so that a handler is not told of its own failures.
    this.deliver(
      handlers,
      { name: failureEvent, measurements, metadata, correlationId: event.correlationId },
      run,
      emitter
    )
  }

  private log(run: Run, event: TelemetryEvent, cause: Cause.Cause<unknown>, emitter: Emitter): void {
    const { handler } = run
    handler.unlogged++
    const now = monotonicMicros(emitter === undefined ? clockOfRuntime(handler.runtime) : clockOf(emitter))
    if (handler.loggedAt !== undefined && now - handler.loggedAt < logInterval) return
    handler.loggedAt = now
    const count = handler.unlogged
    handler.unlogged = 0
    const message = `The telemetry handler "${handler.id}" failed on "${event.name}": ${reasonOf(cause)} (failures since the last report: ${count}; at most one report a minute)`
    startIn(run, emitter, event.correlationId)(Effect.logWarning(message))
  }
}

/** In the step in which the event arose: so the id is the one in force there. */
const identify = (event: Emitted, emitter: Emitter): void => {
  if (event.correlationId !== "") return
  event.correlationId = emitter === undefined ? crypto.randomUUID() : correlationIdOf(emitter)
}

/**
 * Starts the effect in this very step, with the fiber refs of the emitter (so its log annotations, its clock and its
 * loggers), as a fork does it: an interruption of the emitter is not the handler's. Outside of any fiber, with those of
 * the fiber that attached the handler.
 */
const startIn = (run: Run, emitter: Emitter, correlationId: string) => {
  const { handler } = run
  const services = new Map(emitter?.currentContext.unsafeMap)
  for (const [key, service] of handler.services) services.set(key, service)
  services.set(CorrelationId.key, correlationId)
  const runtime = Runtime.make({
    context: Context.unsafeMake<never>(services),
    fiberRefs: emitter?.getFiberRefs() ?? handler.runtime.fiberRefs,
    runtimeFlags: Runtime.defaultRuntimeFlags
  })
  return <A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> =>
    Runtime.runFork(runtime, effect, {
      updateRefs: (refs, fiberId) => FiberRefs.updateAs(refs, { fiberId, fiberRef: runOfFiber, value: run })
    })
}

const clockOfRuntime = (runtime: Runtime.Runtime<never>): Clock.Clock =>
  Context.get(
    Option.getOrElse(
      FiberRefs.get(runtime.fiberRefs, DefaultServices.currentServices),
      () => DefaultServices.liveServices
    ),
    Clock.Clock
  )

/** What a person needs to know of a failure, bounded, without a stack. Never throws, whatever was thrown. */
const reasonOf = (cause: Cause.Cause<unknown>): string => {
  try {
    if (Cause.isInterruptedOnly(cause)) return "interrupted"
    const reason = jsonSafe(Cause.squash(cause))
    return (typeof reason === "string" ? reason : JSON.stringify(reason)).slice(0, maxReason)
  } catch {
    return "unreadable"
  }
}
