import { createServer, request } from "node:http"
import { HttpLayerRouter, HttpRouter, HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Layer, Logger, Metric, MetricBoundaries, type Scope, Stream } from "effect"
import { Telemetry } from "effect-foundation/Telemetry"
import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
import { freePort } from "../../examples/servers/freePort.js"
import { describePrometheus, eventually, promtool } from "../support/prometheus.js"
import { parse } from "./prometheusText.js"

const server = NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" })

const portOf = Effect.map(HttpServer.HttpServer, ({ address }) => (address._tag === "TcpAddress" ? address.port : 0))

/** The port of a server with the route, in each way that there is to add it. */
const ways: Readonly<Record<string, Effect.Effect<number, unknown, Scope.Scope>>> = {
  HttpRouter: Effect.flatMap(
    Layer.build(Layer.provideMerge(HttpServer.serve(HttpRouter.empty.pipe(Prometheus.route())), server)),
    (context) => Effect.provide(portOf, context)
  ),
  HttpLayerRouter: Effect.flatMap(
    Layer.build(
      Layer.provideMerge(
        HttpLayerRouter.serve(Prometheus.layerRoute(), { disableListenLog: true, disableLogger: true }),
        server
      )
    ),
    (context) => Effect.provide(portOf, context)
  ),
  "a server of its own": Effect.flatMap(freePort, (port) => Effect.as(Layer.build(Prometheus.layer({ port })), port))
}

const get = (port: number, headers: Readonly<Record<string, string>> = {}, method = "GET") =>
  Effect.promise(async (signal) => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers, method, signal })
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
  })

const openmetrics = { accept: "application/openmetrics-text;version=1.0.0" }

