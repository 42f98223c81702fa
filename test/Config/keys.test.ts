import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Config } from "effect-foundation/Config"
import { parsePath } from "effect-foundation/Config/Path"
import { Problem } from "effect-foundation/Config/Problem"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { changing, collecting, environment, over } from "./sources.js"

const hostile = ["__proto__", "constructor", "prototype"]
const invalid = [
  "",
  ".",
  "a..b",
  ".a",
  "a.",
  ...hostile.flatMap((name) => [name, `${name}.polluted`, `a.${name}.b`, `a.${name}`]),
  `${"a.".repeat(100)}a`,
  "a".repeat(1025)
]

/** Nothing has been added to what all objects have. */
const unpolluted = () => {
  expect(Reflect.get({}, "polluted")).toBeUndefined()
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(Object.keys(Function.prototype)).toEqual([])
}

describe("keys", () => {
  it.scoped("that no source can state are a ConfigError to every operation, and pollute nothing", () =>
    Effect.gen(function* () {
      const before = yield* Config.snapshot
      for (const key of invalid) {
        for (const operation of [
          Config.get(key),
          Config.get(key, 1),
          Config.get(Config.Key(key, Schema.Number)),
          Config.set(key, { polluted: true }),
          Config.unset(key),
          Config.origin(key)
        ]) {
          const error = yield* Effect.flip(operation)
          expect(error._tag).toBe("ConfigError")
          expect(error.reason).toBe("invalid_key")
        }
      }
      for (const name of hostile) {
        const error = yield* Effect.flip(Config.set("a", JSON.parse(`{"b": {"${name}": {"polluted": 1}}}`)))
        expect(error).toMatchObject({ reason: "invalid_key", path: `a.b.${name}`, source: "set" })
      }
      expect(yield* Config.snapshot).toBe(before)
      unpolluted()
    }).pipe(over([Config.object({ a: 1 })]))
  )

  it.effect("with a hostile name in a source are a ConfigError that names path and source", () =>
    Effect.gen(function* () {
      for (const name of hostile) {
        const record = JSON.parse(`{"server": {"${name}": {"polluted": true}}}`)
        const error = yield* Effect.flip(Effect.scoped(over([Config.object(record, "file")])(Effect.void)))
        expect(error).toMatchObject({ reason: "invalid_key", path: `server.${name}`, source: "file" })
        const list = JSON.parse(`{"servers": [{"${name}": {"polluted": true}}]}`)
        const inList = yield* Effect.flip(Effect.scoped(over([Config.object(list, "file")])(Effect.void)))
        expect(inList).toMatchObject({ reason: "invalid_key", source: "file" })
      }
      for (const variable of [
        "FOUNDATION____proto____POLLUTED",
        "FOUNDATION__CONSTRUCTOR",
        "FOUNDATION__A__",
        "FOUNDATION__"
      ]) {
        const error = yield* Effect.flip(Effect.scoped(over([environment({ [variable]: "1" })])(Effect.void)))
        expect(error).toMatchObject({ reason: "invalid_key", source: "env" })
      }
      unpolluted()
    })
  )

  it.scoped("that objects have of themselves are no values", () =>
    Effect.gen(function* () {
      for (const key of ["toString", "hasOwnProperty", "valueOf", "a.toString", "a.__defineGetter__"]) {
        expect(yield* Config.get(key)).toBeUndefined()
        expect(yield* Config.get(key, "none")).toBe("none")
      }
      yield* Config.set("a.toString", "mine")
      expect(yield* Config.get("a.toString", "")).toBe("mine")
    }).pipe(over([Config.object({ a: { b: 1 } })]))
  )

  it.scoped("with dots in a source are paths", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("log.level", "")).toBe("debug")
      expect(yield* Config.get("log.format", "")).toBe("json")
    }).pipe(over([Config.object({ "log.level": "debug", log: { format: "json" } })]))
  )

  it.scoped("of an environment without a prefix are those that can be: a system's own variables stop nobody", () =>
    Effect.gen(function* () {
      expect((yield* Config.snapshot).tree).toEqual({ databaseUrl: "x", httpProxy: "upper", db: { host: "h" } })
      unpolluted()
    }).pipe(
      over([
        Config.env({
          prefix: "",
          env: {
            __CF_USER_TEXT_ENCODING: "0x1F5:0x0:0x0",
            __PROTO__: "x",
            A____B: "x",
            CONSTRUCTOR: "x",
            ["X".repeat(2000)]: "x",
            DATABASE_URL: "x",
            http_proxy: "lower",
            HTTP_PROXY: "upper",
            DB__HOST: "h"
          }
        })
      ])
    )
  )

  it.effect("stated twice by one source, in two ways, are refused", () =>
    Effect.gen(function* () {
      for (const source of [
        Config.object({ "a.b": 1, a: { b: 2 } }),
        Config.object({ a: 1, "a.b": 2 }),
        environment({ FOUNDATION__A: "1", FOUNDATION__A__B: "2" }),
        environment({ FOUNDATION__A: "1", FOUNDATION__a: "2" })
      ]) {
        const error = yield* Effect.flip(Effect.scoped(over([source])(Effect.void)))
        expect(error.reason).toBe("invalid_key")
      }
    })
  )

  it("are taken or refused, whatever the text, without an exception", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("a", ".", "_", "constructor") })), (key) => {
        const parsed = parsePath(key)
        const valid = key !== "" && key.split(".").every((name) => name !== "" && !hostile.includes(name))
        if (parsed instanceof Problem) {
          expect(valid && key.length <= 1024 && key.split(".").length <= 100).toBe(false)
        } else {
          expect(valid).toBe(true)
          expect(parsed.join(".")).toBe(key)
        }
      })
    )
  })
})

