import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { CorrelationId, correlationIdOf } from "../../CorrelationId.js"

/** The attribute of a span, as of a log line, that has the correlation id which was set. Without one, it is the trace id. */
export const correlationKey = "correlationId"

/**
 * The tracer, with two things that it leaves out: a correlation id that was set is an attribute of each span, so that
 * either id leads to the other; and where the trace came from outside and is not sampled, neither are spans within it.
 */
export const correlated = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    span: (name, parent, context, links, startTime, kind, options) => {
      if (Option.isSome(parent) && !parent.value.sampled) {
        return Object.assign(nobodys.span(name, parent, context, links, startTime, kind, options), { sampled: false })
      }
      const span = tracer.span(name, parent, context, links, startTime, kind, options)
      const set = correlationIdThatWasSet()
      if (set !== undefined) span.attribute(correlationKey, set)
      return span
    },
    context: (run, fiber) => tracer.context(run, fiber)
  })

/** Whose spans nobody hears of. */
const nobodys = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** The id that was set in the fiber that runs now. A trace id is none. */
const correlationIdThatWasSet = (): string | undefined =>
  Option.match(Fiber.getCurrentFiber(), {
    onNone: () => undefined,
    onSome: (fiber) => (Context.get(fiber.currentContext, CorrelationId) ? correlationIdOf(fiber) : undefined)
  })
