import * as Redacted from "effect/Redacted"
import { abridged, parsePath, bounds as pathBounds } from "./Path.js"
import { Problem } from "./Problem.js"

/** A source, or the value of an override, holds at most so many values. */
export const maxValues = 1_000_000

/** What a source states: sections in sections, and values that are not changed any more. */
export type Tree = Map<string, Tree | Leaf>

/** A value with nothing beneath it that has a path of its own: a scalar, a list, or an object of a class. */
export class Leaf {
  constructor(readonly value: unknown) {}
}

/** Something that a source states, freed from whoever made it: copied, frozen, bounded, with no hostile name in it. */
export const ingest = (record: unknown): Tree | Problem =>
  attempt((budget) => {
    if (!isPlain(record)) throw new Problem("invalid_value", "a source must state named values at its top")
    return section(record, [], budget)
  })

/** `ingest` of the value at a path. */
export const ingestAt = (segments: ReadonlyArray<string>, value: unknown): Tree | Leaf | Problem =>
  attempt((budget) => node(value, segments, budget))

const attempt = <A>(run: (budget: { left: number }) => A): A | Problem => {
  try {
    return run({ left: maxValues })
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
}

/** The fields of an object that somebody else made: a getter in it may throw whatever it likes. */
const fieldsOf = (object: object, at: ReadonlyArray<string>): ReadonlyArray<readonly [string, unknown]> => {
  try {
    return Object.entries(object)
  } catch {
    throw new Problem("invalid_value", "a value in it cannot be read; its getter throws", abridged(at.join(".")))
  }
}

/** Recursion is bounded by the depth that a path may have, far from the end of the stack. */
const node = (value: unknown, segments: ReadonlyArray<string>, budget: { left: number }): Tree | Leaf => {
  spend(segments, budget)
  return isPlain(value) ? section(value, segments, budget) : new Leaf(frozen(value, segments, segments.length, budget))
}

const section = (record: object, around: ReadonlyArray<string>, budget: { left: number }): Tree => {
  const tree: Tree = new Map()
  for (const [name, value] of fieldsOf(record, around)) {
    if (value === undefined) continue
    const names = parsePath(name)
    const path = around.length === 0 ? name : `${around.join(".")}.${name}`
    if (names instanceof Problem) throw new Problem("invalid_key", names.message, abridged(path))
    const segments = [...around, ...names]
    if (segments.length > pathBounds.depth || path.length > pathBounds.characters) {
      throw new Problem(
        "invalid_key",
        `the key is longer than ${pathBounds.characters} characters or more than ${pathBounds.depth} sections deep`,
        abridged(path)
      )
    }
    place(tree, names, node(value, segments, budget), path)
  }
  return tree
}

/** A name with dots in it is a path. Where the same source has said it in another way already, nobody can tell which holds. */
const place = (tree: Tree, names: ReadonlyArray<string>, value: Tree | Leaf, path: string): void => {
  const [name = "", ...rest] = names
  const there = tree.get(name)
  if (rest.length > 0 && there === undefined) {
    const inner: Tree = new Map()
    tree.set(name, inner)
    place(inner, rest, value, path)
  } else if (there === undefined) {
    tree.set(name, value)
  } else if (rest.length > 0 && there instanceof Map) {
    place(there, rest, value, path)
  } else if (there instanceof Map && value instanceof Map) {
    for (const [key, item] of value) place(there, [key], item, `${path}.${key}`)
  } else {
    throw new Problem("invalid_key", `"${path}" is stated twice by one source; remove one of the two`, path)
  }
}

const frozen = (value: unknown, at: ReadonlyArray<string>, depth: number, budget: { left: number }): unknown => {
  switch (typeof value) {
    case "function":
    case "symbol":
      throw new Problem("invalid_value", `a ${typeof value} is no configuration value`, at.join("."))
    case "object":
      break
    default:
      return value
  }
  if (value === null || Redacted.isRedacted(value)) return value
  if (depth > pathBounds.depth) {
    throw new Problem("invalid_value", `it is nested deeper than ${pathBounds.depth} levels`, abridged(at.join(".")))
  }
  if (Array.isArray(value)) {
    return Object.freeze(
      value.map((item) => {
        spend(at, budget)
        return frozen(item, at, depth + 1, budget)
      })
    )
  }
  if (value instanceof Date) return new Date(value)
  if (!isPlain(value)) return value
  const out: Record<string, unknown> = Object.create(null)
  for (const [name, item] of fieldsOf(value, at)) {
    if (item === undefined) continue
    spend(at, budget)
    const checked = parsePath(name.replaceAll(".", "") || ".")
    if (checked instanceof Problem)
      throw new Problem("invalid_key", checked.message, abridged(`${at.join(".")}[].${name}`))
    out[name] = frozen(item, at, depth + 1, budget)
  }
  return Object.freeze(out)
}

const spend = (at: ReadonlyArray<string>, budget: { left: number }): void => {
  if (--budget.left < 0)
    throw new Problem("invalid_value", `there are more than ${maxValues} values`, abridged(at.join(".")))
}

/** An object that is its fields and nothing else. */
const isPlain = (value: unknown): value is object => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
