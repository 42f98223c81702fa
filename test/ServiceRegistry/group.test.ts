import { describe, expect, it } from "@effect/vitest"
import { Group, type Seat } from "effect-foundation/ServiceRegistry/Group"
import type { Member } from "effect-foundation/ServiceRegistry/Registration"
import * as fc from "fast-check"

const member = (token: number): Member => ({
  group: "g",
  process: new URL("http://localhost"),
  metadata: {},
  token,
  joinedAt: 0
})

type Step = { readonly do: "join" } | { readonly do: "leave"; readonly which: number } | { readonly do: "pick" }

const steps = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.constant<Step>({ do: "join" }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat() }) },
    { weight: 4, arbitrary: fc.constant<Step>({ do: "pick" }) }
  ),
  { maxLength: 200 }
)

describe("taking turns", () => {
  it("follows a queue: who was picked goes to its end, newcomers join there, leaving takes out", () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const group = new Group()
        const seats = new Map<number, Seat>()
        let queue: Array<number> = []
        let token = 0
        for (const step of steps) {
          if (step.do === "join") {
            token++
            seats.set(token, group.join(member(token)))
            queue.push(token)
          } else if (step.do === "leave") {
            const leaving = queue[step.which % Math.max(1, queue.length)]
            const seat = leaving === undefined ? undefined : seats.get(leaving)
            if (seat !== undefined) group.leave(seat)
            queue = queue.filter((other) => other !== leaving)
          } else {
            const [expected, ...others] = queue
            expect(group.takeTurn()?.token).toBe(expected)
            queue = expected === undefined ? [] : [...others, expected]
          }
          expect(group.size).toBe(queue.length)
          const inOrder = [...queue].sort((a, b) => a - b)
          expect(group.members().map((one) => one.token)).toEqual(inOrder)
          const places = queue.map((_, index) => group.at(index)?.token ?? 0)
          expect(places.sort((a, b) => a - b)).toEqual(inOrder)
        }
      })
    )
  })

  it("over any span, the picks of members that stay differ by at most one, however others come and go", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 2, max: 6 }), (steps, staying) => {
        const group = new Group()
        for (let token = 1; token <= staying; token++) group.join(member(token))
        const passing: Array<Seat> = []
        const picked: Array<number> = []
        let token = staying
        for (const step of steps) {
          if (step.do === "join") passing.push(group.join(member(++token)))
          else if (step.do === "leave") {
            const [seat] = passing.splice(step.which % Math.max(1, passing.length), 1)
            if (seat !== undefined) group.leave(seat)
          } else picked.push(group.takeTurn()?.token ?? 0)
        }
        for (let from = 0; from < picked.length; from++) {
          const counts = new Array<number>(staying).fill(0)
          for (const one of picked.slice(from)) {
            if (one <= staying) counts[one - 1] = (counts[one - 1] ?? 0) + 1
            expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
          }
        }
      }),
      { numRuns: 50 }
    )
  })

  it("joins, picks from and leaves a group of 100,000 without walking through it", () => {
    const group = new Group()
    const seats = Array.from({ length: 100_000 }, (_, index) => group.join(member(index)))
    expect(seats.filter((seat) => group.takeTurn() !== seat.member)).toHaveLength(0)
    for (const seat of seats) group.leave(seat)
    expect(group.size).toBe(0)
    expect(group.takeTurn()).toBeUndefined()
  })
})
