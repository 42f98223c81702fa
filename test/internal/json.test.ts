import { describe, expect, it } from "@effect/vitest"
import { copyJson, jsonEquals, Refused } from "effect-foundation/internal/json"
import * as fc from "fast-check"

const copy = (value: unknown, maxBytes = 1e6) => copyJson(value, "data", maxBytes)

/** JSON with text of every kind that is well-formed, less U+0000. */
const json = fc
  .jsonValue({ stringUnit: "binary" })
  .filter((value) => !JSON.stringify(value).includes("\\u0000") && !JSON.stringify(value).includes("__proto__"))

/** The value with the fields of every object the other way round. */
const reversed = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(reversed)
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, part]) => [key, reversed(part)])
  )
}

describe("a copy of JSON", () => {
  it("is the same JSON, and counts its bytes exactly", () =>
    fc.assert(
      fc.property(json, (value) => {
        const copied = copy(value)
        if (copied instanceof Refused) throw new Error(String(copied))
        const text = JSON.stringify(value)
        expect(JSON.stringify(copied.value)).toBe(text)
        expect(copied.bytes).toBe(Buffer.byteLength(text))
        expect(copy(value, copied.bytes)).not.toBeInstanceOf(Refused)
        expect(copy(value, copied.bytes - 1)).toBeInstanceOf(Refused)
      }),
      { numRuns: 500 }
    ))

  it("is refused for any value that does not come back from JSON as it was", () =>
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withSparseArray: true }), (value) => {
        const copied = copy(value)
        if (copied instanceof Refused) return
        expect(jsonEquals(JSON.parse(JSON.stringify(value)), copied.value)).toBe(true)
        expect(jsonEquals(value, copied.value)).toBe(true)
      }),
      { numRuns: 1000 }
    ))

  it("of shared parts that double with every level stops at the bound on bytes", () => {
    let value: unknown = {}
    for (let level = 0; level < 60; level++) value = [value, value]
    expect(String(copy(value))).toContain("more than 1000000 bytes")
  })

  it("of a list with a length of four billion is refused at once", () => {
    expect(String(copy(new Array(4_000_000_000)))).toContain("more than 1000000 bytes")
  })

  it("is made where the object has no prototype, and has an ordinary one itself", () => {
    const bare = Object.assign(Object.create(null), { constructor: 1, toString: "x" })
    const copied = copy(bare)
    expect(copied).toMatchObject({ value: { constructor: 1, toString: "x" } })
    expect(copied instanceof Refused ? undefined : Object.getPrototypeOf(copied.value)).toBe(Object.prototype)
  })

  it("goes without the undefined fields of objects where they are dropped, and counts the bytes of the rest", () => {
    const drop = (value: unknown, maxBytes = 1e6) => copyJson(value, "data", maxBytes, "dropped")
    const sparse = { a: undefined, b: [{ c: undefined }, { d: 1, e: undefined, f: "x" }], g: undefined }
    const copied = drop(sparse)
    expect(copied).toStrictEqual({ value: { b: [{}, { d: 1, f: "x" }] }, bytes: JSON.stringify(sparse).length })
    expect(drop(sparse, JSON.stringify(sparse).length - 1)).toBeInstanceOf(Refused)
    expect(String(drop([undefined]))).toContain("data[0] is undefined")
    expect(String(drop(undefined))).toContain("data is undefined")
    expect(
      String(
        drop({
          get late() {
            return undefined
          }
        })
      )
    ).toContain("data.late is a getter")
    expect(String(copy(sparse))).toContain(".a is undefined")
  })

  it("has no negative zero, which JSON has not", () => {
    expect(copy(-0)).toStrictEqual({ value: 0, bytes: 1 })
  })
})

describe("equal JSON", () => {
  it("is what has the same text once fields are in one order", () =>
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        expect(jsonEquals(one, reversed(one))).toBe(true)
        const sorted = (value: unknown) =>
          JSON.stringify(value, (_, part: unknown) =>
            typeof part === "object" && part !== null && !Array.isArray(part)
              ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
              : part
          )
        expect(jsonEquals(one, other)).toBe(sorted(one) === sorted(other))
        expect(jsonEquals([one], [other, one])).toBe(false)
      }),
      { numRuns: 300 }
    ))

  it("tells lists from objects, and missing from null", () => {
    expect(jsonEquals([1], { 0: 1 })).toBe(false)
    expect(jsonEquals({ a: null }, { b: null })).toBe(false)
    expect(jsonEquals({}, [])).toBe(false)
    expect(jsonEquals({ toString: 1 }, {})).toBe(false)
  })
})
