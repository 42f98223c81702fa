import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { clockOf, monotonicMicros } from "../internal/monotonic.js"
import type { Telemetry } from "../Telemetry.js"
import { attributesOf } from "./Attributes.js"
import type { TelemetryEvent } from "./Handlers.js"

type Metadata = TelemetryEvent["metadata"]

/** The three events of a span. */
export interface SpanNames {
  readonly span: string
  readonly start: string
  readonly stop: string
  readonly exception: string
}

export const spanNames = (name: string): SpanNames => ({
  span: name,
  start: `${name}.start`,
  stop: `${name}.stop`,
  exception: `${name}.exception`
})

/** The tracer that Effect has where the program gives it none: nobody hears of its spans. */
const nobodys = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/**
 * The effect between its events, in a span of the tracer where the program has given it one; the effect itself where
 * nobody takes either.
 */
export const spanned = <A, E, R>(
  telemetry: Telemetry.Service,
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  effect: Effect.Effect<A, E, R>,
  names: SpanNames,
  metadata: Metadata,
  ofResult: ((result: A) => Metadata) | undefined
): Effect.Effect<A, E, R> => {
  if (Context.get(fiber.currentDefaultServices, Tracer.Tracer) !== nobodys) {
    const options = { attributes: attributesOf(metadata), captureStackTrace: false }
    return Effect.useSpan(names.span, options, (span) =>
      Effect.provideService(between(telemetry, effect, names, metadata, ofResult, span), Tracer.ParentSpan, span)
    )
  }
  if (!telemetry.enabled(names.start) && !telemetry.enabled(names.stop) && !telemetry.enabled(names.exception)) {
    return effect
  }
  return between(telemetry, effect, names, metadata, ofResult, undefined)
}

const between = <A, E, R>(
  telemetry: Telemetry.Service,
  effect: Effect.Effect<A, E, R>,
  names: SpanNames,
  metadata: Metadata,
  ofResult: ((result: A) => Metadata) | undefined,
  span: Tracer.Span | undefined
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime((fiber) => {
      const clock = clockOf(fiber)
      const started = monotonicMicros(clock)
      const duration = () => (monotonicMicros(clock) - started) / 1000
      telemetry.unsafeExecute(
        names.start,
        { monotonicTime: started / 1000, systemTime: clock.unsafeCurrentTimeMillis() },
        metadata
      )
      return Effect.matchCauseEffect(restore(effect), {
        onSuccess: (result) => {
          const measurements = { duration: duration() }
          const more = ofResult === undefined ? metadata : joined(metadata, () => ofResult(result))
          if (span !== undefined && ofResult !== undefined) {
            for (const [key, value] of Object.entries(attributesOf(more))) span.attribute(key, value)
          }
          telemetry.unsafeExecute(names.stop, measurements, more)
          return Effect.succeed(result)
        },
        onFailure: (cause) => {
          const measurements = { duration: duration() }
          telemetry.unsafeExecute(
            names.exception,
            measurements,
            joined(metadata, () => exceptionOf(cause))
          )
          return Effect.failCause(cause)
        }
      })
    })
  )

/** A cause that holds more than one kind is told by the first of failure, defect, interruption. */
const exceptionOf = (cause: Cause.Cause<unknown>): Metadata => {
  const failure = Cause.failureOption(cause)
  if (Option.isSome(failure)) return { kind: "failure", reason: failure.value }
  const defect = Cause.dieOption(cause)
  if (Option.isSome(defect)) return { kind: "defect", reason: defect.value }
  return { kind: "interruption", reason: "interrupted" }
}

/** Both, the second before the first; what cannot be read is left out. */
const joined = (metadata: Metadata, more: () => Metadata): Metadata => ({ ...read(() => metadata), ...read(more) })

const read = (metadata: () => Metadata): Metadata => {
  try {
    return { ...metadata() }
  } catch {
    return {}
  }
}
