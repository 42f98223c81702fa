import { describe, expect, it } from "@effect/vitest"
import { nearest } from "effect-foundation/Events/Nearest"
import { search, walk } from "effect-foundation/Events/Ordered"
import * as fc from "fast-check"
import { plainEvent } from "./plainEvent.js"

describe("the word that was probably meant", () => {
  const known = ["id", "type", "stream", "correlationId", "afterPosition", "limit"]
  it.each([
    ["typ", "type"],
    ["tpye", "type"],
    ["Type", "type"],
    ["event_type", "type"],
    ["correlation_id", "correlationId"],
    ["position", "afterPosition"],
    ["limits", "limit"],
    ["colour", undefined],
    ["", undefined],
    ["x".repeat(1000), undefined]
  ])("for %s is %s", (word, meant) => expect(nearest(word, known)).toBe(meant))
})

describe("ordered events", () => {
  it("are merged in either order, as sorting them all would", () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 200 }), fc.boolean(), (owners, descending) => {
        const all = owners.map((_, index) => plainEvent(index + 1))
        const ranges = Array.from({ length: 13 }, (_, owner) => {
          const events = all.filter((_, index) => owners[index] === owner)
          return { events, from: 0, to: events.length }
        })
        const merged = Array.from(walk(ranges, descending), ({ position }) => position)
        expect(merged).toStrictEqual((descending ? [...all].reverse() : all).map(({ position }) => position))
      })
    ))

  it("are searched for the first that passes", () =>
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.integer(), (numbers, wanted) => {
        const sorted = [...numbers].sort((one, other) => one - other)
        const index = sorted.findIndex((number) => number >= wanted)
        expect(search(sorted, (number) => number >= wanted)).toBe(index === -1 ? sorted.length : index)
      })
    ))
})