describe("a scrape", () => {
  for (const [way, serve] of Object.entries(ways)) {
    it.scopedLive(`by ${way} is answered in the format that it asks for`, () =>
      Effect.gen(function* () {
        yield* Metric.increment(Metric.counter("http_served", { incremental: true, description: "Served" }))
        const port = yield* serve
        const text = yield* get(port)
        expect(text).toMatchObject({ status: 200, type: "text/plain; version=0.0.4; charset=utf-8" })
        expect(parse(text.text, "text").get("http_served_total")?.type).toBe("counter")
        const open = yield* get(port, openmetrics)
        expect(open.type).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8")
        expect(parse(open.text, "openmetrics").get("http_served")?.samples).toHaveLength(1)
      })
    )
  }

  it.scopedLive("reads what Telemetry counts, with its units, its overflow series and labels in one order", () =>
    Effect.gen(function* () {
      yield* Telemetry.metrics([
        Telemetry.counter("shop.order", {
          name: "orders",
          tags: ["shop", "kind"],
          maxSeries: 2,
          description: "Orders"
        }),
        Telemetry.distribution("shop.order", { name: "took", measurement: "took", unit: "ms", buckets: [10, 100] })
      ])
      for (const shop of ["b", "a", "c", "d", 'hostile"\n']) {
        yield* Telemetry.execute("shop.order", { took: 50 }, { shop, kind: "new" })
      }
      const text = yield* Stream.mkString(Prometheus.text())
      const read = parse(text, "text")
      expect(read.get("orders_total")?.samples).toEqual([
        { name: "orders_total", labels: { kind: "new", shop: "b" }, value: 1 },
        { name: "orders_total", labels: { kind: "new", shop: "a" }, value: 1 },
        { name: "orders_total", labels: { otel_metric_overflow: "true" }, value: 3 }
      ])
      expect(read.get("took_seconds")?.samples.map(({ name, value }) => [name, value])).toEqual([
        ["took_seconds_bucket", 0],
        ["took_seconds_bucket", 5],
        ["took_seconds_bucket", 5],
        ["took_seconds_sum", 0.25],
        ["took_seconds_count", 5]
      ])
      yield* Telemetry.execute("shop.order", { took: 50 }, { shop: "a", kind: "new" })
      const names = (text: string) => text.replaceAll(/ \S+$/gm, "")
      expect(names(yield* Stream.mkString(Prometheus.text()))).toBe(names(text))
    }).pipe(Effect.provide(Telemetry.layer))
  )

  it.effect("reads every kind of Effect's metrics", () =>
    Effect.gen(function* () {
      yield* Metric.update(Metric.counter("kinds_falls"), -3)
      yield* Metric.update(Metric.counter("kinds_big", { bigint: true, incremental: true }), 2n ** 60n)
      yield* Metric.set(Metric.gauge("kinds_gauge"), 4)
      yield* Metric.update(Metric.timer("kinds_timer"), Duration.seconds(3))
      yield* Metric.update(Metric.frequency("kinds_words").pipe(Metric.tagged("key", "mine")), 'a"b')
      const summary = { maxAge: "1 minute", maxSize: 10, error: 0, quantiles: [0.5] } as const
      yield* Metric.update(Metric.summary({ ...summary, name: "kinds_summary" }), 7)
      // A number that is none: what a program may do, and no reason for buckets that are not whole.
      yield* Metric.update(Metric.histogram("kinds_nan", MetricBoundaries.fromIterable([1])), Number.NaN)
      yield* Metric.set(Metric.gauge("kinds_unit").pipe(Metric.tagged("unit", "Team A")), 4)
      const read = parse(yield* Stream.mkString(Prometheus.text()), "text")
      const sample = (family: string, name = family) => read.get(family)?.samples.find((one) => one.name === name)
      expect(read.get("kinds_falls")).toMatchObject({ type: "gauge", samples: [{ value: -3 }] })
      expect(sample("kinds_big_total")?.value).toBe(2 ** 60)
      expect(sample("kinds_gauge")?.value).toBe(4)
      expect(sample("kinds_timer_seconds", "kinds_timer_seconds_sum")?.value).toBe(3)
      expect(sample("kinds_words_total")?.labels).toEqual({ exported_key: "mine", key: 'a\\"b' })
      expect(sample("kinds_summary")).toMatchObject({ labels: { quantile: "0.5" }, value: 7 })
      expect(sample("kinds_nan", "kinds_nan_count")?.value).toBe(1)
      expect(sample("kinds_unit")).toMatchObject({ labels: { unit: "Team A" } })
      expect(read.get("effect_fiber_started_total")?.type).toBe("counter")
    })
  )

  it.effect("adds up histograms that the program has made twice, which are two to Effect", () =>
    Effect.gen(function* () {
      const made = () => Metric.histogram("made_twice", MetricBoundaries.fromIterable([1, 10]))
      for (const metric of [made(), made()]) yield* Metric.update(metric, 5)
      const samples = parse(yield* Stream.mkString(Prometheus.text()), "text").get("made_twice")?.samples
      expect(samples?.map(({ value }) => value)).toEqual([0, 2, 2, 10, 2])
    })
  )

  it.effect("says in the log, once, what it leaves out", () =>
    Effect.gen(function* () {
      const said: Array<unknown> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => said.push(message))
      )
      yield* Metric.increment(Metric.counter("log_clash", { incremental: true }))
      yield* Metric.set(Metric.gauge("log.clash"), 1)
      for (let scrapes = 0; scrapes < 3; scrapes++) {
        const text = yield* Stream.mkString(Prometheus.text()).pipe(Effect.provide(logger))
        expect(text).toContain('telemetry_metric_conflicts{kind="gauge",metric="log_clash",reason="kind"} 1')
      }
      expect(String(said)).toMatch(/^The gauge "log_clash" is left out .*; rename one$/)
    })
  )

  it.scopedLive("has no body for a HEAD request, however many there are", () =>
    Effect.gen(function* () {
      const port = yield* ways.HttpRouter ?? Effect.die("no way")
      for (let n = 0; n < 10; n++) expect((yield* get(port, {}, "HEAD")).status).toBe(200)
      expect((yield* get(port)).status).toBe(200)
    })
  )

  it.scopedLive(
    "is one of four at a time; others are told to come again, and those that are cut off leave their place",
    () =>
      Effect.gen(function* () {
        // More than the buffers of a connection take.
        const wide = Metric.gauge("wide").pipe(Metric.tagged("text", "x".repeat(5000)))
        for (let n = 0; n < 2000; n++) yield* Metric.set(Metric.tagged(wide, "n", String(n)), n)
        const port = yield* ways.HttpRouter ?? Effect.die("no way")
        /** Asks, and reads nothing. */
        const hang = Effect.async<() => void>((resume) => {
          const asked = request({ host: "127.0.0.1", port, path: "/metrics" }, (response) => {
            response.pause()
            resume(Effect.succeed(() => void asked.destroy()))
          })
          asked.on("error", () => {})
          asked.end()
        })
        const hanging = yield* Effect.all([hang, hang, hang, hang], { concurrency: "unbounded" })
        expect(yield* get(port)).toMatchObject({ status: 503 })
        for (const cut of hanging.slice(0, 2)) cut()
        const answers = eventually(get(port), ({ status }) => status === 200)
        expect((yield* answers).text).toContain("# HELP wide wide")
        for (const cut of hanging) cut()
        const all = yield* eventually(
          Effect.all([get(port, openmetrics), get(port), get(port), get(port)], { concurrency: "unbounded" }),
          (all) => all.every(({ status }) => status === 200)
        )
        expect(all.map(({ text }) => text.split("\nwide{").length - 1)).toEqual([2000, 2000, 2000, 2000])
      })
  )

  it.scopedLive("that is interrupted reads no further", () =>
    Effect.gen(function* () {
      const read = yield* Deferred.make<void>()
      let reads = 0
      for (let n = 0; n < 3000; n++) {
        yield* Metric.set(Metric.gauge("interrupted").pipe(Metric.tagged("n", String(n))), n)
      }
      const fiber = yield* Prometheus.text().pipe(
        Stream.runForEach(() => {
          reads++
          return Effect.zipRight(Deferred.succeed(read, undefined), Effect.never)
        }),
        Effect.fork
      )
      yield* Deferred.await(read)
      yield* fiber.interruptAsFork(fiber.id())
      expect((yield* fiber.await)._tag).toBe("Failure")
      expect(reads).toBe(1)
    })
  )
})

describePrometheus("promtool", () => {
  it.effect("has no complaint about the library's own metrics and those of Effect", () =>
    Effect.gen(function* () {
      yield* Telemetry.metrics(
        Telemetry.foundationMetrics.map((definition) => ({ ...definition, name: `own_${definition.name}` }))
      )
      for (const { event } of Telemetry.foundationMetrics) {
        const measurements = { count: 1, duration: 12, waited: 3, behind: 4, age: 5 }
        yield* Telemetry.execute(event, measurements, { name: 'a "name"\n', outcome: "success" })
      }
      const text = yield* Stream.mkString(Prometheus.text())
      const own = text.split(/^(?=# HELP)/m).filter((family) => /^# HELP (own_|effect_)/.test(family))
      expect(own.length).toBeGreaterThan(Telemetry.foundationMetrics.length)
      expect(promtool(own.join(""))).toEqual({ code: 0, said: "" })
    }).pipe(Effect.scoped, Effect.provide(Telemetry.layer))
  )
})
