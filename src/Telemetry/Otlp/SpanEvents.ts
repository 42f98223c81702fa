import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { clockOf } from "../../internal/monotonic.js"
import { attributesOf } from "../Attributes.js"
import type { TelemetryEvent } from "../Handlers.js"

/** How many events a span gets: OpenTelemetry's own bound ("Span limits"). A span may live as long as the process. */
const maxEvents = 128

const counts = new WeakMap<Tracer.Span, number>()

/** Makes an event of the span that is current where the event arises. Those of `Telemetry.span` are its span already. */
export const toSpanEvent = ({ measurements, metadata, name }: TelemetryEvent): void => {
  const emitter = Option.getOrUndefined(Fiber.getCurrentFiber())
  const span = emitter?.currentSpan
  if (emitter === undefined || span === undefined || span._tag !== "Span" || span.status._tag === "Ended") return
  if (name.startsWith(`${span.name}.`) && ends.has(name.slice(span.name.length + 1))) return
  const count = counts.get(span) ?? 0
  if (count >= maxEvents) return
  counts.set(span, count + 1)
  span.event(name, clockOf(emitter).unsafeCurrentTimeNanos(), attributesOf({ ...metadata, ...measurements }))
}

const ends: ReadonlySet<string> = new Set(["start", "stop", "exception"])
