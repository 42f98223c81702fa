import { describe, expect, it } from "vitest"
import { limit, type Said } from "./Protocol.js"
import { type Book, judge, mostAtOnce, mostWithin, summary, table } from "./Report.js"

const worker = (shift: number, admitted: number): ReadonlyArray<Said> => [
  ...Array.from({ length: admitted }, (_, n) => ({ said: "admitted" as const, asked: n * 10, answered: n * 10 + 1 })),
  { said: "ended", end: "ok" },
  { said: "ended", end: "limited" },
  { said: "changed", to: "open", at: 10_000 + shift },
  { said: "changed", to: "half_open", at: 10_700 },
  { said: "changed", to: "open", at: 10_900 },
  { said: "changed", to: "closed", at: 12_000 + shift }
]
const book: Book = [worker(0, 30), worker(20, 30)]
const broke = 9_500
const visit = (came: number, left: number, well = false) => ({ came, left, well })
const probes = [visit(10_700, 10_850), visit(11_600, 11_650, true)]

describe("the report on a fleet", () => {
  it("finds that it held where the limit was kept and probes went out one at a time", () => {
    const verdict = judge(
      book,
      [visit(9_999, 10_150), ...probes, visit(11_651, 11_660, true), visit(11_652, 11_660, true)],
      broke
    )
    expect(verdict).toMatchObject({ mostAdmitted: 60, heardWithin: 20, probes: 2, mostProbesAtOnce: 1, holds: true })
    expect(summary(verdict)).toContain("It held.")
  })

  it("finds that it did not where two probes were out at once, or one more was admitted", () => {
    expect(judge(book, [...probes, visit(10_849, 10_860)], broke)).toMatchObject({
      mostProbesAtOnce: 2,
      holds: false
    })
    expect(judge([worker(0, 31), worker(20, 30)], probes, broke)).toMatchObject({
      mostAdmitted: limit.maxRequests + 1,
      holds: false
    })
    expect(judge([[], []], [], broke)).toMatchObject({ holds: false })
  })

  it("leaves aside an opening from before, as on a machine so busy that calls time out", () => {
    const earlier: Said = { said: "changed", to: "open", at: 9_000 }
    const inFlight = [visit(9_360, 9_500), visit(9_370, 9_500), visit(9_490, 9_500, true)]
    expect(judge([[earlier, ...worker(0, 30)], worker(20, 30)], [...inFlight, ...probes], broke)).toMatchObject({
      heardWithin: 20,
      probes: 2,
      holds: true
    })
  })

  it("counts what lies within a length of time, and what overlaps", () => {
    const span = (asked: number, answered: number) => ({ asked, answered })
    expect(mostWithin(100, [span(0, 1), span(50, 99), span(60, 101), span(100, 120)])).toBe(3)
    expect(mostWithin(100, [])).toBe(0)
    expect(mostAtOnce([])).toBe(0)
    expect(mostAtOnce([visit(0, 10), visit(10, 20)])).toBe(1)
  })

  it("has a line for each worker and one for all", () => {
    const lines = table(book).split("\n")
    expect(lines.length).toBe(4)
    expect(lines[3]).toMatch(/^all +2 +0 +0 +2$/)
  })
})
