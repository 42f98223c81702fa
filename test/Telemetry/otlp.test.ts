import { createServer } from "node:http"
import { FetchHttpClient, HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Data, Effect, Layer, Logger, Metric, MetricBoundaries, Redacted, Tracer } from "effect"
import { CorrelationId, Telemetry } from "effect-foundation"
import * as Otlp from "effect-foundation/Telemetry/Otlp"
import { noDurations } from "../support/noDurations.js"
import {
  attributes,
  type Decoded,
  hex,
  logsOf,
  metricsOf,
  type Receiver,
  spansOf,
  startReceiver,
  valueOf
} from "../support/otlp.js"

const quiet = Logger.remove(Logger.defaultLogger)

const liveTo = ({ port }: Receiver, options: Partial<Otlp.Options> = {}) =>
  Otlp.layer({
    endpoint: `http://127.0.0.1:${port}`,
    resource: {
      serviceName: "orders",
      serviceVersion: "1.2.3",
      attributes: { "deployment.environment.name": "test", offset: -5 }
    },
    ...options
  }).pipe(Layer.provide(FetchHttpClient.layer), Layer.provideMerge(Telemetry.layer), Layer.provideMerge(quiet))

/** All that was sent when the layer has ended: spans by their names. */
const sent = (receiver: Receiver) =>
  Effect.gen(function* () {
    const spans = new Map<string, Decoded>()
    const logs: Array<Decoded> = []
    const metrics = new Map<string, Decoded>()
    for (let left = receiver.requests().all; left > 0; left--) {
      const { body, path } = yield* receiver.next
      if (path === "/v1/traces") for (const span of spansOf(body)) spans.set(span.name, span)
      if (path === "/v1/logs") logs.push(...logsOf(body))
      if (path === "/v1/metrics") for (const metric of metricsOf(body)) metrics.set(metric.name, metric)
    }
    return { spans, logs, metrics }
  })

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

