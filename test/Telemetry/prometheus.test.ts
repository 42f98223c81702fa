import { describe, expect, it } from "@effect/vitest"
import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
import * as fc from "fast-check"
import { negotiate } from "../../src/Telemetry/Prometheus/Accept.js"
import { describePrometheus, promtool } from "../support/prometheus.js"
import { parse } from "./prometheusText.js"

const number = (
  name: string,
  kind: "counter" | "gauge",
  value: number | bigint,
  more: Partial<Prometheus.Family> & { readonly labels?: ReadonlyArray<Prometheus.Label> } = {}
): Prometheus.Family => {
  const { labels = [], help = "Help", unit } = more
  return { name, kind, help, unit, series: [{ labels, state: { value } }] }
}

const lines = (families: ReadonlyArray<Prometheus.Family>, format?: Prometheus.Format) =>
  Prometheus.render(families, format).trimEnd().split("\n")

const samples = (families: ReadonlyArray<Prometheus.Family>, format?: Prometheus.Format) =>
  lines(families, format).filter((line) => !line.startsWith("#"))

const latency: Prometheus.Family = {
  name: "latency",
  kind: "histogram",
  unit: "ms",
  help: "How long it took",
  series: [
    {
      labels: [["route", "/a"]],
      state: {
        buckets: [
          [5, 1],
          [1000, 2],
          [Number.POSITIVE_INFINITY, 3]
        ],
        count: 3,
        sum: 5503
      }
    }
  ]
}

const sizes: Prometheus.Family = {
  name: "size",
  kind: "summary",
  unit: "By",
  help: "How large",
  series: [
    {
      labels: [],
      state: {
        quantiles: [
          [0.5, 10],
          [0.99, undefined]
        ],
        count: 2,
        sum: 30
      }
    }
  ]
}

