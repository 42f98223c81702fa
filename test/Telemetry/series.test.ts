import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { TelemetryEvent } from "../../src/Telemetry/Handlers.js"
import { type Label, maxTagLength, Series, tagsOf, tagText } from "../../src/Telemetry/Series.js"

const event = (metadata: Record<string, unknown>): TelemetryEvent => ({
  name: "e",
  measurements: {},
  metadata,
  correlationId: "c"
})

describe("the text of a tag", () => {
  it("is empty for what is missing, and the value's own text otherwise", () => {
    expect([undefined, null, "", "a", 1, true, 10n, Symbol("s")].map(tagText)).toEqual([
      "",
      "",
      "",
      "a",
      "1",
      "true",
      "10",
      "Symbol(s)"
    ])
    expect(tagText({ toString: () => "own" })).toBe("own")
    expect(tagText(Object.create(null))).toBe("<unreadable>")
  })

  it("has at most 128 units, and is never cut within a character", () => {
    expect(tagText("x".repeat(1000))).toBe("x".repeat(128))
    expect(tagText(`x${"😀".repeat(100)}`)).toBe(`x${"😀".repeat(63)}`)
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
        const cut = tagText(text)
        expect(cut.length).toBeLessThanOrEqual(maxTagLength)
        expect(text.startsWith(cut)).toBe(true)
        expect(encodeURIComponent(cut).length).toBeGreaterThanOrEqual(cut.length)
        if (text.length <= maxTagLength) expect(cut).toBe(text)
        else expect(cut.length).toBeGreaterThanOrEqual(maxTagLength - 1)
      })
    )
  })
})

describe("series", () => {
  const value = fc.oneof(fc.constantFrom("", "a", "b", "ab", "1:a", "\u0000"), fc.integer({ min: 0, max: 3 }))
  const metadata = fc.dictionary(fc.constantFrom("x", "y", "z"), value, { noNullPrototype: true })

  for (const [what, tags] of [
    ["a list of tags", ["x", "y"]],
    ["a function", (of: TelemetryEvent) => of.metadata]
  ] as const) {
    it(`are one for each set of labels by ${what}, and no more than their bound`, () => {
      fc.assert(
        fc.property(fc.array(metadata, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (all, most) => {
          const series = new Series((labels: ReadonlyArray<Label>) => ({ labels }))
          const { labelsOf, valuesOf } = tagsOf(tags)
          const known = new Set<string>()
          for (const one of all) {
            const values = valuesOf(event(one))
            const expected = (
              typeof tags === "function"
                ? Object.keys(one)
                    .sort()
                    .map((key) => [key, String(one[key])])
                : tags.map((key) => [key, String(one[key] ?? "")])
            ) satisfies Array<Array<string>>
            const found = series.get(values) ?? series.add(values, labelsOf(values), most)
            const name = JSON.stringify(expected)
            if (known.has(name) || known.size < most) {
              known.add(name)
              expect(found?.labels).toEqual(expected)
            } else {
              expect(found).toBeUndefined()
            }
          }
          expect(series.size).toBe(known.size)
          expect(series.overflow.labels).toEqual([["otel.metric.overflow", "true"]])
          expect(series.overflow).toBe(series.overflow)
        })
      )
    })
  }
})
