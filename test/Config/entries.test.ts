import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Entries, noEntries } from "../../src/Config/Entries.js"
import { type Entry, Value } from "../../src/Config/Entry.js"

const value = (name: string, of: unknown): Entry => new Value(`section.${name}`, of, "app", false)

const read = (entries: Entries) => Array.from(entries, ([name, entry]) => [name, entry.value])

describe("the entries of a section", () => {
  it("are what a map would be of all that was put in, in whichever of them it was put", () => {
    fc.assert(
      fc.property(
        fc.nat(1100),
        fc.array(fc.tuple(fc.nat(), fc.nat(1200), fc.nat(3)), { maxLength: 40 }),
        (size, puts) => {
          const first = new Map(Array.from({ length: size }, (_, at) => [`${at}`, value(`${at}`, 0)]))
          const made = [{ entries: Entries.of(first), expected: first }]
          for (const [from, name, of] of puts) {
            const { entries, expected } = made[from % made.length] as (typeof made)[number] // there is at least one
            const entry = value(`${name}`, of)
            made.push({ entries: entries.with(`${name}`, entry), expected: new Map(expected).set(`${name}`, entry) })
          }
          for (const { entries, expected } of made) {
            expect(entries.size).toBe(expected.size)
            expect(new Map(entries)).toEqual(expected)
            expect(Array.from(entries.values())).toHaveLength(expected.size)
            for (let name = 0; name <= 1200; name += 7) expect(entries.get(`${name}`)).toBe(expected.get(`${name}`))
          }
        }
      ),
      { numRuns: 100 }
    )
  })

  it("differ in what a comparison of all would find, whether they share anything or not", () => {
    fc.assert(
      fc.property(
        fc.nat(1100),
        fc.array(fc.nat(1200), { maxLength: 10 }),
        fc.array(fc.nat(1200), { maxLength: 10 }),
        fc.boolean(),
        (size, one, other, share) => {
          const first = new Map(Array.from({ length: size }, (_, at) => [`${at}`, value(`${at}`, 0)]))
          const put = (from: Entries, names: ReadonlyArray<number>) =>
            names.reduce((entries, name) => entries.with(`${name}`, value(`${name}`, 1)), from)
          const from = Entries.of(first)
          const [a, b] = [put(from, one), put(share ? from : Entries.of(first), other)]
          const unlike = Array.from(a.unlike(b), ([entry, there]) => [entry, there])
          const expected = Array.from(a.values(), (entry) => [entry, b.get(entry.path.slice("section.".length))])
          expect(unlike).toEqual(expected.filter(([entry, there]) => entry !== there))
        }
      ),
      { numRuns: 100 }
    )
  })

  it("keep the order in which names came, and the place of a name whose entry is replaced", () => {
    const ab = noEntries.with("a", value("a", 1)).with("b", value("b", 2))
    expect(read(ab.with("c", value("c", 3)).with("a", value("a", 4)))).toEqual([
      ["a", 4],
      ["b", 2],
      ["c", 3]
    ])
    expect(read(ab)).toEqual([
      ["a", 1],
      ["b", 2]
    ])
  })

  it("forget the names of entries that nobody kept", () => {
    let kept = noEntries
    for (let at = 0; at < 10_000; at++) kept.with(`${at}`, value(`${at}`, at))
    kept = kept.with("a", value("a", 1))
    expect((Reflect.get(kept, "slots") as Map<string, number>).size).toBeLessThan(64)
    expect(read(kept)).toEqual([["a", 1]])
  })
})