describe("the text for Prometheus", () => {
  it("of each kind is as the format 0.0.4 has it, in base units", () => {
    const requests = number("requests", "counter", 3, { labels: [["route", "/a"]] })
    expect(Prometheus.render([requests, number("load", "gauge", 0.5), latency, sizes])).toBe(
      [
        "# HELP requests_total Help",
        "# TYPE requests_total counter",
        'requests_total{route="/a"} 3',
        "# HELP load Help",
        "# TYPE load gauge",
        "load 0.5",
        "# HELP latency_seconds How long it took",
        "# TYPE latency_seconds histogram",
        'latency_seconds_bucket{route="/a",le="0.005"} 1',
        'latency_seconds_bucket{route="/a",le="1"} 2',
        'latency_seconds_bucket{route="/a",le="+Inf"} 3',
        'latency_seconds_sum{route="/a"} 5.503',
        'latency_seconds_count{route="/a"} 3',
        "# HELP size_bytes How large",
        "# TYPE size_bytes summary",
        'size_bytes{quantile="0.5"} 10',
        'size_bytes{quantile="0.99"} NaN',
        "size_bytes_sum 30",
        "size_bytes_count 2",
        ""
      ].join("\n")
    )
  })

  it("of each kind is as OpenMetrics has it, with units, canonical bounds, and an end", () => {
    expect(Prometheus.render([number("requests", "counter", 3), latency, sizes], "openmetrics")).toBe(
      [
        "# HELP requests Help",
        "# TYPE requests counter",
        "requests_total 3",
        "# HELP latency_seconds How long it took",
        "# TYPE latency_seconds histogram",
        "# UNIT latency_seconds seconds",
        'latency_seconds_bucket{route="/a",le="0.005"} 1',
        'latency_seconds_bucket{route="/a",le="1.0"} 2',
        'latency_seconds_bucket{route="/a",le="+Inf"} 3',
        'latency_seconds_sum{route="/a"} 5.503',
        'latency_seconds_count{route="/a"} 3',
        "# HELP size_bytes How large",
        "# TYPE size_bytes summary",
        "# UNIT size_bytes bytes",
        'size_bytes{quantile="0.5"} 10',
        'size_bytes{quantile="0.99"} NaN',
        "size_bytes_sum 30",
        "size_bytes_count 2",
        "# EOF",
        ""
      ].join("\n")
    )
  })

  it("of nothing is nothing, or in OpenMetrics the end", () => {
    expect(Prometheus.render([])).toBe("")
    expect(Prometheus.render([], "openmetrics")).toBe("# EOF\n")
    expect(Prometheus.render([{ name: "a", kind: "gauge", series: [] }])).toBe("")
  })

  const names: ReadonlyArray<[string, Prometheus.Family, string]> = [
    ["what may not be in a name", number("http.request-x  y", "gauge", 1), "http_request_x_y"],
    ["a digit at the start", number("9lives", "gauge", 1), "_9lives"],
    ["nothing", number("", "gauge", 1), "_"],
    ["the end of a counter, once", number("jobs_total", "counter", 1), "jobs_total"],
    ["a unit that is in the name", number("wait_seconds", "gauge", 1, { unit: "s" }), "wait_seconds"],
    ["a unit that is not the base unit", number("wait_milliseconds", "gauge", 1, { unit: "ms" }), "wait_seconds"],
    ["a short unit in the name", number("wait_ms_total", "counter", 1, { unit: "ms" }), "wait_seconds_total"],
    ["a unit in words", number("t", "gauge", 1, { unit: "milliseconds" }), "t_seconds"],
    ["a rate", number("in", "gauge", 1, { unit: "By/s" }), "in_bytes_per_second"],
    ["a rate of what has no unit", number("in", "gauge", 1, { unit: "{call}/s" }), "in_per_second"],
    ["a share", number("full", "gauge", 1, { unit: "1" }), "full_ratio"],
    ["a share that is counted", number("full", "counter", 1, { unit: "1" }), "full_total"],
    ["a note in braces", number("calls", "counter", 1, { unit: "{call}" }), "calls_total"],
    ["a unit of its own", number("loaded", "gauge", 1, { unit: "boxes" }), "loaded_boxes"],
    ["a unit that is the name", number("boxes", "gauge", 1, { unit: "boxes" }), "boxes"]
  ]
  it.each(names)("has a valid name for %s", (_, family, name) => {
    expect(samples([family])[0]?.split(" ")[0]).toBe(name)
  })

  it("has values in the base unit", () => {
    const valueOf = (value: number, unit: string) => samples([number("x", "gauge", value, { unit })])[0]?.split(" ")[1]
    expect(valueOf(250, "ms")).toBe("0.25")
    expect(valueOf(1, "us")).toBe("0.000001")
    expect(valueOf(2, "h")).toBe("7200")
    expect(valueOf(3, "KiBy")).toBe("3072")
    expect(valueOf(42, "%")).toBe("0.42")
  })

  it("writes every number as the formats know it", () => {
    const texts = [0, -0, 1, -1.5, 1e21, 1e-7, Number.NaN, Infinity, -Infinity, 2n ** 64n].map(
      (value) => samples([number("x", "gauge", value)])[0]
    )
    expect(texts.map((text) => text?.slice(2))).toEqual([
      "0",
      "0",
      "1",
      "-1.5",
      "1e+21",
      "1e-7",
      "NaN",
      "+Inf",
      "-Inf",
      "18446744073709551616"
    ])
  })

  it("writes bounds as Go does, so that a bucket is one series whoever wrote it", () => {
    const bounds = [-1, 0, 1e-7, 0.0001, 0.5, 1, 10, 100_000, 1e6, 1_234_567.8, 1e10]
    const family: Prometheus.Family = {
      name: "h",
      kind: "histogram",
      series: [{ labels: [], state: { buckets: bounds.map((bound) => [bound, 1]), count: 1, sum: 1 } }]
    }
    const written = (format: Prometheus.Format) =>
      samples([family], format).flatMap((line) => /le="(.*)"/.exec(line)?.[1] ?? [])
    expect(written("text").join(" ")).toBe("-1 0 1e-07 0.0001 0.5 1 10 100000 1e+06 1.2345678e+06 1e+10 +Inf")
    expect(written("openmetrics").join(" ")).toBe(
      "-1.0 0.0 1e-07 0.0001 0.5 1.0 10.0 100000.0 1e+06 1.2345678e+06 1e+10 +Inf"
    )
  })

  it("escapes what would end a label or a line", () => {
    const hostile = 'a"b\\c\nd} 1\n# EOF'
    const family = number("x", "gauge", 1, { labels: [["l", hostile]], help: hostile })
    expect(lines([family], "openmetrics")).toEqual([
      '# HELP x a\\"b\\\\c\\nd} 1\\n# EOF',
      "# TYPE x gauge",
      'x{l="a\\"b\\\\c\\nd} 1\\n# EOF"} 1',
      "# EOF"
    ])
    expect(lines([family])[0]).toBe('# HELP x a"b\\\\c\\nd} 1\\n# EOF')
  })

  it("sorts labels, joins those that become one, and leaves out empty ones", () => {
    const labels: ReadonlyArray<Prometheus.Label> = [
      ["z", "1"],
      ["a_b", "2"],
      ["empty", ""],
      ["a.b", "3"],
      ["__name__", "evil"],
      ["0", "digit"],
      ["", "nameless"]
    ]
    expect(samples([number("x", "gauge", 1, { labels })])).toEqual([
      'x{_="nameless",_0="digit",_name__="evil",a_b="3;2",z="1"} 1'
    ])
  })

  it("keeps a label of the program apart from those that Prometheus has of its own", () => {
    const [{ state }] = sizes.series as [{ state: Prometheus.SummaryState }]
    const family: Prometheus.Family = {
      name: "s",
      kind: "summary",
      series: [{ labels: [["quantile", "mine"]], state }]
    }
    expect(samples([family])[0]).toBe('s{exported_quantile="mine",quantile="0.5"} 10')
  })

  it("adds up series of a counter that have the same labels, in whichever order they are named", () => {
    const one = number("x", "counter", 1, {
      labels: [
        ["a", "1"],
        ["b", "2"]
      ]
    })
    const other = number("x", "counter", 2, {
      help: "Told in other words",
      labels: [
        ["b", "2"],
        ["a", "1"],
        ["c", ""]
      ]
    })
    expect(lines([one, other])).toEqual(["# HELP x_total Help", "# TYPE x_total counter", 'x_total{a="1",b="2"} 3'])
  })

  const histogram = (bounds: ReadonlyArray<number>): Prometheus.Family => ({
    name: "h",
    kind: "histogram",
    series: [{ labels: [], state: { buckets: bounds.map((bound, index) => [bound, index]), count: 5, sum: 1 } }]
  })

  it("adds up histograms with the same buckets, and leaves out one with others", () => {
    expect(samples([histogram([1, 2]), histogram([1, 2]), histogram([1, 3])])).toEqual([
      'h_bucket{le="1"} 0',
      'h_bucket{le="2"} 2',
      'h_bucket{le="+Inf"} 10',
      "h_sum 2",
      "h_count 10",
      'telemetry_metric_conflicts{kind="histogram",metric="h",reason="series"} 1'
    ])
  })

  const conflicts: ReadonlyArray<[string, ReadonlyArray<Prometheus.Family>, string, string]> = [
    [
      "another kind",
      [number("x", "counter", 1), number("x", "gauge", 2)],
      "x_total 1",
      'kind="gauge",metric="x",reason="kind"'
    ],
    [
      "the name of another's sample",
      [number("x", "counter", 1), number("x_total", "gauge", 2)],
      "x_total 1",
      'kind="gauge",metric="x_total",reason="name"'
    ],
    [
      "samples of another's name",
      [number("latency_seconds_count", "gauge", 1), latency],
      "latency_seconds_count 1",
      'kind="histogram",metric="latency_seconds",reason="name"'
    ],
    [
      "the same labels",
      [number("x.y", "gauge", 1), number("x_y", "gauge", 2)],
      "x_y 1",
      'kind="gauge",metric="x_y",reason="series"'
    ]
  ]
  it.each(conflicts)(
    "has the first of two metrics of which the second has %s, and says so",
    (_, both, first, label) => {
      for (const format of ["text", "openmetrics"] as const) {
        expect(samples(both, format)).toEqual([first, `telemetry_metric_conflicts{${label}} 1`])
      }
    }
  )

  it("tells apart at most 100 conflicts, and counts the rest", () => {
    const families = Array.from({ length: 150 }, (_, index) => [
      number(`x${index}`, "counter", 1),
      number(`x${index}`, "gauge", 2)
    ]).flat()
    const told = samples(families).filter((line) => line.startsWith("telemetry_metric_conflicts"))
    expect(told).toHaveLength(101)
    expect(told).toContain("telemetry_metric_conflicts 50")
  })

  it("has the buckets of a histogram rise, also where a bound that is no number has left them in any order", () => {
    expect(samples([histogram([0, Number.NaN, -5e-324, 2, 1])])).toEqual([
      'h_bucket{le="0"} 0',
      'h_bucket{le="2"} 3',
      'h_bucket{le="+Inf"} 5',
      "h_sum 1",
      "h_count 5"
    ])
  })

  it("leaves out of OpenMetrics the sums that may fall, which it does not know", () => {
    const negative: Prometheus.Family = {
      name: "h",
      kind: "histogram",
      series: [{ labels: [], state: { buckets: [[-1, 1]], count: 1, sum: -5 } }]
    }
    expect(samples([negative], "openmetrics")).toEqual(['h_bucket{le="-1.0"} 1', 'h_bucket{le="+Inf"} 1'])
    expect(samples([negative])).toContain("h_sum -5")
    const summary: Prometheus.Family = {
      name: "s",
      kind: "summary",
      series: [{ labels: [], state: { quantiles: [[0.5, -5]], count: 1, sum: -5 } }]
    }
    expect(samples([summary], "openmetrics")).toEqual(["s_count 1"])
    expect(samples([summary])).toContain('s{quantile="0.5"} -5')
  })
})

