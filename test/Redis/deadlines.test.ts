import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { Deadline, Deadlines } from "../../src/Redis/Deadlines.js"

describe("the deadlines of a connection", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const watched = () => {
    const deadlines = new Deadlines()
    const missed: Array<string> = []
    const add = (name: string, millis: number) => {
      const deadline = new Deadline(millis, () => missed.push(name))
      deadlines.add(deadline)
      return deadline
    }
    return { add, deadlines, missed }
  }

  it("are missed in time, whatever their order, and only once", () => {
    const { add, deadlines, missed } = watched()
    const long = add("long", 1000)
    const short = add("short", 50)
    vi.advanceTimersByTime(49)
    expect(missed).toEqual([])
    vi.advanceTimersByTime(3)
    expect(missed).toEqual(["short"])
    add("second", 50)
    vi.advanceTimersByTime(60)
    expect(missed).toEqual(["short", "second"])
    expect(deadlines.meet(short)).toBe(false)
    expect(deadlines.meet(long)).toBe(true)
    expect(deadlines.meet(long)).toBe(false)
    vi.advanceTimersByTime(5000)
    expect(missed).toEqual(["short", "second"])
    expect(vi.getTimerCount()).toBe(0)
  })

  it("are met and not missed, one after the other, over one timer", () => {
    const { add, deadlines, missed } = watched()
    for (let turn = 0; turn < 5000; turn++) {
      const deadline = add("met", 50)
      vi.advanceTimersByTime(1)
      expect(deadlines.meet(deadline)).toBe(true)
      expect(vi.getTimerCount()).toBeLessThanOrEqual(1)
    }
    add("last", 50)
    vi.advanceTimersByTime(60)
    expect(missed).toEqual(["last"])
  })

  it("are missed one by one where thousands are met in another order", () => {
    const { add, deadlines, missed } = watched()
    const all = Array.from({ length: 3000 }, (_, index) => add(`${index}`, 50))
    for (const [index, deadline] of all.entries()) if (index % 3 !== 0) expect(deadlines.meet(deadline)).toBe(true)
    vi.advanceTimersByTime(60)
    expect(missed).toEqual(all.flatMap((_, index) => (index % 3 === 0 ? [`${index}`] : [])))
  })

  it("are over where they are met before they are watched", () => {
    const { deadlines, missed } = watched()
    const deadline = new Deadline(50, () => missed.push("early"))
    expect(deadlines.meet(deadline)).toBe(true)
    deadlines.add(deadline)
    vi.advanceTimersByTime(1000)
    expect(missed).toEqual([])
  })
})
