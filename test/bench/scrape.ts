/**
 * The longest stretch for which a scrape holds up the event loop, and how long it takes in all:
 *
 *     npx tsx test/bench/scrape.ts
 *
 * Measured is the time that the thread of the event loop has on the processor, where the system tells it (Linux), so that what
 * else runs on the machine does not count; pauses for the garbage collector do.
 */
import { existsSync, readFileSync } from "node:fs"
import { type PerformanceEntry, PerformanceObserver } from "node:perf_hooks"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Effect, Metric, MetricBoundaries, Stream } from "effect"
import { scrape } from "../../src/Telemetry/Prometheus/Families.js"
import { nextSlice } from "../../src/Telemetry/Prometheus/Slices.js"
import * as Prometheus from "../../src/Telemetry/Prometheus.js"

const buckets = MetricBoundaries.fromIterable([5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000])
const quantiles = { maxAge: "1 hour", maxSize: 256, error: 0, quantiles: [0.5, 0.9, 0.99] } as const

for (let n = 0; n < 10_000; n++) {
  const of = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>) =>
    metric.pipe(Metric.tagged("route", `/orders/${n % 100}`), Metric.tagged("n", String(n)))
  if (n < 5000) of(Metric.counter("bench_requests", { incremental: true })).unsafeUpdate(1, [])
  else if (n < 9900) of(Metric.histogram("bench_latency", buckets)).unsafeUpdate(n, [])
  else for (let k = 0; k < 300; k++) of(Metric.summary({ ...quantiles, name: "bench_summary" })).unsafeUpdate(k, [])
}

// A program has run streams before it is scraped: Effect's own code is no longer cold.
await Effect.runPromise(Stream.runDrain(Stream.filter(Stream.range(1, 1000), (n) => n > 0)))

// The series are older than a scrape: what making them has left is not its own.
setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")
collect()

const schedule = `/proc/self/task/${process.pid}/schedstat`

/** Milliseconds that this thread has run. To ask for the usage brings the schedule up to date, which is 4 ms behind else. */
const now = existsSync(schedule)
  ? () => {
      process.cpuUsage()
      return Number(readFileSync(schedule, "utf8").split(" ")[0]) / 1e6
    }
  : () => performance.now()

const collections: Array<PerformanceEntry> = []
new PerformanceObserver((list) => void collections.push(...list.getEntries())).observe({ entryTypes: ["gc"] })

/** The longest pause for the garbage collector between the two moments, in milliseconds; by the clock on the wall. */
const longestPause = (from: number, to: number) =>
  Math.max(0, ...collections.filter((one) => one.startTime >= from && one.startTime < to).map((one) => one.duration))

/** In milliseconds: the longest of the slices, and all of them. */
const slices = () => {
  const steps = scrape("openmetrics", () => {})
  let [longest, total, count] = [0, 0, 0]
  for (;;) {
    const before = now()
    const text = nextSlice(steps, () => performance.now())
    const took = now() - before
    if (text === undefined) return { longest, total, count }
    longest = Math.max(longest, took)
    total += took
    count++
  }
}

/** The longest that the event loop takes for one turn, in milliseconds, while the effect runs. */
const longestTurn = async (effect: Effect.Effect<unknown>) => {
  let [longest, last] = [0, now()]
  let next = setImmediate(function turn() {
    const at = now()
    longest = Math.max(longest, at - last)
    last = at
    next = setImmediate(turn)
  })
  await Effect.runPromise(effect)
  clearImmediate(next)
  return longest
}

const ms = (value: number) => value.toFixed(2).padStart(8)
const once = (of: () => void) => {
  const before = performance.now()
  of()
  return performance.now() - before
}

console.log("10,000 series: 5000 counters, 4900 histograms of 14 buckets, 100 summaries of 256 measurements; ms")
for (const run of ["cold", "warm", "warm", "warm"]) {
  const start = performance.now()
  const { count, longest, total } = slices()
  const turn = await longestTurn(Stream.runDrain(Prometheus.text()))
  const four = await longestTurn(
    Effect.all(
      [1, 2, 3, 4].map(() => Stream.runDrain(Prometheus.text())),
      { concurrency: 4 }
    )
  )
  const end = performance.now()
  // When the observer is told.
  await new Promise((resume) => setTimeout(resume, 10))
  const whole = once(() => Metric.unsafeSnapshot())
  console.log(
    `${run}: longest slice ${ms(longest)}, all ${count} slices ${ms(total)}, longest turn of a scrape ${ms(turn)}, of four at a time ${ms(four)}, longest pause for garbage on the wall ${ms(longestPause(start, end))}; beside: Metric.unsafeSnapshot alone ${ms(whole)}`
  )
}
