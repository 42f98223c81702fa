import { describe, expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as fc from "fast-check"
import { bounds, jsonSafe, jsonSafeRecord } from "../../src/internal/jsonSafe.js"

describe("jsonSafe", () => {
  it("gives something that JSON takes, of bounded size, for any value at all", () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
        (value) => {
          const json = JSON.stringify(jsonSafe(value))
          expect(json).toBeDefined()
          expect(JSON.parse(json)).toEqual(jsonSafe(value))
        }
      )
    )
  })

  it("leaves plain JSON as it is", () => {
    const value = { order: 7, items: ["a", "b"], paid: true, note: null }
    expect(jsonSafe(value)).toEqual(value)
    expect(jsonSafe([-0])).toEqual([0])
  })

  it("never shows a secret, by its type or by its name", () => {
    const secrets = {
      key: Redacted.make("s3cret"),
      password: "s3cret",
      dbPassword: "s3cret",
      api_key: "s3cret",
      nested: [{ Authorization: "Bearer s3cret", accessToken: "s3cret" }],
      url: new URL("postgres://app:s3cret@db/orders")
    }
    const json = JSON.stringify(jsonSafeRecord(secrets))
    expect(json).not.toContain("s3cret")
    expect(json).toContain("postgres://db/orders")
  })

  it("shows numbers, and what has the name of a secret as a part of a word, or as a section's", () => {
    const open = { token: 7, maxTokens: 4096, tokenizer: "x", "token-service": { timeout: "5 seconds" } }
    expect(jsonSafe(open)).toEqual(open)
    const hidden = { database: "postgres://app:s3cret@db", tokens: { stripe: "s3cret" }, cookies: ["s3cret"] }
    expect(jsonSafe(hidden)).toEqual({ database: "<redacted>", tokens: "<redacted>", cookies: "<redacted>" })
  })

  it("cuts what is deep, wide, long or circular, and says so", () => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    expect(jsonSafe(circular)).toEqual({ self: "<circular>" })
    let deep: unknown = "bottom"
    for (let level = 0; level < 100_000; level++) deep = { deep }
    expect(JSON.stringify(jsonSafe(deep))).toContain("<deep>")
    expect(jsonSafe(Array.from({ length: 1e5 }, (_, i) => i))).toHaveLength(bounds.entries)
    expect(String(jsonSafe("x".repeat(1e6)))).toHaveLength(bounds.text + 1)
  })

  it("survives a value that cannot be read", () => {
    const hostile = {
      get boom(): never {
        throw new Error("boom")
      }
    }
    expect(jsonSafe({ hostile })).toEqual({ hostile: "<unreadable>" })
    expect(jsonSafe(Proxy.revocable({}, {}).proxy)).toEqual({})
  })
})
