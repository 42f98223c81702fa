import { describe, expect, it } from "@effect/vitest"
import { criteriaText } from "effect-foundation/Events/Consumer/CriteriaText"
import { bounds, ConsumerTable } from "effect-foundation/Events/Consumer/Table"
import { decodeCriteria } from "effect-foundation/Events/Criteria"
import * as fc from "fast-check"

describe("the state of consumers in memory", () => {
  const claim = (name: string) => ({ name, owner: "o", lease: 1000, criteria: "{}", startAfter: 0 })
  const letter = (consumer: string, position: number) => ({
    consumer,
    position,
    id: "id",
    type: "t",
    error: "e",
    attempts: 1,
    failedAt: 0,
    replaying: false
  })

  it("holds so many dead letters, and drops none for another", () => {
    const table = new ConsumerTable()
    const leases = ["a", "b"].map((name) => {
      const claimed = table.claim(0, claim(name))
      if (claimed._tag !== "Active") throw new Error("not active")
      return { name, owner: "o", token: claimed.token, lease: 1000 }
    })
    const [a, b] = leases
    if (a === undefined || b === undefined) throw new Error("none")
    for (let position = 1; position <= bounds.deadLetters / 2; position++) {
      for (const lease of leases) expect(table.bury(0, lease, letter(lease.name, position))).toBe("buried")
    }
    expect(table.bury(0, a, letter("a", 50_000))).toBe("full")
    // One that is there already takes no more room, and one that goes leaves its own.
    expect(table.bury(0, a, letter("a", 1))).toBe("buried")
    expect(table.settle(0, b, 1, undefined)).toBe(true)
    expect(table.bury(0, a, letter("a", 50_000))).toBe("buried")
    expect(table.bury(0, a, letter("a", 50_001))).toBe("full")
    expect(table.removeDeadLetters("b", [2, 2])).toBe(1)
    expect(table.bury(0, a, letter("a", 50_001))).toBe("buried")
    table.release("b", "o", 0)
    expect(table.forget(0, "b")).toBe("forgotten")
    for (let position = 1; position <= bounds.deadLetters / 2 - 2; position++) {
      expect(table.bury(0, a, letter("a", 60_000 + position))).toBe("buried")
    }
    expect(table.bury(0, a, letter("a", 70_000))).toBe("full")
  })

  it("holds so many consumers, until one is forgotten", () => {
    const table = new ConsumerTable()
    for (let index = 0; index < bounds.consumers; index++) {
      expect(table.claim(0, claim(`c${index}`))._tag).toBe("Active")
    }
    expect(table.claim(0, claim("more"))._tag).toBe("Full")
    expect(table.claim(0, claim("c5"))._tag).toBe("Active")
    table.release("c5", "o", 0)
    table.forget(0, "c5")
    expect(table.claim(0, claim("more"))._tag).toBe("Active")
  })
})

describe("the text of criteria", () => {
  const textOf = (criteria: object): string => {
    const query = decodeCriteria(criteria)
    if ("problem" in query) throw new Error(String(query))
    return criteriaText(query)
  }

  it("is one for all that mean the same, and another for all that do not", () => {
    expect(textOf({})).toBe("{}")
    expect(textOf({ type: ["b", "a", "b"], stream: "s" })).toBe('{"type":["a","b"],"stream":"s"}')
    expect(textOf({ type: ["a"] })).toBe(textOf({ type: "a" }))
    expect(textOf({ data: { b: { y: 1, x: [{ q: 1, p: 2 }] }, a: null } })).toBe(
      textOf({ data: { a: null, b: { x: [{ p: 2, q: 1 }], y: 1 } } })
    )
    const different = [
      {},
      { type: "a" },
      { type: ["a", "b"] },
      { id: "a" },
      { stream: "a" },
      { correlationId: "a" },
      { causationId: "a" },
      { after: 5 },
      { after: 0 },
      { data: { a: 1 } },
      { data: { a: "1" } },
      { data: { a: [1, 2] } },
      { data: { a: [2, 1] } },
      { metadata: { a: 1 } }
    ]
    expect(new Set(different.map(textOf)).size).toBe(different.length)
  })

  it("is bounded, and still another for long ones that differ at their end", () => {
    const ids = Array.from({ length: 1000 }, (_, index) => `${"😀".repeat(100)}${index}`)
    const one = textOf({ id: ids })
    const other = textOf({ id: [...ids.slice(0, -1), "zzz"] })
    expect(one.length).toBeLessThan(1200)
    expect(one).not.toMatch(/\p{Surrogate}/u)
    expect(other).not.toBe(one)
    expect(textOf({ id: [...ids].reverse() })).toBe(one)
  })

  it("does not depend on the order of anything", () => {
    const names = fc.uniqueArray(
      fc.string({ minLength: 1, maxLength: 5 }).filter((name) => /^\w+$/.test(name)),
      {
        minLength: 1
      }
    )
    fc.assert(
      fc.property(
        names,
        fc.dictionary(
          fc.string().filter((key) => /^[a-z]+$/.test(key)),
          fc.integer(),
          { minKeys: 1 }
        ),
        (types, data) => {
          const reversed = Object.fromEntries(Object.entries(data).reverse())
          expect(textOf({ type: types, data })).toBe(textOf({ data: reversed, type: [...types].reverse() }))
        }
      )
    )
  })
})
