import { describe, expect, it } from "@effect/vitest"
import { coloured, plain } from "./Format.js"
import { bar, type Numbers, tables, verdict } from "./Report.js"

const numbers: Numbers = {
  events: [
    ["quake_recorded", 1707],
    ["alert_raised", 67]
  ],
  calls: [["usgs-feed", { succeeded: 35, failed: 3, timedOut: 2, rejected: 6, retried: 11 }]],
  latencies: [
    ["page", { count: 3, p50: 12.34, p95: 400.4, max: 400.4 }],
    ["post", { count: 0, p50: Number.NaN, p95: Number.NaN, max: Number.NaN }]
  ]
}

describe("The report", () => {
  it("is a table of events, of calls and of latencies", () => {
    expect(tables(numbers, plain)).toEqual([
      "Events                        stored",
      "quake_recorded                 1,707",
      "alert_raised                      67",
      "",
      "Calls                      succeeded    failed timed out  rejected   retried",
      "usgs-feed                         35         3         2         6        11",
      "",
      "Latencies                      count       p50       p95       max",
      "page                               3   12.3 ms    400 ms    400 ms",
      "post                               0         -         -         -"
    ])
  })

  it("fits a terminal of 80 columns, and has no control character where there is no colour", () => {
    const lines = [...tables(numbers, plain), ...verdict([{ holds: false, text: "x" }], 1234, plain)]
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(lines.join("")).not.toMatch(/\p{Cc}/u)
    expect(tables(numbers, coloured).join("")).toMatch(/\p{Cc}/u)
  })

  it("marks each finding, and ends with the verdict", () => {
    const good = { holds: true, text: "one thing" }
    const bad = { holds: false, text: "another" }
    expect(verdict([good], 12_345, plain)).toEqual(["✓ one thing", "", "All of it holds, after 12.3s"])
    expect(verdict([good, bad], 12_345, plain)).toEqual([
      "✓ one thing",
      "✗ another",
      "",
      "✗ 1 of 2 checks failed, after 12.3s"
    ])
  })

  it("draws a bar of the given width, whatever is asked for", () => {
    expect(bar(0, 10, 4, plain)).toBe("░░░░")
    expect(bar(5, 10, 4, plain)).toBe("██░░")
    expect(bar(11, 10, 4, plain)).toBe("████")
  })
})
