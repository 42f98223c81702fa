import { expect, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { Config } from "effect-foundation/Config"
import { bounds, Declared } from "effect-foundation/Config/Declared"
import { merge } from "effect-foundation/Config/Merge"
import { ingest } from "effect-foundation/Config/Tree"
import { over } from "./sources.js"

const snapshotOf = (record: Readonly<Record<string, unknown>>) => {
  const tree = ingest(record)
  if (!(tree instanceof Map)) throw new Error("refused")
  return merge([{ name: "app", text: false, loose: false, tree }], new Map(), new Set())
}

it("what is expected is bounded: past it, a key is checked when it is read only", () => {
  const declared = new Declared()
  for (let index = 0; index <= bounds.keys; index++) declared.addKind(`k${index}`, "number")
  expect(declared.check(snapshotOf({ [`k${bounds.keys - 1}`]: "x" }))).toMatchObject({ path: `k${bounds.keys - 1}` })
  expect(declared.check(snapshotOf({ [`k${bounds.keys}`]: "x" }))).toBeUndefined()
})

it("keys made anew for each read count once where they have one schema, and a few times where not", () => {
  const declared = new Declared()
  for (let index = 0; index < 2 * bounds.keys; index++) declared.addKey(Config.Key("a", Schema.Number, { default: 1 }))
  for (let index = 0; index < 2 * bounds.keys; index++) {
    declared.addKey(Config.Key("b", Schema.Number.pipe(Schema.lessThan(10)), { default: 1 }))
  }
  declared.addKey(Config.Key("a", Schema.Number.pipe(Schema.lessThan(10)), { default: 1 }))
  expect(declared.check(snapshotOf({ a: 11 }))?.path).toBe("a")
  declared.addKind("c", "number")
  expect(declared.check(snapshotOf({ c: "x" }))).toMatchObject({ path: "c" })
  expect(declared.check(snapshotOf({ b: 11 }))?.context).toEqual({ invalid: ["b"] })
})

it("the type that a path is first read as by default is the one that it is held to", () => {
  const declared = new Declared()
  declared.addKind("a", "number")
  declared.addKind("a", "string")
  expect(declared.check(snapshotOf({ a: 1 }))).toBeUndefined()
  expect(declared.check(snapshotOf({ a: "x" }))).toMatchObject({ path: "a" })
})

it.scoped("a policy that has the name of a secret in its own is none; a value of that name is", () =>
  Effect.gen(function* () {
    expect(yield* Config.get("circuitBreaker.token-service")).toEqual({ timeout: "5 seconds", maxFailures: 3 })
    expect(Redacted.isRedacted(yield* Config.get("auth.accessToken"))).toBe(true)
    expect(Redacted.isRedacted(yield* Config.get("secrets.stripe.id"))).toBe(true)
    expect(yield* Config.get("cookies.secureCookie")).toBe(true)
  }).pipe(
    over([
      Config.object({
        circuitBreaker: { "token-service": { timeout: "5 seconds", maxFailures: 3 } },
        auth: { accessToken: "x" },
        secrets: { stripe: { id: "x" } },
        cookies: { secureCookie: true }
      })
    ])
  )
)
