import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { measure, verify } from "./measure.js"
import type { Contender, Row } from "./Row.js"
import { report } from "./report.js"
import { quantile, ratioOf, seriesOf } from "./Series.js"
import { placesOf, suite } from "./suites.js"
import { figure, goalOf, promiseOf, resultsTable, shortTable, table } from "./table.js"

const row = (ours: Partial<Contender>, peer: Partial<Contender> = {}, more: Partial<Row> = {}): Row => ({
  work: "to add",
  about: "Adds one and one.",
  ours: { name: "ours", gives: (sum) => sum === 2, ...ours },
  peers: [{ name: "theirs", gives: (sum) => sum === 2, ...peer }],
  perSample: 1,
  rounds: 2,
  ...more
})

describe("a series of turns", () => {
  it("has the median of its values, and a spread that one turn that was disturbed does not change", () => {
    expect(seriesOf([3, 1, 2])).toEqual({ median: 2, spread: 0.25 })
    expect(seriesOf([1, 1, 1, 1, 900])).toEqual({ median: 1, spread: 0 })
    expect(quantile([1, 2], 0.5)).toBe(1.5)
    expect(quantile([], 0.5)).toBeNaN()
  })

  it("stands to another turn by turn, so that what slows both for a while changes nothing", () => {
    expect(ratioOf([1, 10, 1], [2, 20, 2])).toEqual({ median: 0.5, spread: 0 })
    expect(ratioOf([1, 2, 3], [2])).toEqual({ median: 0.5, spread: 0 })
  })
})

describe("a measurement", () => {
  it.live("has each contender in each way that it is called", () =>
    Effect.gen(function* () {
      const result = yield* measure(
        row(
          { effect: Effect.succeed(2) },
          { effect: () => Effect.succeed(2), bare: () => Promise.resolve(2), atMost: 1e9 },
          { promise: 1e9, fibers: 2, perSample: 4 }
        )
      )
      expect(result.ours.median).toBeGreaterThan(0)
      expect(result.peers[0]?.inEffect?.ratio.median).toBeGreaterThan(0)
      expect(result.peers[0]?.bare?.ratio.median).toBeGreaterThan(0)
      expect(promiseOf(result)).toBe("1000000000 ✓")
      expect(result.peers.map(goalOf)).toEqual(["1000000000 ✓"])
    })
  )

  it.live("takes the word of what cannot be timed from here, and of what has a runtime of its own", () =>
    Effect.gen(function* () {
      const samples: Array<readonly [runs: number, fibers: number]> = []
      const result = yield* measure(
        row(
          { takes: async () => 5, gives: (took) => took === 5 },
          { sample: async (runs, fibers) => samples.push([runs, fibers]), gives: (count) => count === 1 },
          { fibers: 64, perSample: 100 }
        )
      )
      expect(result.ours).toEqual({ median: 5, spread: 0 })
      expect(samples[0]).toEqual([1, 1])
      expect(samples.at(-1)).toEqual([100, 64])
    })
  )

  it.live("stops where the work is not done, or fails, and says by whom", () =>
    Effect.gen(function* () {
      const undone = yield* Effect.flip(verify(row({ bare: () => 2 }, { bare: () => 3 })))
      expect(undone.message).toBe("to add: theirs, bare, did not do the work: it gave 3")
      const failed = yield* Effect.flip(verify(row({ effect: Effect.fail("no") })))
      expect(failed.message).toContain("to add: ours, in Effect, failed when it was tried")
      const unset = yield* Effect.flip(measure(row({})))
      expect(unset.message).toBe("to add: there is nothing of ours to measure")
    })
  )

  it.live("takes back what each turn has left, and that of the trial, too", () =>
    Effect.gen(function* () {
      let left = 0
      const reset = Effect.sync(() => {
        left = 0
      })
      const adds = () => {
        left++
        return 2
      }
      yield* measure(row({ bare: adds }, { bare: adds }, { reset }))
      expect(left).toBe(0)
    })
  )
})

describe("the tables", () => {
  const time = (median: number) => ({ median, spread: 0.031 })
  const result = {
    row: row({ floor: "the runtime takes 0.4" }, {}, { promise: 10 }),
    ours: time(12.34),
    peers: [
      { contender: row({}, { atMost: 0.5 }).ours },
      {
        contender: { ...row({}).ours, name: "theirs", atMost: 0.5, floor: "it does less" },
        inEffect: { time: time(20), ratio: time(0.617) },
        bare: { time: time(123.4), ratio: time(0.1) }
      }
    ]
  }

  it("show as many digits as mean something", () => {
    expect([0.004, 0.5, 9.994, 12.34, 1234.5, Number.NaN].map(figure)).toEqual([
      "0.00",
      "0.50",
      "9.99",
      "12.3",
      "1235",
      "?"
    ])
  })

  it("have a line for each peer, and say what holds", () => {
    expect(table(["a", "bc"], [["1", "2"], ["345"]], (column) => column === 1)).toBe(
      ["| a   |  bc |", "| --- | --: |", "| 1   |   2 |", "| 345 |     |"].join("\n")
    )
    const [, , first, second] = resultsTable([result]).split("\n")
    expect(first).toMatch(/^\| to add +\| 12\.3 ±3% +\| +10 ✗ \| ours +\|/)
    expect(second).toMatch(/^\| +\| +\| +\| theirs \| +20\.0 ±3% \| 0\.62 ±3% \| +0\.5 ✗ \| 123 ±3% \| 0\.10 ±3% \|$/)
    expect(shortTable([result]).split("\n")[2]).toMatch(/^\| to add \| 12\.3 \| theirs +\| 20\.0 \| 0\.62 +\|$/)
  })

  it("stand in the report with what was done, and what the least is", () => {
    const text = report({ results: [result], growth: "| grows |", machine: "- a machine" })
    expect(text).toContain("- a machine")
    expect(text).toContain("- **to add**: Adds one and one.")
    expect(text).toContain("- to add (12.3 µs): the runtime takes 0.4")
    expect(text).toContain("- to add, beside theirs: it does less")
    expect(text).toContain("| grows |")
  })
})

describe("the rows that are wanted", () => {
  const names = ["circuitBreaker", "config", "events", "eventsPostgres"]
  const where = (part: string) => placesOf(names, part).map((place) => place.names)

  it("are those of the files of that name, or else looked for where it costs least first", () => {
    expect(where("")).toEqual([names])
    expect(where("CONFIG")).toEqual([["config"]])
    expect(where("events")).toEqual([["events", "eventsPostgres"]])
    expect(where("rejection")).toEqual([["circuitBreaker", "config", "events"], ["eventsPostgres"]])
  })

  it.effect.each(["config", "events", "serviceRegistry", "telemetry"])("of %s do what they say", (name) =>
    Effect.gen(function* () {
      const { rows } = yield* suite(name)
      const made = yield* rows
      expect(made.length).toBeGreaterThan(0)
      yield* Effect.forEach(made, verify, { discard: true })
    }).pipe(Effect.scoped)
  )
})
