import { describe, expect, it } from "@effect/vitest"
import { Redacted, Schema } from "effect"
import { Config } from "effect-foundation/Config"
import type { Accepted } from "effect-foundation/Config/Diff"
import { type Layer, merge } from "effect-foundation/Config/Merge"
import { Problem } from "effect-foundation/Config/Problem"
import { State } from "effect-foundation/Config/State"
import { ingest, ingestAt, type Leaf, type Tree } from "effect-foundation/Config/Tree"
import * as fc from "fast-check"

const layer = (record: Readonly<Record<string, unknown>>, name = "app"): Layer => {
  const tree = ingest(record)
  if (tree instanceof Problem) throw new Error(tree.message)
  return { name, text: false, loose: false, tree }
}

const changesOf = (accepted: Accepted | Problem) => {
  if (accepted instanceof Problem) throw new Error(accepted.message)
  return accepted.changes
}

const Port = Config.Key("server.port", Schema.Number)

describe("the state in force", () => {
  it("answers what each step changed, and the snapshot after it", () => {
    const state = new State([layer({ a: 1 })])
    expect(changesOf(state.swap([layer({ a: 2 })]))).toEqual([{ key: "a", before: 1, after: 2, source: "app" }])
    expect(changesOf(state.set("b.c", 3))).toEqual([{ key: "b.c", before: undefined, after: 3, source: "set" }])
    expect(changesOf(state.unset("b"))).toEqual([{ key: "b.c", before: 3, after: undefined, source: "set" }])
    expect(state.unset("b")).toEqual({ snapshot: state.snapshot, changes: [] })
  })

  it("never shows what is set by a key whose schema hides it, though nobody has read the key before", () => {
    const state = new State([layer({ db: { pin: "old-secret" } })])
    const Pin = Config.Key("db.pin", Schema.Redacted(Schema.String))
    const changes = changesOf(state.set(Pin, Redacted.make("new-secret")))
    expect(changes).toHaveLength(1)
    expect(JSON.stringify([changes, state.snapshot])).not.toContain("secret")
  })

  it("answers the Problem, and is as before, where what was read would not hold any more", () => {
    const state = new State([layer({ server: { port: 1 } })])
    expect(state.read(Port)).toEqual({ value: 1 })
    const before = state.snapshot
    for (const refused of [
      state.swap([layer({ server: { port: "x" } })]),
      state.swap([layer({})]),
      state.set("server", 5),
      state.set("server.port", "x")
    ]) {
      expect(refused).toBeInstanceOf(Problem)
      expect(refused).toMatchObject({ reason: "invalid_value", path: "server.port" })
    }
    expect(state.snapshot).toBe(before)
    expect(changesOf(state.set("server.port", 2))).toHaveLength(1)
  })

  it("takes new layers of the same content, and is the same snapshot after it; another origin is another", () => {
    const state = new State([layer({ a: 1 })])
    const before = state.snapshot
    state.swap([layer({ a: 1 })])
    expect(state.snapshot).toBe(before)
    expect(changesOf(state.set("a", 1))).toEqual([])
    expect(state.snapshot).not.toBe(before)
    expect(state.origin("a")).toBe("set")
  })

  it("shares what a set does not touch, and yet is what merging all of it anew would be, in origin too", () => {
    fc.assert(
      fc.property(tree, tree, variables, fc.array(command, { maxLength: 15 }), (one, other, text, commands) => {
        let layers: ReadonlyArray<Layer> = [layer(one, "one"), layer(other, "other"), loose(text)]
        let overrides: ReadonlyArray<readonly [string, Tree | Leaf]> = []
        const state = new State([])
        state.swap(layers)
        for (const { path, tree, type, value } of commands) {
          if (type === "swap") {
            layers = layers.with(1, layer(tree, "other"))
            state.swap(layers)
          } else {
            overrides = overrides.filter(([set]) => set !== path && !set.startsWith(`${path}.`))
            const ingested = ingestAt(path.split("."), value)
            if (type === "set" && !(ingested instanceof Problem)) overrides = [...overrides, [path, ingested]]
            if (type === "set") state.set(path, value)
            else state.unset(path)
          }
          const anew = merge(layers, new Map(overrides), new Set())
          expect(state.snapshot.toJSON()).toEqual(anew.toJSON())
          for (const path of ["a", "a.b", "maxUses", "max_uses", "a.maxUses", "a.max_uses", ...anew.keys]) {
            expect([path, state.origin(path), state.read(path)]).toMatchObject([
              path,
              anew.origin(path),
              { value: anew.get(path) }
            ])
          }
        }
      }),
      { numRuns: 300 }
    )
  })
})

const loose = (text: Record<string, unknown>): Layer => ({ ...layer(text, "env"), text: true, loose: true })

const leaf = fc.oneof(fc.nat(3), fc.constant(null), fc.constant([1, 2]))
const sections = (names: fc.Arbitrary<string>) =>
  fc.letrec<{ node: unknown; section: Record<string, unknown> }>((tie) => ({
    node: fc.oneof({ depthSize: "small" }, leaf, tie("section")),
    section: fc.dictionary(names, tie("node"), { maxKeys: 3, noNullPrototype: true })
  })).section
const tree = sections(fc.constantFrom("a", "b", "c", "maxUses"))
const variables = sections(fc.constantFrom("a", "b", "max_uses", "new_one"))
const command = fc.record({
  type: fc.constantFrom("set", "set", "unset", "swap"),
  path: fc
    .array(fc.constantFrom("a", "b", "maxUses", "max_uses", "new_one"), { minLength: 1, maxLength: 3 })
    .map((names) => names.join(".")),
  value: fc.oneof(leaf, tree),
  tree
})
