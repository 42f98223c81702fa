import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { type Answers, BusyPoll } from "../../src/Redis/BusyPoll.js"

/** A connection that counts how often somebody looks whether the answer is there. */
class Counting implements Answers {
  took = 0
  sent: number | undefined
  looks = 0

  get since(): number | undefined {
    this.looks++
    return this.sent
  }
}

/** Which of so many lone commands were looked after, where an answer takes so long if it is looked for, or slept through. */
const lookedFor = async (commands: number, looked: number, slept: number): Promise<ReadonlyArray<number>> => {
  const answers = new Counting()
  const poll = new BusyPoll(answers)
  const at: Array<number> = []
  for (let command = 0; command < commands; command++) {
    const before = answers.looks
    poll.begin()
    await turn()
    const hasLooked = answers.looks > before
    if (hasLooked) at.push(command)
    answers.took = hasLooked ? looked : slept
  }
  return at
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

describe("the answer to a lone command", () => {
  it("is looked for where it is there sooner then", async () => {
    expect(await lookedFor(2048, 0.08, 0.14)).toEqual([...range(32, 1024), ...range(1024 + 32, 2048)])
  })

  it("is slept through where it is there no sooner, but for a trial now and again", async () => {
    const onTrial = [...range(32, 64), ...range(1024 + 32, 1024 + 64)]
    expect(await lookedFor(2048, 0.05, 0.045)).toEqual(onTrial)
    expect(await lookedFor(2048, 0.05, 0.052)).toEqual(onTrial)
    expect(await lookedFor(2048, 0.8, 1.2)).toEqual(onTrial)
  })

  it("is looked for no longer than a moment", async () => {
    const answers = new Counting()
    const poll = new BusyPoll(answers)
    for (let command = 0; command < 32; command++) poll.begin()
    expect(answers.looks).toBe(0)
    answers.sent = performance.now()
    poll.begin()
    await sleep(20)
    const { looks } = answers
    expect(looks).toBeGreaterThan(0)
    await sleep(20)
    expect(answers.looks).toBe(looks)
  })

  it("is looked for once at a time", async () => {
    const answers = new Counting()
    const poll = new BusyPoll(answers)
    for (let command = 0; command < 40; command++) poll.begin()
    await turn()
    await turn()
    expect(answers.looks).toBe(1)
  })
})
