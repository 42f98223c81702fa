import * as Redacted from "effect/Redacted"
import { letters } from "../internal/letters.js"
import { Entries, noEntries } from "./Entries.js"
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
  return new Snapshot(seal(root, [], "", respelled(declaredSecrets, spellings)), spellings)
}

/** Puts the overrides over what the layers state, one after the other. */
export const overlaid = (stated: Snapshot, overrides: Overrides, declaredSecrets: ReadonlySet<string>): Snapshot => {
  const secrets = respelled(declaredSecrets, stated.spellings)
  let { root } = stated
  for (const [path, value] of overrides) root = override(root, canonical(path, stated.spellings), value, secrets)
  return new Snapshot(root, stated.spellings)
}

/** Puts one more value over what is in force. Only the sections that it is in are made anew; the rest is shared. */
export const overridden = (
  snapshot: Snapshot,
  path: string,
  value: Tree | Leaf,
  declaredSecrets: ReadonlySet<string>
): Snapshot => {
  const { root, spellings } = snapshot
  const secrets = respelled(declaredSecrets, spellings)
  return new Snapshot(override(root, canonical(path, spellings), value, secrets), spellings)
}

/** Both at once, sharing nothing. */
export const merge = (
  layers: ReadonlyArray<Layer>,
  overrides: Overrides,
  declaredSecrets: ReadonlySet<string>
): Snapshot => overlaid(stack(layers, declaredSecrets), overrides, declaredSecrets)

/** A section that is being merged. */
class Branch {
  readonly children = new Map<string, Branch | Placed>()

  constructor(public source: string) {}

  /** The branch under the name; a value that is there gives way to it. */
  at(name: string, source: string): Branch {
    const there = this.children.get(name)
    if (there instanceof Branch) {
      there.source = source
      return there
    }
    const made = new Branch(source)
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

/** The secrets under the names in force, as they were last asked for: a set among 10,000 of them would pay for all again. */
const lastRespelled = new WeakMap<
  ReadonlyMap<string, string>,
  { of: ReadonlySet<string>; size: number; paths: Set<string> }
>()

const respelled = (paths: ReadonlySet<string>, spellings: ReadonlyMap<string, string>): ReadonlySet<string> => {
  if (paths.size === 0 || spellings.size === 0) return paths
  const last = lastRespelled.get(spellings)
  // What is secret stays so: of one size, the set is the same.
  if (last?.of === paths && last.size === paths.size) return last.paths
  const made = new Set(Array.from(paths, (path) => canonical(path, spellings)))
  lastRespelled.set(spellings, { of: paths, size: paths.size, paths: made })
  return made
}

/** An override takes the place of what is there: what was set is what is got, with nothing of the sources mixed in. */
const override = (root: Section, path: string, value: Tree | Leaf, declaredSecrets: ReadonlySet<string>): Section => {
  const names = parsePath(path) as ReadonlyArray<string> // it was valid when it was set
  const set = value instanceof Leaf ? new Placed(value.value, setSource, false) : branchOf(value)
  const within = (section: Section | undefined, depth: number): Section => {
    const around = names.slice(0, depth).join(".")
    const name = names[depth] ?? ""
    const children = section?.children ?? noEntries
    const there = children.get(name)
    const child =
      depth === names.length - 1
        ? sealed(set, names, path, declaredSecrets)
        : within(there?.section === true ? there : undefined, depth + 1)
    return new Section(around, depth === 0 ? root.source : setSource, children.with(name, child))
  }
  return within(root, 0)
}

const branchOf = (tree: Tree): Branch => {
  const branch = new Branch(setSource)
  overlay(branch, tree, { name: setSource, text: false, loose: false, tree })
  return branch
}

const seal = (
  branch: Branch,
  around: ReadonlyArray<string>,
  path: string,
  declaredSecrets: ReadonlySet<string>
): Section => {
  const prefix = path === "" ? "" : `${path}.`
  const entries: Array<Entry> = []
  for (const [name, node] of branch.children) {
    entries.push(sealed(node, [...around, name], prefix + name, declaredSecrets))
  }
  return new Section(path, branch.source, Entries.under(branch.children.keys(), entries))
}

const sealed = (
  node: Branch | Placed,
  segments: ReadonlyArray<string>,
  path: string,
  declaredSecrets: ReadonlySet<string>
): Entry =>
  node instanceof Branch
    ? seal(node, segments, path, declaredSecrets)
    : new Value(path, secure(node.value, segments, declaredSecrets), node.source, node.text)

const secure = (value: unknown, segments: ReadonlyArray<string>, declaredSecrets: ReadonlySet<string>): unknown => {
  if (Redacted.isRedacted(value)) return value
  if (isSecretAt(segments, value, declaredSecrets)) return Redacted.make(value)
  return Array.isArray(value) ? redactedWithin(value) : value
}
