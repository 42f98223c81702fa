import * as Redacted from "effect/Redacted"
import { letters } from "../internal/letters.js"
import { type Entry, Section, Value } from "./Entry.js"
import { parsePath } from "./Path.js"
import { isSecretAt, redactedWithin } from "./Secret.js"
import { Snapshot } from "./Snapshot.js"
import { Leaf, type Tree } from "./Tree.js"

/** What one source stated when it was last read. */
export interface Layer {
  readonly name: string
  /** Whether its values are text. */
  readonly text: boolean
  /** Whether its names are upper case with underscores, and find the names of the layers below by their letters. */
  readonly loose: boolean
  readonly tree: Tree
}

/** The values set on top of the sources, in the order in which they were set. */
export type Overrides = ReadonlyMap<string, Tree | Leaf>

/** The name of the source of what was set. */
export const setSource = "set"

/** Merges the layers, later ones over earlier ones. Lists are values: they are not merged. */
export const stack = (layers: ReadonlyArray<Layer>, declaredSecrets: ReadonlySet<string>): Snapshot => {
  const root = new Branch("")
  const spellings = new Map<string, string>()
  for (const layer of layers) {
    if (layer.loose) overlayLoose(root, layer.tree, layer, "", "", spellings)
    else overlay(root, layer.tree, layer)
  }
  return new Snapshot(seal(root, [], respelled(declaredSecrets, spellings)), spellings)
}

/** Puts the overrides over what the layers state. Only the sections that they are in are made anew; the rest is shared. */
export const overlaid = (stated: Snapshot, overrides: Overrides, declaredSecrets: ReadonlySet<string>): Snapshot => {
  const root = new Branch("", stated.root)
  for (const [path, value] of overrides) override(root, canonical(path, stated.spellings), value)
  return new Snapshot(seal(root, [], respelled(declaredSecrets, stated.spellings)), stated.spellings)
}

/** Both at once, sharing nothing. */
export const merge = (
  layers: ReadonlyArray<Layer>,
  overrides: Overrides,
  declaredSecrets: ReadonlySet<string>
): Snapshot => overlaid(stack(layers, declaredSecrets), overrides, declaredSecrets)

/** A section that is being merged. What is an entry in it has been merged before, and stays as it is. */
class Branch {
  readonly children: Map<string, Branch | Placed | Entry>

  constructor(
    public source: string,
    merged?: Section
  ) {
    this.children = new Map(merged?.children)
  }

  /** The branch under the name; a value that is there gives way to it. */
  at(name: string, source: string): Branch {
    const there = this.children.get(name)
    if (there instanceof Branch) {
      there.source = source
      return there
    }
    const made = new Branch(source, there instanceof Section ? there : undefined)
    this.children.set(name, made)
    return made
  }
}

class Placed {
  constructor(
    readonly value: unknown,
    readonly source: string,
    readonly text: boolean
  ) {}
}

const overlay = (onto: Branch, tree: Tree, layer: Layer): void => {
  for (const [name, node] of tree) {
    if (node instanceof Leaf) onto.children.set(name, new Placed(node.value, layer.name, layer.text))
    else overlay(onto.at(name, layer.name), node, layer)
  }
}

const overlayLoose = (
  onto: Branch,
  tree: Tree,
  layer: Layer,
  prefix: string,
  lowerPrefix: string,
  spellings: Map<string, string>
): void => {
  const known = new Map(Array.from(onto.children.keys(), (name) => [letters(name), name]))
  for (const [name, node] of tree) {
    const lower = name.toLowerCase()
    const chosen = onto.children.has(lower) ? lower : (known.get(letters(name)) ?? camelCase(lower))
    const path = prefix + chosen
    const lowerPath = lowerPrefix + lower
    if (path !== lowerPath) spellings.set(lowerPath, path)
    if (node instanceof Leaf) onto.children.set(chosen, new Placed(node.value, layer.name, layer.text))
    else overlayLoose(onto.at(chosen, layer.name), node, layer, `${path}.`, `${lowerPath}.`, spellings)
  }
}

const camelCase = (lower: string): string =>
  lower.replace(/([a-z0-9])[-_]+([a-z0-9])/g, (_, before: string, after: string) => before + after.toUpperCase())

/** The path under the names that the tree has, where it was given in another spelling of them. */
export const canonical = (path: string, spellings: ReadonlyMap<string, string>): string => {
  for (let end = path.length; end > 0; end = path.lastIndexOf(".", end - 1)) {
    const known = spellings.get(path.slice(0, end))
    if (known !== undefined) return known + path.slice(end)
  }
  return path
}

const respelled = (paths: ReadonlySet<string>, spellings: ReadonlyMap<string, string>): ReadonlySet<string> =>
  paths.size === 0 || spellings.size === 0 ? paths : new Set(Array.from(paths, (path) => canonical(path, spellings)))

/** An override takes the place of what is there: what was set is what is got, with nothing of the sources mixed in. */
const override = (root: Branch, path: string, value: Tree | Leaf): void => {
  const names = parsePath(path) as ReadonlyArray<string> // it was valid when it was set
  const last = names[names.length - 1] ?? ""
  let branch = root
  for (const name of names.slice(0, -1)) branch = branch.at(name, setSource)
  if (value instanceof Leaf) {
    branch.children.set(last, new Placed(value.value, setSource, false))
  } else {
    const made = new Branch(setSource)
    branch.children.set(last, made)
    overlay(made, value, { name: setSource, text: false, loose: false, tree: value })
  }
}

const seal = (branch: Branch, around: ReadonlyArray<string>, declaredSecrets: ReadonlySet<string>): Section => {
  const path = around.join(".")
  const prefix = path === "" ? "" : `${path}.`
  const children = new Map<string, Entry>()
  for (const [name, node] of branch.children) {
    if (node instanceof Branch) children.set(name, seal(node, [...around, name], declaredSecrets))
    else if (node instanceof Placed) {
      const value = secure(node.value, [...around, name], declaredSecrets)
      children.set(name, new Value(prefix + name, value, node.source, node.text))
    } else children.set(name, node)
  }
  return new Section(path, branch.source, children)
}

const secure = (value: unknown, segments: ReadonlyArray<string>, declaredSecrets: ReadonlySet<string>): unknown => {
  if (Redacted.isRedacted(value)) return value
  if (isSecretAt(segments, value, declaredSecrets)) return Redacted.make(value)
  return Array.isArray(value) ? redactedWithin(value) : value
}
