import { describe, expect, it } from "@effect/vitest"
import { Problem } from "effect-foundation/Config/Problem"
import { edit, edited, type Values } from "effect-foundation/Config/Sql/Rows"
import { ingest, Leaf, type Tree } from "effect-foundation/Config/Tree"
import type { Json } from "effect-foundation/internal/json"
import * as fc from "fast-check"

/** What the rows state, by the path of each value; nothing where they state something twice. */
const stated = (rows: Values): Map<string, unknown> | undefined => {
  const tree = ingest(Object.fromEntries(rows))
  if (tree instanceof Problem) return undefined
  const out = new Map<string, unknown>()
  const walk = (tree: Tree, prefix: string): void => {
    for (const [name, node] of tree) {
      if (node instanceof Leaf) out.set(prefix + name, node.value)
      else walk(node, `${prefix}${name}.`)
    }
  }
  walk(tree, "")
  return out
}

/** The same, by the book: everything at and beneath the path goes, and values that are in its way. */
const expected = (before: Map<string, unknown>, path: string, value: Json | undefined) => {
  const after = new Map(before)
  for (const key of before.keys()) {
    if (key === path || key.startsWith(`${path}.`)) after.delete(key)
    else if (value !== undefined && path.startsWith(`${key}.`)) after.delete(key)
  }
  if (value === undefined) return after
  for (const [key, leaf] of stated(new Map([[path, value]])) ?? []) after.set(key, leaf)
  return after
}

const byKey = (map: Map<string, unknown>) => [...map].sort(([one], [other]) => (one < other ? -1 : 1))

const names = fc.constantFrom("a", "b", "c")
const path = fc.array(names, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("."))
const json = fc.letrec<{ node: Json; section: Json }>((tie) => ({
  node: fc.oneof({ depthSize: "small" }, fc.nat(3), fc.constant(null), fc.constant([1]), tie("section")),
  // Names with dots in them too.
  section: fc.dictionary(fc.oneof(names, path), tie("node"), {
    maxKeys: 3,
    noNullPrototype: true
  }) as fc.Arbitrary<Json>
})).node
const rows = fc.dictionary(path, json, { maxKeys: 5 }).map((record): Values => new Map(Object.entries(record)))

describe("an edit of rows", () => {
  it("states the value at the path and leaves everything else as it is, whatever the rows are", () => {
    let checked = 0
    fc.assert(
      fc.property(rows, path, fc.option(json, { nil: undefined }), (rows, path, value) => {
        const before = stated(rows)
        fc.pre(before !== undefined && (value === undefined || stated(new Map([[path, value]])) !== undefined))
        const after = edited(rows, edit(rows, path, value))
        expect(byKey(stated(after) ?? new Map([["clash", true]]))).toEqual(byKey(expected(before, path, value)))
        checked++
      }),
      { numRuns: 5000 }
    )
    expect(checked).toBeGreaterThan(1000)
  })

  it("changes no row that has nothing to do with the path", () => {
    fc.assert(
      fc.property(rows, path, fc.option(json, { nil: undefined }), (rows, path, value) => {
        const { put, remove } = edit(rows, path, value)
        for (const key of [...put.keys(), ...remove]) {
          expect(key === path || key.startsWith(`${path}.`) || path.startsWith(`${key}.`)).toBe(true)
        }
      }),
      { numRuns: 2000 }
    )
  })

  it("puts a value where it stands: in its own row, or in that of the section that states it", () => {
    const rows: Values = new Map<string, Json>([
      ["server", { port: 1, host: "h" }],
      ["db.url", "u"]
    ])
    expect(edit(rows, "server.port", 2)).toEqual({ put: new Map([["server", { port: 2, host: "h" }]]), remove: [] })
    expect(edit(rows, "server.name", "n")).toEqual({ put: new Map([["server.name", "n"]]), remove: [] })
    expect(edit(rows, "db.url", "v")).toEqual({ put: new Map([["db.url", "v"]]), remove: [] })
    expect(edit(rows, "db", {})).toEqual({ put: new Map([["db", {}]]), remove: ["db.url"] })
    expect(edit(rows, "server.port", undefined)).toEqual({ put: new Map([["server", { host: "h" }]]), remove: [] })
    expect(edit(rows, "nothing.there", undefined)).toEqual({ put: new Map(), remove: [] })
    const alone: Values = new Map([["server", { tls: { port: 1 } }]])
    expect(edit(alone, "server.tls.port", undefined)).toEqual({ put: new Map(), remove: ["server"] })
  })

  it("repairs rows that state a path twice, by setting it", () => {
    fc.assert(
      fc.property(rows, path, json, (rows, path, value) => {
        fc.pre(stated(new Map([[path, value]])) !== undefined)
        // What is left apart from the path may clash for itself.
        const others = edited(rows, edit(rows, path, undefined))
        fc.pre(stated(others) !== undefined)
        const after = stated(edited(rows, edit(rows, path, value)))
        expect(after && byKey(after)).toEqual(byKey(expected(stated(others) ?? new Map(), path, value)))
      }),
      { numRuns: 2000 }
    )
  })
})
