import { parseHttpDate, retryAfterMillis } from "effect-foundation/Http/Client/RetryAfter"
import { traceIdOf } from "effect-foundation/Http/CorrelationId/TraceParent"
import { limitField, policyField, sfInteger, sfString } from "effect-foundation/Http/RateLimit/Fields"
import { keyOf } from "effect-foundation/Http/RateLimit/Key"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
const span = "00f067aa0ba902b7"

describe("traceparent", () => {
  it.each([
    `00-${trace}-${span}-01`,
    `00-${trace}-${span}-00`,
    `00-${trace}-${span}-ff`,
    `cc-${trace}-${span}-01`,
    `cc-${trace}-${span}-01-what-the-future-brings`
  ])("%s is of the trace", (header) => {
    expect(traceIdOf(header)).toBe(trace)
  })

  it.each([
    "",
    trace,
    `ff-${trace}-${span}-01`,
    `0-${trace}-${span}-01`,
    `00-${trace}-${span}`,
    `00-${trace}-${span}-1`,
    `00-${trace}-${span}-01-more`,
    `cc-${trace}-${span}-01more`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `00-${trace.slice(1)}-${span}-01`,
    `00-${trace}-${span}-01, 00-${trace}-${span}-01`,
    ` 00-${trace}-${span}-01`,
    `00-${trace}-${span}-01\n`,
    `00-${trace}-${span}-zz`
  ])("%j is of none", (header) => {
    expect(traceIdOf(header)).toBeUndefined()
  })

  it("gives nothing that is not in it, of any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0f-a "), maxLength: 60 }), (header) => {
        const id = traceIdOf(header)
        if (id !== undefined) expect(header).toContain(`-${id}-`)
      })
    )
  })
})

const now = Date.UTC(2026, 10, 22, 12)

describe("an HTTP-date", () => {
  it("is read as it is written, to the second", () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true }), (date) => {
        expect(parseHttpDate(date.toUTCString(), now)).toBe(Math.floor(date.getTime() / 1000) * 1000)
      })
    )
  })

  it.each(["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])(
    "has the form %s",
    (text) => {
      expect(parseHttpDate(text, now)).toBe(Date.UTC(1994, 10, 6, 8, 49, 37))
    }
  )

  it("with a year of two digits is at most 50 years ahead", () => {
    expect(parseHttpDate("Friday, 01-Jan-27 00:00:00 GMT", now)).toBe(Date.UTC(2027, 0, 1))
    expect(parseHttpDate("Friday, 01-Jan-77 00:00:00 GMT", now)).toBe(Date.UTC(1977, 0, 1))
  })

  it.each([
    "2026-11-22T12:00:00Z",
    "Sun, 31 Feb 2026 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 CET",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "tomorrow",
    ""
  ])("is not %j", (text) => {
    expect(parseHttpDate(text, now)).toBeUndefined()
  })
})

describe("Retry-After", () => {
  it.each([
    ["120", undefined, 120_000],
    ["0", undefined, 0],
    ["Sun, 22 Nov 2026 12:00:30 GMT", undefined, 30_000],
    ["Sun, 22 Nov 2026 11:00:00 GMT", undefined, 0],
    // The clock of the server is an hour behind: what counts is what it says of itself.
    ["Sun, 22 Nov 2026 11:00:30 GMT", "Sun, 22 Nov 2026 11:00:00 GMT", 30_000],
    ["Sun, 22 Nov 2026 12:00:30 GMT", "nonsense", 30_000],
    ["-1", undefined, undefined],
    ["1.5", undefined, undefined],
    ["1e3", undefined, undefined],
    ["12, 13", undefined, undefined],
    ["soon", undefined, undefined],
    [undefined, "Sun, 22 Nov 2026 11:00:00 GMT", undefined]
  ])("%s (at %s) is a wait of %s ms", (value, date, millis) => {
    expect(retryAfterMillis(value, date, now)).toBe(millis)
  })
})

/** A parser of the strings of RFC 9651, 4.2.5, and nothing else. */
const parseString = (text: string): string | undefined => {
  const match = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(text)
  return match?.[1]?.replace(/\\(.)/g, "$1")
}

describe("the RateLimit fields", () => {
  it("are as the draft has them", () => {
    const partition = "cHsdsRa894=="
    expect(policyField([{ name: "default", quota: 100, window: 60, partition }])).toBe(
      '"default";q=100;w=60;pk=:cHsdsRa894==:'
    )
    expect(
      limitField([
        { name: "default", remaining: 50, reset: 30, partition: undefined },
        { name: 'a "b"', remaining: 0, reset: 1, partition: undefined }
      ])
    ).toBe('"default";r=50;t=30, "a \\"b\\"";r=0;t=1')
  })

  it("have names that are strings, of any text, and different ones for different texts", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        const parsed = parseString(sfString(name))
        expect(parsed).toBeDefined()
        if (/^[ -~]*$/.test(name)) expect(parsed).toBe(name)
      })
    )
    expect(sfString("é\r\nSet-Cookie: a")).toBe('"%c3%a9%0d%0aSet-Cookie: a"')
  })

  it("have integers of 15 digits at most", () => {
    expect([sfInteger(1e21), sfInteger(-1), sfInteger(1.5)]).toEqual(["999999999999999", "0", "1"])
  })
})

describe("keys of headers", () => {
  it("hide what is secret by its name, and are never long", () => {
    expect(keyOf("x-user-id", "ada")).toBe("ada")
    for (const name of ["authorization", "x-api-key", "cookie", "x-auth-token"]) {
      expect(keyOf(name, "hunter2")).toMatch(/^sha256:[\w-]{22}$/)
    }
    expect(keyOf("x-user-id", "a".repeat(8000)).length).toBeLessThan(64)
    expect(keyOf("x-user-id", "a".repeat(8000))).not.toBe(keyOf("x-user-id", "b".repeat(8000)))
  })
})
