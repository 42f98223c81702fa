import { describe, expect, it } from "@effect/vitest"
import type { Events } from "effect-foundation/Events"
import { MadeIds } from "effect-foundation/Events/MadeIds"
import { Ids } from "effect-foundation/Events/Ordered"
import * as fc from "fast-check"
import { plainEvent } from "./plainEvent.js"

const version7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe("the ids that are made", () => {
  it("are UUIDs of version 7, each greater than all before, whatever the clock does", () => {
    const farOff = fc.constantFrom(
      -1,
      0,
      1,
      2 ** 40,
      2 ** 48 - 2,
      2 ** 48 - 1,
      2 ** 48,
      2 ** 53,
      Number.POSITIVE_INFINITY
    )
    const near = fc.integer({ min: 1_763_000_000_000, max: 1_763_000_000_010 })
    const times = fc.array(fc.oneof({ weight: 9, arbitrary: near }, { weight: 1, arbitrary: farOff }), {
      maxLength: 100
    })
    fc.assert(
      fc.property(times, (times) => {
        const made = new MadeIds()
        let last = ""
        for (const time of times) {
          const id = made.make(time)
          expect(id).toMatch(version7)
          expect(id > last).toBe(true)
          last = id
        }
        expect(made.count).toBe(times.length)
      })
    )
  })

  it("state the time of the clock, and the time that they have reached while the clock is behind", () => {
    const made = new MadeIds()
    const timeOf = (now: number) => Number.parseInt(made.make(now).replace("-", "").slice(0, 12), 16)
    expect([5000, 5000, 5001, 4000, 4000, 4001, 6000].map(timeOf)).toStrictEqual([
      5000, 5000, 5001, 5002, 5002, 5003, 6000
    ])
  })

  it("of one process in a millisecond are not those of another", () => {
    const ids = Array.from({ length: 100 }, () => new MadeIds()).flatMap((made) =>
      Array.from({ length: 100 }, () => made.make(1))
    )
    expect(new Set(ids).size).toBe(10_000)
  })
})

describe("events by id", () => {
  it("are found, whether the id was made or given, came in its turn or late, and until they are taken out", () => {
    const step = fc.oneof(
      fc.record({ _tag: fc.constant("made" as const), late: fc.nat(5) }),
      fc.record({ _tag: fc.constant("given" as const), id: fc.constantFrom("", "0", "a", "zz") }),
      fc.record({ _tag: fc.constant("again" as const), nth: fc.nat(50) }),
      fc.record({ _tag: fc.constant("out" as const), every: fc.integer({ min: 1, max: 4 }) })
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const made = new MadeIds()
        const ids = new Ids()
        const model = new Map<string, Events.StoredEvent>()
        const waiting: Array<readonly [id: string, made: number]> = []
        const seen: Array<string> = ["unknown"]
        let position = 0
        const offer = (id: string, made?: number) => {
          expect(ids.of(id, made)).toBe(model.get(id))
          if (model.has(id)) return
          const stored = plainEvent(++position, id)
          ids.add(stored, made)
          model.set(id, stored)
          seen.push(id)
        }
        for (const step of steps) {
          if (step._tag === "given") offer(step.id)
          else if (step._tag === "made") {
            waiting.push([made.make(position), made.count])
            // One that was made later may be stored before.
            for (const [id, count] of waiting.splice(step.late)) offer(id, count)
          } else if (step._tag === "again") {
            const id = seen[step.nth % seen.length] ?? ""
            expect(ids.of(id)).toBe(model.get(id))
          } else {
            const removed = [...model.values()].filter(({ position }) => position % step.every === 0)
            for (const { id } of removed) model.delete(id)
            ids.takeOut(removed)
          }
        }
        for (const id of seen) expect(ids.of(id)).toBe(model.get(id))
      }),
      { numRuns: 300 }
    )
  })
})