for (const encoding of ["protobuf", "json"] as const) {
  describe(`what is sent as ${encoding}`, () => {
    const send = (program: Effect.Effect<unknown, never, Telemetry>, options: Partial<Otlp.Options> = {}) =>
      Effect.gen(function* () {
        const receiver = yield* startReceiver()
        yield* Effect.provide(program, liveTo(receiver, { encoding, ...options }))
        return yield* sent(receiver)
      })

    it.scopedLive("has the spans of Effect and of Telemetry, as one tree, with their attributes", () =>
      Effect.gen(function* () {
        const { spans } = yield* send(
          Effect.sleep("2 millis").pipe(
            Effect.as({ lines: 2 }),
            Telemetry.span("order.fetch", { source: "db", id: -7, password: "hunter2", at: { x: 1 } }, ({ lines }) => ({
              lines
            })),
            Effect.withSpan("request", {
              kind: "server",
              attributes: { ratio: 0.5, ok: true, list: ["a", -1], huge: 1e300 }
            })
          )
        )
        const [request, fetch] = [spans.get("request"), spans.get("order.fetch")]
        expect(hex(fetch.traceId)).toBe(hex(request.traceId))
        expect(hex(fetch.parentSpanId)).toBe(hex(request.spanId))
        expect(hex(request.traceId)).toMatch(/^[0-9a-f]{32}$/)
        const text = (record: Record<string, unknown>) =>
          Object.fromEntries(Object.entries(record).map(([key, value]) => [key, String(value)]))
        expect(text(attributes(fetch))).toEqual({
          source: "db",
          id: "-7",
          password: "<redacted>",
          at: '{"x":1}',
          lines: "2"
        })
        expect(text(attributes(request))).toMatchObject({ ratio: "0.5", ok: "true", list: "a,-1", huge: "1e+300" })
        expect(Number(fetch.endTimeUnixNano) - Number(fetch.startTimeUnixNano)).toBeGreaterThanOrEqual(1e6)
        expect(fetch.status?.code ?? 0).toBe(0)
        expect([request.kind, fetch.kind]).toEqual([2, 1])
      })
    )

    it.scopedLive("says of a failure what failed, and of an interruption that it was one", () =>
      Effect.gen(function* () {
        const { spans } = yield* send(
          Effect.all(
            [
              Effect.fail(new Refused({ message: "no money" })).pipe(Telemetry.span("fails")),
              Effect.die(new TypeError("broken")).pipe(Effect.withSpan("dies")),
              Effect.interrupt.pipe(Telemetry.span("interrupted"))
            ].map(Effect.exit)
          )
        )
        const [fails, dies, interrupted] = ["fails", "dies", "interrupted"].map((name) => spans.get(name))
        expect(fails.status).toEqual({ code: 2, message: "no money" })
        expect(attributes(fails)).toEqual({ "error.type": "Refused" })
        expect(fails.events.map(({ name }: Decoded) => name)).toEqual(["exception"])
        expect(attributes(fails.events[0])).toMatchObject({
          "exception.type": "Refused",
          "exception.message": "no money",
          "exception.stacktrace": expect.stringContaining("no money")
        })
        expect(attributes(dies)).toMatchObject({ "error.type": "TypeError" })
        expect(Object.keys(attributes(dies))).not.toContain("status.interrupted")
        expect(interrupted.status?.code ?? 0).toBe(0)
        expect(attributes(interrupted)).toEqual({ "status.interrupted": true })
      })
    )

    it.scopedLive("has the metrics of Telemetry and of Effect, with units, in totals", () =>
      Effect.gen(function* () {
        const tagged = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>) => Metric.tagged(metric, "of", encoding)
        const name = (metric: string) => `${encoding}_${metric}`
        const { metrics } = yield* send(
          Effect.gen(function* () {
            yield* Telemetry.metrics([
              Telemetry.counter("o", { name: name("orders"), tags: ["shop"], description: "Orders" }),
              Telemetry.distribution("o", { name: name("took"), measurement: "took", unit: "ms", buckets: [10, 100] })
            ])
            for (const took of [5, 50, 500]) yield* Telemetry.execute("o", { took }, { shop: "a" })
            yield* Metric.update(tagged(Metric.counter(name("falls"))), -5)
            yield* Metric.update(tagged(Metric.counter(name("big"), { bigint: true })), -(2n ** 40n))
            yield* Metric.set(tagged(Metric.gauge(name("nan"))), Number.NaN)
            // Two metrics of one name and different kinds, over which Effect's exporter stumbles.
            yield* Metric.set(Metric.gauge(name("orders")), 1)
            yield* Metric.update(Metric.frequency(name("words")), "hello")
            const summary = { maxAge: "1 minute", maxSize: 10, error: 0, quantiles: [0.5] } as const
            yield* Metric.update(Metric.summary({ ...summary, name: name("summary") }), 7)
            yield* Metric.update(Metric.histogram(name("nothing"), MetricBoundaries.fromIterable([1])), 3)
          }).pipe(Effect.scoped)
        )
        const took = metrics.get(name("took"))
        expect(took).toMatchObject({ unit: "ms", histogram: { aggregationTemporality: 2 } })
        const [point] = took.histogram.dataPoints
        expect([...point.bucketCounts].map(Number)).toEqual([1, 1, 1])
        expect([...point.explicitBounds]).toEqual([10, 100])
        expect([Number(point.count), point.sum, point.min, point.max]).toEqual([3, 555, 5, 500])
        expect(point.attributes ?? []).toEqual([])
        expect(metrics.get(name("falls")).sum.isMonotonic ?? false).toBe(false)
        expect(metrics.get(name("falls")).sum.dataPoints[0].asDouble).toBe(-5)
        expect(Number(metrics.get(name("big")).sum.dataPoints[0].asInt)).toBe(-(2 ** 40))
        expect(Number(metrics.get(name("nan")).gauge.dataPoints[0].asDouble)).toBeNaN()
        expect(attributes(metrics.get(name("words")).sum.dataPoints[0])).toEqual({ key: "hello" })
        expect(attributes(metrics.get(`${name("summary")}_quantiles`).gauge.dataPoints[0])).toEqual({ quantile: "0.5" })
        expect(metrics.get(`${name("summary")}_sum`).sum.dataPoints[0].asDouble).toBe(7)
        expect(metrics.has("effect_fiber_started")).toBe(true)
      })
    )

    it.scopedLive("has the logs, with their severity, span, correlation id and exception", () =>
      Effect.gen(function* () {
        const { logs, spans } = yield* send(
          Effect.gen(function* () {
            yield* Effect.logWarning("careful", { n: 1 }).pipe(Effect.annotateLogs("token", "secret"))
            yield* Effect.logError("failed", Cause.fail(new Refused({ message: "no money" })))
            yield* Effect.log("x".repeat(100_000))
            yield* Effect.log(Redacted.make("hidden"))
          }).pipe(Effect.withSpan("logging"), CorrelationId.with("req-1"))
        )
        const [careful, failed, long, redacted] = logs
        expect(careful).toMatchObject({ severityNumber: 13, severityText: "WARN" })
        expect(valueOf(careful.body)).toEqual(["careful", '{"n":1}'])
        expect(hex(careful.traceId)).toBe(hex(spans.get("logging").traceId))
        expect(hex(careful.spanId)).toBe(hex(spans.get("logging").spanId))
        expect(attributes(careful)).toMatchObject({ correlationId: "req-1", token: "<redacted>" })
        expect(attributes(spans.get("logging"))).toEqual({ correlationId: "req-1" })
        expect(attributes(failed)).toMatchObject({
          "exception.type": "Refused",
          "exception.message": "no money",
          "exception.stacktrace": expect.stringContaining("no money")
        })
        expect(String(valueOf(long.body)).length).toBeLessThan(10_000)
        expect(JSON.stringify(redacted)).not.toContain("hidden")
      })
    )
  })
}

