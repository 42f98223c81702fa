import { NodeFileSystem } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Equal, Schema } from "effect"
import { check, type Outcome } from "./Check.js"
import { Quake, week } from "./Quake.js"

const features = await Effect.runPromise(Effect.provide(week, NodeFileSystem.layer))
const quakes = features.map(Quake.fromFeature)

const thresholds = [
  { from: 0, magnitude: 4.5 },
  { from: 1200, magnitude: 5 }
]

/** What a run without a fault leaves behind. */
const good: Outcome = {
  stored: quakes,
  offered: quakes.length + 25,
  alerts: quakes.flatMap((quake, index) => {
    const threshold = index < 1200 ? 4.5 : 5
    return quake.isStrong(threshold) ? [{ quake: quake.id, threshold }] : []
  }),
  circuit: { opened: 2, state: "closed" }
}

/** What the check finds wrong with a run that differs from a good one in this. */
const wrong = (change: Partial<Outcome>) =>
  check(quakes, thresholds, { ...good, ...change }).flatMap(({ holds, text }) => (holds ? [] : [text]))

describe("The week of quakes", () => {
  it("has 1,707 of them, each under an id of its own, oldest first", () => {
    expect(quakes).toHaveLength(1707)
    expect(new Set(quakes.map(({ id }) => id)).size).toBe(1707)
    const times = features.map(({ properties }) => properties.time)
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(quakes.filter((quake) => quake.isStrong(4.5))).toHaveLength(85)
  })

  it("survives its way through JSON", () => {
    const json = Schema.parseJson(Schema.Array(Quake))
    const copies = Schema.decodeSync(json)(Schema.encodeSync(json)(quakes))
    expect(copies.every((copy, index) => Equal.equals(copy, quakes[index]))).toBe(true)
  })

  it("knows the region of a place, with and without a comma", () => {
    const at = (place: string | null) =>
      Quake.fromFeature({
        id: "q",
        properties: { mag: null, place, time: 0, type: "earthquake" },
        geometry: { coordinates: [0, 0, 0] }
      })
    expect(at("22km NNE of Hualian, Taiwan").region).toBe("Taiwan")
    expect(at("Reykjanes Ridge").region).toBe("Reykjanes Ridge")
    expect(at(null).place).toBe("an unnamed place")
    expect(at(null).isStrong(-1)).toBe(false)
  })
})

describe("The check", () => {
  it("holds for a run without a fault, says what it has found, and fits a terminal", () => {
    expect(wrong({})).toEqual([])
    const texts = check(quakes, thresholds, good).map(({ text }) => text)
    expect(texts).toEqual([
      "All 1,707 quakes are stored, each exactly once",
      "25 came twice, with the page that broke off, and were stored once",
      "The strongest: M 6.4, 22km NNE of Hualian, Taiwan, 2018-02-06 15:50:42 UTC",
      "67 alerts, as the thresholds imply: 56 at M >= 4.5, then 11 at M >= 5.0",
      "The circuit opened in the outage, and is closed again"
    ])
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThanOrEqual(76)
  })

  it("finds a quake that is missing, stored twice, changed or unheard of", () => {
    const [first, ...others] = quakes
    if (first === undefined) return expect.unreachable()
    const storing = (...stored: ReadonlyArray<Quake>) => wrong({ stored, offered: 1e6 })
    const claim = "Not every quake is stored exactly once:"
    expect(storing(...others)).toEqual([`${claim} 1 missing (${first.id})`])
    expect(storing(...quakes, first)).toEqual([`${claim} 1 repeated (${first.id})`])
    expect(storing(new Quake({ ...first, magnitude: 1 }), ...others)).toEqual([`${claim} 1 changed (${first.id})`])
    expect(storing(...quakes, new Quake({ ...first, id: "other" }))).toEqual([`${claim} 1 not expected (other)`])
  })

  it("finds that the strongest is not the one of the data set", () => {
    expect(wrong({ stored: quakes.filter(({ magnitude }) => magnitude !== 6.4) })).toContainEqual(
      expect.stringMatching(/^The strongest is M 6.4, 22km NNE of Hualian.*, and in the store M 6.1, /)
    )
    expect(wrong({ stored: [] })).toContainEqual(expect.stringMatching(/and in the store none$/))
  })

  it("finds an alert that is missing, sent twice, or judged by the other threshold", () => {
    expect(wrong({ alerts: good.alerts.slice(1) })).toEqual([expect.stringMatching(/: 1 missing \(\S+ at M 4.5\)$/)])
    expect(wrong({ alerts: [...good.alerts, ...good.alerts.slice(-1)] })).toEqual([
      expect.stringMatching(/: 1 repeated \(\S+ at M 5.0\)$/)
    ])
    expect(wrong({ alerts: good.alerts.map((alert) => ({ ...alert, threshold: 4.5 })) })).toEqual([
      expect.stringMatching(/: 11 missing \(.* at M 5.0, \.\.\.\); 11 not expected \(.* at M 4.5, \.\.\.\)$/)
    ])
  })

  it("finds that the outage was not met, or is not over", () => {
    expect(wrong({ circuit: { opened: 0, state: "closed" } })).toHaveLength(1)
    expect(wrong({ circuit: { opened: 2, state: "half_open" } })).toHaveLength(1)
    expect(wrong({ circuit: { opened: 2, state: "open" } })).toHaveLength(1)
    expect(wrong({ offered: quakes.length })).toHaveLength(1)
  })
})
