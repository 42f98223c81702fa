import { describe, expect, it } from "@effect/vitest"
import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
import { Scrape } from "./Scrape.js"

const scrape = new Scrape(
  Prometheus.render([
    {
      name: "calls",
      kind: "counter",
      series: [
        { labels: [["name", "feed"]], state: { value: 3 } },
        {
          labels: [
            ["name", 'a "b"\\\n}'],
            ["outcome", "failure"]
          ],
          state: { value: 4 }
        }
      ]
    },
    {
      name: "latency",
      kind: "summary",
      unit: "ms",
      series: [{ labels: [], state: { quantiles: [[1, 1500]], count: 2, sum: 1700 } }]
    },
    { name: "deep", kind: "gauge", series: [{ labels: [], state: { value: Number.NEGATIVE_INFINITY } }] }
  ])
)

describe("A scrape", () => {
  it("adds up the series that have the labels", () => {
    expect(scrape.sum("calls_total")).toBe(7)
    expect(scrape.sum("calls_total", { name: "feed" })).toBe(3)
    expect(scrape.sum("calls_total", { outcome: "failure" })).toBe(4)
    expect(scrape.sum("calls_total", { name: "feed", outcome: "failure" })).toBe(0)
    expect(scrape.sum("nothing_total")).toBe(0)
  })

  it("reads labels that are escaped, quantiles, and numbers that are none", () => {
    expect(scrape.sum("calls_total", { name: 'a "b"\\\n}' })).toBe(4)
    expect(scrape.sum("latency_seconds", { quantile: "1" })).toBe(1.5)
    expect(scrape.sum("latency_seconds_count")).toBe(2)
    expect(scrape.sum("deep")).toBe(Number.NEGATIVE_INFINITY)
    expect(new Scrape('rate{of="x"} NaN').sum("rate")).toBeNaN()
  })
})
