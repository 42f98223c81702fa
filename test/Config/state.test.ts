import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import { Config } from "effect-foundation/Config"
import type { Accepted } from "effect-foundation/Config/Diff"
import type { Layer } from "effect-foundation/Config/Merge"
import { Problem } from "effect-foundation/Config/Problem"
import { State } from "effect-foundation/Config/State"
import { ingest } from "effect-foundation/Config/Tree"

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
})
