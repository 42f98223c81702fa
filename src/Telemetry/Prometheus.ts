import { createServer } from "node:http"
import * as Headers from "@effect/platform/Headers"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import type * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { contentTypes, negotiate } from "./Prometheus/Accept.js"
import { scrape } from "./Prometheus/Families.js"
import type { Format } from "./Prometheus/Family.js"
import { type Conflict, render } from "./Prometheus/Render.js"
import { streamOf } from "./Prometheus/Slices.js"
import { isNews, say } from "./Prometheus/Warnings.js"

export type {
  Family,
  Format,
  HistogramState,
  Kind,
  Label,
  NumberState,
  Series,
  SummaryState
} from "./Prometheus/Family.js"

/**
 * The families as Prometheus reads them, in text 0.0.4 (the default) or OpenMetrics 1.0.0: a pure function of plain data.
 *
 * - Names are made of the letters that are allowed; a counter ends in `_total`; a unit is the end of the name, and values
 *   are in the base unit (`ms` become `_seconds`, `By` become `_bytes`).
 * - Labels are sorted; labels whose names become one are joined with `;`; an empty label is left out.
 * - Of two metrics with one name and different kinds, the first stays. What is left out is counted in
 *   `telemetry_metric_conflicts`.
 *
 * @example
 * import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
 *
 * const text = Prometheus.render([
 *   {
 *     name: "http.requests",
 *     kind: "counter",
 *     help: "Requests that were answered",
 *     series: [{ labels: [["route", "/orders"]], state: { value: 3 } }]
 *   }
 * ])
 *
 * console.log(text) // … http_requests_total{route="/orders"} 3
 */
export { render }

/** How many scrapes are answered at a time; others get 503. Prometheus asks one by one. */
const maxScrapes = 4

let scrapes = 0

/**
 * All that Effect's `Metric` registry holds, in the given format: the metrics of `Telemetry`, those of the program, and
 * Effect's own. Each series is read when it is written, in slices between which the event loop turns, so that 10,000 series
 * hold up nothing; what is not pulled is not read.
 *
 * @example
 * import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
 * import { Effect, Metric, Stream } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* Metric.increment(Metric.counter("orders", { incremental: true, description: "Orders placed" }))
 *   return yield* Stream.mkString(Prometheus.text("openmetrics")) // … orders_total 1 … # EOF
 * })
 *
 * Effect.runPromise(program).then(console.log)
 */
export const text = (format: Format = "text"): Stream.Stream<string> =>
  Stream.suspend(() => {
    const unsaid: Array<Conflict> = []
    return Stream.concat(
      streamOf(() => scrape(format, (conflict) => void (isNews(conflict) && unsaid.push(conflict)))),
      Stream.execute(Effect.suspend(() => Effect.forEach(unsaid, say, { discard: true })))
    )
  })

/**
 * Answers a scrape, in the format that its `Accept` header prefers. At most four at a time; others get 503.
 */
export const handler: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> =
  Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
    if (scrapes >= maxScrapes) {
      return HttpServerResponse.text("Too many scrapes at a time\n", { status: 503, headers: { "retry-after": "1" } })
    }
    const format = negotiate(Option.getOrUndefined(Headers.get(headers, "accept")))
    // Counted while the body is read, which it may never be: a HEAD request has none.
    const counted = Stream.acquireRelease(
      Effect.sync(() => scrapes++),
      () => Effect.sync(() => scrapes--)
    )
    const body = Stream.encodeText(Stream.flatMap(counted, () => text(format)))
    return HttpServerResponse.stream(body, { contentType: contentTypes[format], headers: { vary: "accept" } })
  })

/**
 * Adds the route to a `HttpRouter`, at `/metrics` if no path is given.
 *
 * @example
 * import { HttpApp, HttpRouter, HttpServerResponse } from "@effect/platform"
 * import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
 * import { Layer } from "effect"
 *
 * const router = HttpRouter.empty.pipe(HttpRouter.get("/", HttpServerResponse.text("hello")), Prometheus.route())
 *
 * const { dispose, handler } = HttpApp.toWebHandlerLayer(router, Layer.empty)
 * const response = await handler(new Request("http://localhost/metrics"))
 * console.log(await response.text())
 * await dispose()
 */
export const route =
  (path: HttpRouter.PathInput = "/metrics") =>
  <E, R>(router: HttpRouter.HttpRouter<E, R>): HttpRouter.HttpRouter<E, R> =>
    HttpRouter.get(router, path, handler)

/**
 * Adds the route to the `HttpLayerRouter`, at `/metrics` if no path is given.
 *
 * @example
 * import { HttpLayerRouter } from "@effect/platform"
 * import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
 *
 * const { dispose, handler } = HttpLayerRouter.toWebHandler(Prometheus.layerRoute())
 * const response = await handler(new Request("http://localhost/metrics"))
 * console.log(response.headers.get("content-type")) // text/plain; version=0.0.4; charset=utf-8
 * await dispose()
 */
export const layerRoute = (
  path: HttpRouter.PathInput = "/metrics"
): Layer.Layer<never, never, HttpLayerRouter.HttpRouter> => HttpLayerRouter.add("GET", path, handler)

export interface Options {
  /** 9464 by default, which OpenTelemetry gives to Prometheus exporters. */
  readonly port?: number
  /** The address to listen on: 127.0.0.1 by default, so that nobody else reads the metrics unless it is said. */
  readonly host?: string
  /** `/metrics` by default. */
  readonly path?: HttpRouter.PathInput
}

/**
 * A server of its own for the metrics, for as long as the layer lives: for a program that serves no HTTP, or not to
 * whoever scrapes it. Fails where the port is taken.
 *
 * @example
 * import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
 * import { Effect } from "effect"
 *
 * const program = Effect.promise(() => fetch("http://127.0.0.1:19464/metrics").then((response) => response.text()))
 *
 * Effect.runPromise(program.pipe(Effect.provide(Prometheus.layer({ port: 19464 })))).then(console.log)
 */
export const layer = ({
  host = "127.0.0.1",
  path = "/metrics",
  port = 9464
}: Options = {}): Layer.Layer<never, HttpServerError.ServeError> =>
  HttpRouter.empty.pipe(
    route(path),
    HttpServer.serve(),
    Layer.provide(NodeHttpServer.layer(() => createServer(), { host, port }))
  )
