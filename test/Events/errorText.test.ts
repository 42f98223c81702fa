import { describe, expect, it } from "@effect/vitest"
import { Cause, Data, Redacted } from "effect"
import { errorText } from "effect-foundation/Events/Consumer/ErrorText"
import { EventError } from "effect-foundation/FoundationError"
import * as fc from "fast-check"

class Declined extends Data.TaggedError("Declined")<{ readonly card: string; readonly cardToken?: string }> {}

const textOf = (error: unknown) => errorText(Cause.fail(error))

describe("the text of an error in a dead letter", () => {
  it("is what a person would read first", () => {
    expect(textOf(new TypeError("no such thing"))).toBe("TypeError: no such thing")
    expect(textOf(new EventError({ reason: "storage_full", message: "no room" }))).toBe("EventError: no room")
    expect(textOf("busy")).toBe("busy")
    expect(textOf({ _tag: "Busy", retries: 3 })).toBe('{"_tag":"Busy","retries":3}')
    expect(textOf(new Declined({ card: "visa" }))).toBe('Declined {"card":"visa"}')
    expect(textOf(undefined)).toBe("no message")
    expect(textOf(new Error("outer", { cause: new RangeError("inner", { cause: "root" }) }))).toBe(
      "Error: outer, caused by RangeError: inner, caused by root"
    )
    expect(errorText(Cause.sequential(Cause.die(new Error("cleanup")), Cause.fail("first")))).toBe("first")
  })

  it("has none of what looks like a credential", () => {
    const secret = "hunter2-S3CRET"
    const texts = [
      `connect to postgres://app:${secret}@db:5432/x failed`,
      `redis://:${secret}@cache`,
      `Server=db;Password=${secret};User=x`,
      `{"password": "${secret} with spaces", "user": "x"}`,
      `{"password": "with \\"${secret}\\" quotes", "user": "x"}`,
      `apiKey='${secret}'`,
      `token: ${secret}`,
      `sent "{\\"secret\\":\\"${secret}\\"}"`,
      `Authorization: Bearer ${secret}`,
      `authorization=Basic ${secret}`,
      `ghp_${secret.replaceAll("-", "")}0123456789`,
      `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY----- after`,
      `password="${secret}`
    ]
    for (const text of texts) {
      expect(textOf(new Error(text)), text).not.toContain(secret.replaceAll("-", ""))
      expect(textOf(new Error(text)), text).not.toContain("S3CRET")
      expect(textOf(new Error(text)), text).toContain("<redacted>")
    }
    expect(textOf(new Declined({ card: "visa", cardToken: secret }))).toBe(
      'Declined {"card":"visa","cardToken":"<redacted>"}'
    )
    expect(textOf({ dbPassword: Redacted.make(secret) })).toBe('{"dbPassword":"<redacted>"}')
  })

  it("leaves a text without credentials as it is", () => {
    for (const text of ["order 7 was placed at 12:30", "https://host:8080/path?q=1", "the token is missing", "key=5"]) {
      expect(textOf(text)).toBe(text)
    }
  })

  it("is text that every store takes, of at most 2,000 characters, whatever the error is", () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string({ unit: "binary", maxLength: 3000 })), (error) => {
        for (const text of [
          textOf(error),
          errorText(Cause.die(error)),
          textOf(new Error(String(JSON.stringify(error))))
        ]) {
          expect(text).not.toMatch(/\0|\p{Surrogate}/u)
          expect(text).not.toBe("")
          expect(text.length).toBeLessThanOrEqual(2000)
        }
      })
    )
    const hostile = new Proxy(new Error("x"), {
      get: () => {
        throw new Error("read")
      }
    })
    expect(textOf(hostile)).toEqual(expect.any(String))
  })
})
