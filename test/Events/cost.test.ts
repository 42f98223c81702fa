import { describe, expect, it } from "@effect/vitest"
import { type Criteria, decodeCriteria, type Query } from "effect-foundation/Events/Criteria"
import type { StoredEvent } from "effect-foundation/Events/Event"
import { Log } from "effect-foundation/Events/Log"

/** One event in a hundred is rare, in each respect; every millisecond has ten. */
const logOf = (size: number, timestamp = (index: number) => Math.floor(index / 10)): Log => {
  const log = new Log({ capacity: size, maxBytes: Number.MAX_SAFE_INTEGER })
  log.append(
    Array.from({ length: size }, (_, index) => {
      const rare = index % 100 === 50 && index < 2000
      return {
        id: `id${index}`,
        type: rare ? "rare" : `common${index % 3}`,
        data: { rare },
        timestamp: timestamp(index),
        stream: rare ? "rare" : `s${index % 2}`,
        correlationId: rare ? "rare" : "common",
        causationId: rare ? "rare" : undefined,
        metadata: { rare },
        bytes: 10
      }
    })
  )
  return log
}

/** What the criteria find, and at how many events the log looked for it: the least budget that reaches the end. */
const looked = (log: Log, criteria: Criteria): { readonly found: number; readonly looked: number } => {
  const query = decodeCriteria(criteria) as Query // the criteria here are valid
  const scanned = (budget: number) => {
    const events: Array<StoredEvent> = []
    return { events, ended: log.scan(query, events, undefined, budget) === undefined }
  }
  let low = 0
  let high = 2 ** 20
  while (low < high) {
    const middle = (low + high) >>> 1
    if (scanned(middle).ended) high = middle
    else low = middle + 1
  }
  return { found: scanned(high).events.length, looked: high }
}

describe("the cost of get in memory, in events looked at", () => {
  const small = logOf(2000)
  const large = logOf(50_000)

  const direct: ReadonlyArray<readonly [name: string, found: number, criteria: Criteria]> = [
    ["an id", 1, { id: "id1234" }],
    ["ids", 3, { id: ["id3", "id1999", "id0", "unknown"] }],
    ["a type", 20, { type: "rare" }],
    ["a type that is unknown", 0, { type: "unknown" }],
    ["types", 20, { type: ["rare", "unknown"] }],
    ["a stream", 20, { stream: "rare" }],
    ["a correlation id", 20, { correlationId: "rare" }],
    ["a causation id", 20, { causationId: "rare" }],
    ["positions", 50, { afterPosition: 700, beforePosition: 751 }],
    ["times", 90, { after: 100, before: 110 }],
    ["a type, from a position on", 10, { type: "rare", afterPosition: 1000, beforePosition: 2001 }],
    ["a common type within times", 29, { type: "common1", after: 109, before: 119 }],
    ["the first few of many", 7, { type: "common1", limit: 7 }],
    ["the last few of many", 7, { order: "desc", limit: 7 }]
  ]
  for (const [name, found, criteria] of direct) {
    it(`by ${name} is what it returns, whatever the size of the store`, () => {
      expect(looked(small, criteria)).toStrictEqual({ found, looked: found })
      expect(looked(large, criteria)).toStrictEqual({ found, looked: found })
    })
  }

  it("by several criteria is the fewest that one of them leads to", () => {
    const criteria = { type: "rare", stream: "rare", correlationId: "common" }
    expect(looked(large, criteria)).toStrictEqual({ found: 0, looked: 20 })
  })

  it("by data or metadata is all that the other criteria leave, up to the limit", () => {
    for (const criteria of [{ data: { rare: true } }, { metadata: { rare: true } }]) {
      expect(looked(small, criteria)).toStrictEqual({ found: 20, looked: 2000 })
      expect(looked(large, criteria)).toStrictEqual({ found: 20, looked: 50_000 })
      expect(looked(large, { ...criteria, type: "rare" })).toStrictEqual({ found: 20, looked: 20 })
      expect(looked(large, { ...criteria, limit: 1 })).toStrictEqual({ found: 1, looked: 51 })
    }
  })

  it("by times, where the wall clock was set back by 50 ms, is at most the events of 50 ms more at each end", () => {
    // Ten events a millisecond, and a step back in the middle.
    const log = logOf(50_000, (index) => Math.floor(index / 10) - (index < 25_000 ? 0 : 50))
    const far = looked(log, { after: 1000, before: 1010 })
    expect(far.found).toBe(90)
    expect(far.looked).toBeLessThanOrEqual(90 + 2 * 500)
    const across = looked(log, { after: 2480, before: 2490 })
    expect(across.found).toBe(180)
    expect(across.looked).toBeLessThanOrEqual(180 + 2 * 500)
  })
})