describe("the format of a scrape", () => {
  const prometheus2 =
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
  const prometheus3 =
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
  const cases: ReadonlyArray<[string | undefined, Prometheus.Format]> = [
    [undefined, "text"],
    ["", "text"],
    ["*/*", "text"],
    ["text/html,application/xhtml+xml,*/*;q=0.8", "text"],
    [prometheus2, "openmetrics"],
    [prometheus3, "openmetrics"],
    ["application/openmetrics-text", "openmetrics"],
    ['Application/OpenMetrics-Text; VERSION="1.0.0"; q=0.3', "openmetrics"],
    ["application/openmetrics-text;version=0.0.1", "text"],
    ["application/openmetrics-text;version=2.0.0,text/plain;q=0.1", "text"],
    ["application/openmetrics-text;q=0.2,text/plain;version=0.0.4;q=0.9", "text"],
    ["application/openmetrics-text;q=0,*/*;q=0.1", "text"],
    ["application/openmetrics-text;q=hello,text/plain;q=0.5", "text"],
    ["image/png", "text"],
    [`${"x".repeat(100_000)},application/openmetrics-text`, "text"]
  ]
  it.each(cases)("for %j is %s", (accept, format) => {
    expect(negotiate(accept)).toBe(format)
  })
})

const name = fc.oneof(
  fc.constantFrom(
    "a",
    "a_total",
    "a_count",
    "a_sum",
    "a_bucket",
    "a.b",
    "a_b",
    "le",
    "quantile",
    "telemetry_metric_conflicts"
  ),
  fc.string({ unit: "binary", maxLength: 8 })
)
const labels = fc.array(fc.tuple(name, fc.string({ unit: "binary", maxLength: 6 })), { maxLength: 4 })
const unit = fc.constantFrom(undefined, "ms", "By", "1", "%", "{x}", "By/s", "Team A", "boxes")
const value = fc.oneof(fc.double(), fc.integer(), fc.bigInt())
const count = fc.nat(1000)
const about = { name, unit, help: fc.option(fc.string({ unit: "binary" }), { nil: undefined }) }
const seriesOf = <S>(state: fc.Arbitrary<S>) => fc.array(fc.record({ labels, state }), { maxLength: 4 })
const family: fc.Arbitrary<Prometheus.Family> = fc.oneof(
  fc.record({
    ...about,
    kind: fc.constant("counter" as const),
    series: seriesOf(fc.record({ value: fc.oneof(fc.nat(), fc.double({ min: 0, noNaN: true })) }))
  }),
  fc.record({ ...about, kind: fc.constant("gauge" as const), series: seriesOf(fc.record({ value })) }),
  fc.record({
    ...about,
    kind: fc.constant("histogram" as const),
    series: seriesOf(
      fc
        .record({
          bounds: fc.uniqueArray(fc.double(), { maxLength: 5 }),
          each: fc.nat(9),
          more: count,
          sum: fc.double()
        })
        .map(({ bounds, each, more, sum }) => ({
          buckets: bounds.sort((a, b) => a - b).map((bound, index) => [bound, index * each] as const),
          count: bounds.length * each + more,
          sum
        }))
    )
  }),
  fc.record({
    ...about,
    kind: fc.constant("summary" as const),
    series: seriesOf(
      fc.record({
        quantiles: fc.array(
          fc.tuple(fc.double({ min: -1, max: 2, noNaN: true }), fc.option(fc.double(), { nil: undefined })),
          { maxLength: 4 }
        ),
        count,
        sum: fc.double()
      })
    )
  })
)

describe("whatever the metrics are", () => {
  it("the text can be read, names each family and each series once, and has whole histograms", () => {
    fc.assert(
      fc.property(
        fc.array(family, { maxLength: 8 }),
        fc.constantFrom("text" as const, "openmetrics" as const),
        (all, format) => {
          parse(Prometheus.render(all, format), format)
        }
      ),
      { numRuns: 500 }
    )
  })
})

describePrometheus("promtool", () => {
  it("has no complaint about the text of what is well named", () => {
    const all = [number("requests", "counter", 3), number("load", "gauge", 0.5), latency, sizes]
    expect(promtool(Prometheus.render(all))).toEqual({ code: 0, said: "" })
  })

  it("reads the text of whatever the metrics are", () => {
    fc.assert(
      fc.property(fc.array(fc.array(family, { maxLength: 8 }), { minLength: 1, maxLength: 4 }), (all) => {
        for (const families of all) {
          const { code, said } = promtool(Prometheus.render(families))
          // 3 is for names that it does not like.
          if (code !== 0 && code !== 3) throw new Error(said)
        }
      }),
      { numRuns: 15 }
    )
  })
})
