import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { CorrelationId, correlationIdOf } from "../../CorrelationId.js"
import { type Attribute, attributeOf, attributesOf } from "../Attributes.js"
import { limits } from "./Corrections.js"

/** The attribute of a span, as of a log line, that has the correlation id which was set. Without one, it is the trace id. */
export const correlationKey = "correlationId"

/**
 * The tracer, with what it leaves out:
 *
 * - A correlation id that was set is an attribute of each span, so that either id leads to the other.
 * - Where the trace came from outside and is not sampled, neither are spans within it.
 * - What a program attaches to a span is bounded, hides secrets, and cannot break the program: of itself the exporter reads
 *   it when the span ends, in the program's own fiber, and throws there.
 */
export const correlated = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    span: (name, parent, context, links, startTime, kind, options) => {
      if (Option.isSome(parent) && !parent.value.sampled) {
        return Object.assign(nobodys.span(name, parent, context, links, startTime, kind, options), { sampled: false })
      }
      const span = guarded(tracer.span(name, parent, context, links, startTime, kind, options))
      const set = correlationIdThatWasSet()
      if (set !== undefined) span.attribute(correlationKey, set)
      return span
    },
    context: (run, fiber) => tracer.context(run, fiber)
  })

const guarded = (span: Tracer.Span): Tracer.Span => {
  const { attribute, end, event } = span
  return Object.assign(span, {
    attribute: (key: string, value: unknown) => {
      const taken = Array.isArray(value) ? listOf(key, value) : attributeOf(key, () => value)
      if (taken !== undefined && (span.attributes.has(key) || span.attributes.size < limits.attributes)) {
        attribute.call(span, key, taken)
      }
    },
    event: (name: string, time: bigint, attributes?: Record<string, unknown>) =>
      event.call(span, name, time, attributes && attributesOf(attributes)),
    end: (time: bigint, exit: Exit.Exit<unknown, unknown>) => {
      try {
        end.call(span, time, exit)
      } catch {
        end.call(span, time, Exit.die("an error that cannot be read"))
      }
    }
  })
}

/** A list stays one, of which each part is as a value by itself. */
const listOf = (key: string, values: ReadonlyArray<unknown>): ReadonlyArray<Attribute> =>
  values.slice(0, limits.values).flatMap((value) => attributeOf(key, () => value) ?? [])

/** Whose spans nobody hears of. */
const nobodys = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** The id that was set in the fiber that runs now. A trace id is none. */
const correlationIdThatWasSet = (): string | undefined =>
  Option.match(Fiber.getCurrentFiber(), {
    onNone: () => undefined,
    onSome: (fiber) => (Context.get(fiber.currentContext, CorrelationId) ? correlationIdOf(fiber) : undefined)
  })
