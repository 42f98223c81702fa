import * as Redacted from "effect/Redacted"
import { copyJson, type Json, Refused } from "../internal/json.js"
import { Problem } from "./Problem.js"
import { reveal } from "./Secret.js"
import type { Snapshot } from "./Snapshot.js"
import { Leaf, type Tree } from "./Tree.js"

/** The most that one value may be as JSON, in bytes. */
const maxBytes = 4 * 1024 * 1024

/** What was set, as the JSON that a source keeps, its secrets too; a problem where JSON cannot hold it. */
export const jsonOf = (path: string, node: Tree | Leaf): Json | Problem => {
  const name = copyJson(path, "the key", maxBytes)
  if (name instanceof Refused) return new Problem("invalid_key", `${name}`)
  const copy = copyJson(plain(node), "the value", maxBytes)
  return copy instanceof Refused
    ? new Problem("invalid_value", `a source that is written to keeps JSON, and ${copy}`, path)
    : copy.value
}

const plain = (node: Tree | Leaf): unknown => {
  if (node instanceof Leaf) return reveal(node.value)
  return Object.fromEntries(Array.from(node, ([name, child]) => [name, plain(child)]))
}

/** The paths of what is `Redacted` in the value itself. */
export const hiddenIn = (path: string, node: Tree | Leaf): ReadonlyArray<string> => {
  if (node instanceof Leaf) return Redacted.isRedacted(node.value) ? [path] : []
  return Array.from(node, ([name, child]) => hiddenIn(`${path}.${name}`, child)).flat()
}

/**
 * Why what the source states at the path would not be seen: a later source states something there too, and wins. What the
 * source cannot change is read-only to those who set.
 */
export const shadow = (snapshot: Snapshot, path: string, node: Tree | Leaf, source: string): Problem | undefined => {
  if (node instanceof Leaf) {
    const entry = snapshot.entry(path)
    return entry?.section === false && entry.source === source ? undefined : shadowed(snapshot, path)
  }
  for (const [name, child] of node) {
    const problem = shadow(snapshot, `${path}.${name}`, child, source)
    if (problem !== undefined) return problem
  }
  return undefined
}

const shadowed = (snapshot: Snapshot, path: string): Problem => {
  let at = path
  while (!snapshot.has(at) && at.includes(".")) at = at.slice(0, at.lastIndexOf("."))
  return new Problem(
    "read_only",
    "this source states it and wins over what is set; change it there",
    at,
    snapshot.origin(at)
  )
}
