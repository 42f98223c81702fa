import type * as Headers from "@effect/platform/Headers"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import { CorrelationId, isCorrelationId } from "../CorrelationId.js"
import { isTraceId, traceIdOf } from "./CorrelationId/TraceParent.js"

/** The header in which ids are taken, given back and sent on. */
export const headerName = "x-correlation-id"

export interface Options {
  /** The header that carries the id: `x-correlation-id` where not given. */
  readonly header?: string | undefined
  /**
   * Which wins where a request has both: the id of the header (the default, so that an id which somebody gave to a piece of
   * work stays with it across services that trace too), or the trace id of `traceparent`.
   */
  readonly prefer?: "header" | "traceparent" | undefined
}

/**
 * Gives each request its correlation id: to all that is done for it (errors, events, log lines, what `Http/Client` sends
 * on), and back to the client in the response, whatever that is.
 *
 * It is the id of `x-correlation-id`, else the trace id of `traceparent`, else that of the current span, else it is made. So
 * where a request is traced, its id is its trace id, unless somebody named it: then the span has the attribute
 * `correlation.id`.
 *
 * What comes from outside is taken as it is or not at all: 1 to 128 visible ASCII characters without a comma, which two
 * headers in one have; a `traceparent` only as W3C Trace Context writes it. No part of anything else is used.
 *
 * For `HttpRouter.use`, `HttpServer.serve`, `HttpApiBuilder.serve` and `HttpLayerRouter.middleware`. The outermost of the
 * middlewares, so that they share the id.
 *
 * @example
 * import { HttpApp, HttpRouter, HttpServerResponse } from "@effect/platform"
 * import { CorrelationId } from "effect-foundation"
 * import * as HttpCorrelationId from "effect-foundation/Http/CorrelationId"
 * import { Effect, Layer } from "effect"
 *
 * const router = HttpRouter.empty.pipe(
 *   HttpRouter.get("/", Effect.map(CorrelationId.current, (id) => HttpServerResponse.text(`handled as ${id}`))),
 *   HttpRouter.use(HttpCorrelationId.middleware())
 * )
 *
 * const { dispose, handler } = HttpApp.toWebHandlerLayer(router, Layer.empty)
 * const response = await handler(new Request("http://localhost/", { headers: { "x-correlation-id": "order-42" } }))
 * console.log(await response.text(), response.headers.get("x-correlation-id")) // handled as order-42 order-42
 * await dispose()
 */
export const middleware =
  (options: Options = {}) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> => {
    const { header = headerName, prefer = "header" } = options
    return Effect.withFiberRuntime<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest>(
      (fiber) => {
        const { headers } = Context.unsafeGet(fiber.currentContext, HttpServerRequest.HttpServerRequest)
        const span = fiber.currentSpan
        const given =
          prefer === "header"
            ? (named(headers, header) ?? traced(headers))
            : (traced(headers) ?? named(headers, header))
        const id = given ?? idOfSpan(span) ?? crypto.randomUUID()
        if (span?._tag === "Span" && span.traceId !== id) span.attribute("correlation.id", id)
        const told = HttpServerResponse.setHeader(header, id)
        // Told twice: responses to failures, and those of an app that is served inside, pass here; a response that a
        // middleware around the served app gives does not.
        return HttpApp.appendPreResponseHandler((_, response) => Effect.succeed(told(response))).pipe(
          Effect.zipRight(Effect.map(app, told)),
          CorrelationId.with(id)
        )
      }
    )
  }

const named = (headers: Headers.Headers, header: string): string | undefined => {
  const id = headers[header.toLowerCase()]
  return id !== undefined && isCorrelationId(id) && !id.includes(",") ? id : undefined
}

const traced = ({ traceparent }: Headers.Headers): string | undefined =>
  traceparent === undefined ? undefined : traceIdOf(traceparent)

/** The span may have taken its trace id from headers that nobody has checked (`b3`). */
const idOfSpan = (span: Tracer.AnySpan | undefined): string | undefined =>
  span !== undefined && isTraceId(span.traceId) ? span.traceId : undefined
