import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { clockOf, monotonicMicros } from "../internal/monotonic.js"
import type { Telemetry } from "../Telemetry.js"
import type { TelemetryEvent } from "./Handlers.js"

type Metadata = TelemetryEvent["metadata"]

/** The three events of a span. */
export interface SpanNames {
  readonly start: string
  readonly stop: string
  readonly exception: string
}

export const spanNames = (name: string): SpanNames => ({
  start: `${name}.start`,
  stop: `${name}.stop`,
  exception: `${name}.exception`
})

/** The effect between its events; the effect itself where nobody takes them. */
export const spanned = <A, E, R>(
  telemetry: Telemetry.Service,
  effect: Effect.Effect<A, E, R>,
  names: SpanNames,
  metadata: Metadata,
  ofResult: ((result: A) => Metadata) | undefined
): Effect.Effect<A, E, R> => {
  if (!telemetry.enabled(names.start) && !telemetry.enabled(names.stop) && !telemetry.enabled(names.exception)) {
    return effect
  }
  return Effect.uninterruptibleMask((restore) =>
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
}

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