// What the sources state, as paths and values: the whole of what merging is about.
type Flat = ReadonlyMap<string, number>

const names = fc.constantFrom("a", "b", "c", "d")
const leaf = fc.integer({ min: 0, max: 9 })
const tree: fc.Arbitrary<Record<string, unknown>> = fc.letrec<{ node: unknown; section: Record<string, unknown> }>(
  (tie) => ({
    node: fc.oneof({ depthSize: "small" }, leaf, tie("section")),
    section: fc.dictionary(names, tie("node"), { minKeys: 1, maxKeys: 3, noNullPrototype: true })
  })
).section

const leaves = (node: unknown, path: string, out: Array<[string, number]>) => {
  if (typeof node === "number") out.push([path, node])
  else
    for (const [name, item] of Object.entries(node as object)) leaves(item, path === "" ? name : `${path}.${name}`, out)
  return out
}

/** States the value: what is above it or beneath it is gone. */
const state = (flat: Map<string, number>, path: string, value: number) => {
  for (const key of flat.keys()) if (key.startsWith(`${path}.`) || path.startsWith(`${key}.`)) flat.delete(key)
  flat.set(path, value)
}

const oracle = (layers: ReadonlyArray<unknown>, overrides: ReadonlyArray<readonly [string, unknown]>): Flat => {
  const flat = new Map<string, number>()
  for (const layer of layers) for (const [path, value] of leaves(layer, "", [])) state(flat, path, value)
  for (const [path, value] of overrides) {
    for (const key of flat.keys()) if (key.startsWith(`${path}.`)) flat.delete(key)
    for (const [inner, item] of leaves(value, path, [])) state(flat, inner, item)
  }
  return flat
}

const paths = fc.array(names, { minLength: 1, maxLength: 3 }).map((segments) => segments.join("."))
const command = fc.oneof(
  fc.record({ type: fc.constant("set" as const), path: paths, value: fc.oneof(leaf, tree) }),
  fc.record({ type: fc.constant("unset" as const), path: paths }),
  fc.record({ type: fc.constant("reload" as const), index: fc.nat(2), tree })
)

describe("merging", () => {
  it.effect("agrees with a naive oracle over reloads, sets and unsets, and the changes add up to it", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.tuple(tree, tree, tree), fc.array(command, { maxLength: 12 }), (trees, commands) =>
          Effect.runPromise(
            Effect.scoped(
              Effect.gen(function* () {
                const sources = trees.map((record, index) => changing(record, `source ${index}`))
                const config = yield* Config.make({ sources: sources.map(({ source }) => source) })
                const records: Array<unknown> = [...trees]
                let overrides: Array<readonly [string, unknown]> = []
                const told = new Map(oracle(records, []))
                const drop = (path: string) => {
                  overrides = overrides.filter(([set]) => set !== path && !set.startsWith(`${path}.`))
                }
                const changes = yield* collecting(config)
                for (const one of commands) {
                  if (one.type === "set") {
                    drop(one.path)
                    overrides.push([one.path, one.value])
                    yield* config.set(one.path, one.value)
                  } else if (one.type === "unset") {
                    drop(one.path)
                    yield* config.unset(one.path)
                  } else {
                    records[one.index] = one.tree
                    const source = sources[one.index]
                    if (source !== undefined) source.state.record = one.tree
                    yield* config.reload
                  }
                  const expected = oracle(records, overrides)
                  const snapshot = config.unsafeSnapshot()
                  expect(new Map(snapshot.keys.map((key) => [key, snapshot.get(key)]))).toEqual(expected)
                  for (const { after, before, key } of yield* changes) {
                    expect(told.get(key)).toBe(before)
                    expect(after).not.toBe(before)
                    if (typeof after === "number") told.set(key, after)
                    else told.delete(key)
                  }
                  expect(told).toEqual(expected)
                }
              })
            ).pipe(Effect.provide(Telemetry.layer))
          )
        ),
        { numRuns: 200 }
      )
    )
  )

  it.scoped("freezes what it answers: nobody changes it for the others", () =>
    Effect.gen(function* () {
      const given = { server: { ports: [1, 2], tls: { on: true }, list: [{ a: { b: 1 } }] } }
      yield* Effect.gen(function* () {
        given.server.ports.push(3)
        given.server.tls.on = false
        const server = yield* Config.get("server")
        expect(server).toEqual({ ports: [1, 2], tls: { on: true }, list: [{ a: { b: 1 } }] })
        const walk = (value: unknown): void => {
          if (typeof value !== "object" || value === null) return
          expect(Object.isFrozen(value)).toBe(true)
          for (const item of Object.values(value)) walk(item)
        }
        walk((yield* Config.snapshot).tree)
      }).pipe(over([Config.object(given)]))
    })
  )

  it.scoped("takes lists as values: the later one stands alone", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("tags", ["x"])).toEqual(["c"])
    }).pipe(over([Config.object({ tags: ["a", "b"] }), Config.object({ tags: ["c"] })]))
  )
})
