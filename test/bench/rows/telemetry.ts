import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { Effect, Layer, Metric } from "effect"
import { Telemetry } from "effect-foundation"
import { Counter, Registry } from "prom-client"
import { inRuntime, type Row } from "../Row.js"

const labels = ["controller", "route"] as const
const metrics = Telemetry.layerMetrics([Telemetry.counter("counted", { name: "bench_counted", tags: labels })])

const counterOf = (name: string) =>
  Metric.counter(name).pipe(Metric.tagged("controller", "UserController"), Metric.tagged("route", "/orders"))

/** The counter of Effect that the metric feeds. */
const fed = counterOf("bench_counted")
const incremented = counterOf("bench_incremented")

const exports = Effect.acquireRelease(
  Effect.sync(() => {
    const reader = new PeriodicExportingMetricReader({
      exporter: new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE),
      exportIntervalMillis: 3_600_000
    })
    return { reader, provider: new MeterProvider({ readers: [reader] }) }
  }),
  ({ provider }) => Effect.promise(() => provider.shutdown())
)

/** Whether what counts has gone on since it was last looked at. */
const rising = (count: () => number | Promise<number>) => {
  let before = 0
  return async () => {
    const now = await count()
    const risen = now > before
    before = now
    return risen
  }
}

export const rows = Effect.gen(function* () {
  const { provider, reader } = yield* exports
  const otel = provider.getMeter("bench").createCounter("requests")
  const prom = new Counter({ name: "requests", help: "requests", labelNames: labels, registers: [new Registry()] })
  const runtime = yield* Layer.toRuntime(Layer.provideMerge(metrics, Telemetry.layer))
  let sum = 0
  yield* Effect.provide(
    Telemetry.attach("bench", "handled", (event) => {
      sum += event.measurements.duration ?? 0
    }),
    runtime
  )

  const collected = async () => {
    const { resourceMetrics } = await reader.collect()
    return Number(resourceMetrics.scopeMetrics[0]?.metrics[0]?.dataPoints[0]?.value ?? 0)
  }

  const handled: Row<Telemetry> = {
    work: "Telemetry.execute, one handler",
    about:
      "Emits an event with a measurement and two metadata to a handler that sums up; the counter has two attributes.",
    promise: 10,
    ours: {
      name: "Telemetry",
      effect: () => Telemetry.execute("handled", { duration: 50 }, { controller: "UserController", route: "/orders" }),
      gives: rising(() => sum)
    },
    peers: [
      {
        name: "OpenTelemetry counter.add",
        effect: () => Effect.sync(() => otel.add(1, { controller: "UserController", route: "/orders" })),
        bare: () => otel.add(1, { controller: "UserController", route: "/orders" }),
        gives: rising(collected),
        atMost: 1
      }
    ]
  }

  const counted: Row<Telemetry> = {
    work: "Telemetry.execute, one counter metric with 2 tags",
    about: "The same event, which a metric counts by two of its metadata, beside a counter with two labels.",
    promise: 10,
    ours: {
      name: "Telemetry",
      effect: () => Telemetry.execute("counted", { duration: 50 }, { controller: "UserController", route: "/orders" }),
      gives: rising(() => fed.unsafeValue([]).count)
    },
    peers: [
      {
        name: "prom-client inc",
        effect: () => Effect.sync(() => prom.inc({ controller: "UserController", route: "/orders" })),
        bare: () => prom.inc({ controller: "UserController", route: "/orders" }),
        gives: rising(async () => (await prom.get()).values[0]?.value ?? 0),
        atMost: 1
      },
      {
        name: "Metric.increment, tagged once",
        effect: () => Metric.increment(incremented),
        gives: rising(() => incremented.unsafeValue([]).count)
      }
    ]
  }

  return inRuntime(runtime, [handled, counted])
})