describe("OpenTelemetry", () => {
  it.scopedLive("is told of which service all of it is, and who may send it", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      const headers = { Authorization: Redacted.make("Bearer secret"), "x-tenant": "a" }
      const program = Effect.log("hello").pipe(Effect.withSpan("work"))
      yield* Effect.provide(program, liveTo(receiver, { headers }))
      const paths = new Set<string>()
      for (let left = receiver.requests().all; left > 0; left--) {
        const { body, headers, path } = yield* receiver.next
        paths.add(path)
        expect(headers).toMatchObject({ authorization: "Bearer secret", "x-tenant": "a" })
        expect(headers.traceparent).toBeUndefined()
        const [{ resource }] = body.resourceSpans ?? body.resourceLogs ?? body.resourceMetrics
        const { offset, ...given } = attributes(resource)
        expect(Number(offset)).toBe(-5)
        expect(given).toEqual({
          "service.name": "orders",
          "service.version": "1.2.3",
          "deployment.environment.name": "test",
          "telemetry.sdk.name": "effect-foundation",
          "telemetry.sdk.language": "nodejs"
        })
      }
      expect([...paths].sort()).toEqual(["/v1/logs", "/v1/metrics", "/v1/traces"])
    })
  )

  it.scopedLive("and the program have one id for a piece of work", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      const ids: Array<string> = []
      const program = Effect.gen(function* () {
        yield* Telemetry.attach("ids", "work.*", ({ correlationId }) => void ids.push(correlationId))
        const inSpan = yield* Telemetry.span(CorrelationId.current, "work")
        const outside = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
        const fromOutside = yield* CorrelationId.current.pipe(Effect.withSpan("served", { parent: outside }))
        return { inSpan, fromOutside }
      }).pipe(Effect.scoped)
      const { fromOutside, inSpan } = yield* Effect.provide(program, liveTo(receiver))
      const { spans } = yield* sent(receiver)
      expect(inSpan).toBe(hex(spans.get("work").traceId))
      expect(ids).toEqual([inSpan, inSpan])
      expect(attributes(spans.get("work"))).toEqual({})
      expect(fromOutside).toBe("0af7651916cd43dd8448eb211c80319c")
      expect(hex(spans.get("served").traceId)).toBe(fromOutside)
      expect(hex(spans.get("served").parentSpanId)).toBe("b7ad6b7169203331")
    })
  )

  it.scopedLive("gets no spans of a trace that the caller does not sample, and none with ids that are no ids", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      const under = (traceId: string, sampled: boolean) => ({
        parent: Tracer.externalSpan({ traceId, spanId: "b7ad6b7169203331", sampled })
      })
      const program = Effect.all([
        Effect.void.pipe(
          Effect.withSpan("inner"),
          Effect.withSpan("unsampled", under("0af7651916cd43dd8448eb211c80319c", false))
        ),
        Effect.void.pipe(Effect.withSpan("hostile", under('"} <script>', true))),
        Effect.void.pipe(Effect.withSpan("fine"))
      ])
      yield* Effect.provide(program, liveTo(receiver))
      const { spans } = yield* sent(receiver)
      expect([...spans.keys()]).toEqual(["fine"])
    })
  )

  it.scopedLive("gets what is executed within a span as its events, bounded, where that is asked for", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      const program = Effect.gen(function* () {
        yield* Telemetry.execute("cache.miss", { age: 5 }, { key: "a", token: "secret" })
        yield* Telemetry.execute("other.event")
      }).pipe(
        Telemetry.span("order"),
        Effect.zipRight(Effect.withSpan(Effect.repeatN(Telemetry.execute("cache.miss"), 999), "many")),
        Effect.zipRight(Telemetry.execute("cache.miss"))
      )
      const live = Layer.provideMerge(Otlp.layerSpanEvents(["cache.*", "order.*"]), liveTo(receiver))
      yield* Effect.provide(program, live)
      const { spans } = yield* sent(receiver)
      const [event, ...others] = spans.get("order").events
      expect(others).toEqual([])
      expect(event.name).toBe("cache.miss")
      expect({ ...attributes(event), age: Number(attributes(event).age) }).toEqual({
        age: 5,
        key: "a",
        token: "<redacted>"
      })
      expect(Number(event.timeUnixNano)).toBeGreaterThanOrEqual(Number(spans.get("order").startTimeUnixNano))
      expect(Number(event.timeUnixNano)).toBeLessThanOrEqual(Number(spans.get("order").endTimeUnixNano))
      expect(spans.get("many").events).toHaveLength(128)
    })
  )

  it.scopedLive("gets the spans of an HTTP server as its conventions name them", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      const app = HttpRouter.empty.pipe(
        HttpRouter.get("/orders/:id", HttpServerResponse.text("ok")),
        HttpServer.serve()
      )
      const program = Effect.gen(function* () {
        const { address } = yield* HttpServer.HttpServer
        if (address._tag === "TcpAddress") {
          yield* Effect.promise(() => fetch(`http://127.0.0.1:${address.port}/orders/7?a=b`).then((one) => one.text()))
        }
      })
      const served = Layer.provideMerge(
        app,
        NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" })
      )
      yield* Effect.provide(program, Layer.provideMerge(served, liveTo(receiver)))
      const { spans } = yield* sent(receiver)
      const [span] = spans.values()
      expect(attributes(span)).toMatchObject({
        "http.request.method": "GET",
        "http.route": "/orders/:id",
        "url.path": "/orders/7",
        "url.scheme": "http"
      })
      expect(Number(attributes(span)["http.response.status_code"])).toBe(200)
      expect(span.kind).toBe(2)
    })
  )

  it.scopedLive("gets 10,000 series in requests of bounded size", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 5000; n++) {
        Metric.counter("otlp_wide", { incremental: true })
          .pipe(Metric.tagged("n", String(n)))
          .unsafeUpdate(1, [])
        Metric.histogram("otlp_deep", MetricBoundaries.linear({ start: 1, width: 1, count: 14 }))
          .pipe(Metric.tagged("n", String(n)))
          .unsafeUpdate(1, [])
      }
      const receiver = yield* startReceiver()
      yield* Effect.provide(Effect.void, liveTo(receiver, { shutdownTimeout: "20 seconds", maxBytes: 2 ** 26 }))
      const seen = { otlp_wide: new Set<unknown>(), otlp_deep: new Set<unknown>() }
      for (let left = receiver.requests().all; left > 0; left--) {
        const { body } = yield* receiver.next
        // Requests are joined; each part of them was encoded by itself.
        for (const { scopeMetrics } of body.resourceMetrics) {
          let points = 0
          for (const { histogram, name, sum } of scopeMetrics[0].metrics) {
            const { dataPoints } = sum ?? histogram ?? { dataPoints: [] }
            points += dataPoints.length
            if (name in seen) for (const point of dataPoints) seen[name as keyof typeof seen].add(attributes(point).n)
          }
          expect(points).toBeLessThanOrEqual(260)
        }
      }
      expect([seen.otlp_wide.size, seen.otlp_deep.size]).toEqual([5000, 5000])
    })
  )

  const wrong: ReadonlyArray<[string, Partial<Otlp.Options>]> = [
    ["endpoint", { endpoint: "localhost" }],
    ["endpoint", { endpoint: "ftp://localhost" }],
    ["endpoint", { endpoint: "http://user:hunter2@localhost" }],
    ["headers", { headers: { "a b": "c" } }],
    ["headers", { headers: { authorization: Redacted.make("hunter2\r\nx: y") } }],
    ["timeout", { timeout: "never" as "1 second" }],
    ...(["timeout", "interval", "metricsInterval", "shutdownTimeout"] as const).flatMap((option) =>
      noDurations.map((value): [string, Partial<Otlp.Options>] => [option, { [option]: value }])
    ),
    ["maxBytes", { maxBytes: -1 }],
    ["maxBatch", { maxBatch: 0 }],
    ["signals", { signals: ["spans" as "traces"] }],
    ["resource", { resource: { serviceName: "" } }]
  ]
  it.effect.each(wrong)("with a wrong %s is refused, and no secret is quoted", ([path, options]) =>
    Effect.gen(function* () {
      const layer = Otlp.layer({ endpoint: "http://localhost", resource: { serviceName: "a" }, ...options })
      const error = yield* Effect.flip(Layer.build(layer).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
      expect(error).toMatchObject({ _tag: "ConfigError", reason: "invalid_value", path: `telemetry.otlp.${path}` })
      expect(JSON.stringify(error)).not.toContain("hunter2")
    })
  )
})
