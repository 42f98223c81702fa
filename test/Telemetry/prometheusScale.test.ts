import { describe, expect, it } from "@effect/vitest"
import { Effect, Metric, MetricBoundaries, Stream } from "effect"
import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
import { scrape } from "../../src/Telemetry/Prometheus/Families.js"
import { nextSlice, sliceCost, sliceText } from "../../src/Telemetry/Prometheus/Slices.js"
import { costOf, instruments } from "../../src/Telemetry/Registry.js"
import { parse } from "./prometheusText.js"

const buckets = MetricBoundaries.fromIterable([5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000])
const quantiles = { maxAge: "1 minute", maxSize: 256, error: 0, quantiles: [0.5, 0.9, 0.99] } as const

/** 10,000 series in metrics of many series, and in many metrics of one. */
const fill = Effect.sync(() => {
  for (let n = 0; n < 4000; n++) {
    const of = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>) => Metric.tagged(metric, "n", String(n))
    of(Metric.counter("scale_counter", { incremental: true })).unsafeUpdate(n, [])
    of(Metric.histogram("scale_histogram", buckets)).unsafeUpdate(n, [])
    if (n < 2000) Metric.gauge(`scale_gauge_${n}`).unsafeUpdate(n, [])
  }
  for (let n = 0; n < 100; n++) {
    const summary = Metric.summary({ ...quantiles, name: "scale_summary" }).pipe(Metric.tagged("n", String(n)))
    for (let k = 0; k < 300; k++) summary.unsafeUpdate(k, [])
  }
})

/** How often the event loop turns until the effect is done. */
const turnsDuring = <A>(effect: Effect.Effect<A>) =>
  Effect.suspend(() => {
    let turns = 0
    let next = setImmediate(function turn() {
      turns++
      next = setImmediate(turn)
    })
    return Effect.map(effect, (result) => ({ result, turns })).pipe(
      Effect.ensuring(Effect.sync(() => clearImmediate(next)))
    )
  })

describe("a scrape of 10,000 series", () => {
  it.effect("is written in slices of bounded work, between which the event loop turns", () =>
    Effect.gen(function* () {
      yield* fill
      const { result, turns } = yield* turnsDuring(Stream.mkString(Prometheus.text()))
      const read = parse(result, "text")
      expect(read.get("scale_counter_total")?.samples).toHaveLength(4000)
      expect(read.get("scale_histogram")?.samples).toHaveLength(4000 * 17)
      expect(read.size).toBeGreaterThan(2000)

      let [cost, slices, most, longest] = [0, 0, 0, 0]
      const steps = scrape("text", () => {})
      const counted: Iterator<{ text: string; cost: number }, void> = {
        next: () => {
          const step = steps.next()
          if (step.done !== true) cost += step.value.cost
          return step
        }
      }
      for (let text = nextSlice(counted); text !== undefined; text = nextSlice(counted)) {
        slices++
        most = Math.max(most, cost)
        longest = Math.max(longest, text.length)
        cost = 0
      }
      // One step more than the bound: that of a summary, which is read in one piece.
      const [ofSummary = 0] = Array.from(instruments(), ({ key }) => costOf(key)).sort((a, b) => b - a)
      expect(most).toBeLessThanOrEqual(sliceCost + ofSummary + 6)
      expect(longest).toBeLessThanOrEqual(sliceText + 4096)
      expect(slices).toBeGreaterThan(200)
      expect(turns).toBeGreaterThanOrEqual(slices)
    })
  )

  it.effect("reads a series only when it is written: nothing is read that nobody pulls", () =>
    Effect.gen(function* () {
      const gauge = Metric.gauge("scale_last")
      yield* Metric.set(gauge, 1)
      const steps = scrape("text", () => {})
      nextSlice(steps)
      yield* Metric.set(gauge, 2)
      let text = ""
      for (let slice = nextSlice(steps); slice !== undefined; slice = nextSlice(steps)) text += slice
      expect(text).toContain("\nscale_last 2\n")
    })
  )

  it.effect("has series that are made meanwhile now or the next time, and is whole either way", () =>
    Effect.gen(function* () {
      const more = Metric.counter("scale_more", { incremental: true })
      let n = 0
      const text = yield* Prometheus.text().pipe(
        Stream.tap(() => Metric.increment(Metric.tagged(more, "n", String(n++)))),
        Stream.mkString
      )
      parse(text, "text")
      expect(n).toBeGreaterThan(100)
      const next = parse(yield* Stream.mkString(Prometheus.text("openmetrics")), "openmetrics")
      expect(next.get("scale_more")?.samples).toHaveLength(n)
    })
  )

  it("reads all in one step where a version of Effect keeps its series elsewhere", () => {
    const all = Array.from(instruments(), ({ key }) => key)
    const elsewhere = Array.from(instruments({ snapshot: () => Metric.globalMetricRegistry.snapshot() }))
    expect(elsewhere.map(({ key }) => key)).toEqual(all)
    expect(elsewhere.every(({ read }) => typeof read() === "object")).toBe(true)
  })
})
