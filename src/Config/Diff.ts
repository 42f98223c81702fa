import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
import type { Entry } from "./Entry.js"
import { isSection } from "./Secret.js"
import type { Snapshot } from "./Snapshot.js"

/** A value that is another than before; `undefined` where there is none. Secrets are `Redacted`. */
export interface Change {
  readonly key: string
  readonly before: unknown
  readonly after: unknown
  /** Where the new value comes from; for one that is gone, where the old one came from. */
  readonly source: string
}

/** One accepted change of the configuration: the snapshot after it, and the values that it changed. */
export interface Accepted {
  readonly snapshot: Snapshot
  readonly changes: ReadonlyArray<Change>
}

/** The values in which two snapshots differ: first those that the later one has, in its order, then those that are gone. */
export const diff = (before: Snapshot, after: Snapshot): ReadonlyArray<Change> => {
  const changes: Array<Change> = []
  addStated(changes, before.root, after.root)
  addGone(changes, before.root, after.root)
  return changes
}

// Snapshots share the entries in which one was made out of the other: there, nothing is to be looked for.

const addStated = (changes: Array<Change>, before: Entry | undefined, after: Entry): void => {
  if (before === after) return
  if (after.section) {
    for (const [child, was] of after.children.unlike(childrenOf(before))) addStated(changes, was, child)
  } else if (before === undefined || before.section) {
    changes.push({ key: after.path, before: undefined, after: after.value, source: after.source })
  } else if (!equal(before.value, after.value)) {
    changes.push({ key: after.path, before: before.value, after: after.value, source: after.source })
  }
}

const addGone = (changes: Array<Change>, before: Entry, after: Entry | undefined): void => {
  if (before === after) return
  if (before.section) {
    for (const [child, is] of before.children.unlike(childrenOf(after))) addGone(changes, child, is)
  } else if (after === undefined || after.section) {
    changes.push({ key: before.path, before: before.value, after: undefined, source: before.source })
  }
}

const childrenOf = (entry: Entry | undefined) => (entry?.section === true ? entry.children : undefined)

/** Whether nobody can tell the snapshots apart, by origin neither. */
export const identical = (one: Snapshot, other: Snapshot): boolean =>
  alike(one.root, other.root) &&
  (one.spellings === other.spellings ||
    [...one.spellings.keys(), ...other.spellings.keys()].every((path) => alike(one.entry(path), other.entry(path))))

const alike = (one: Entry | undefined, other: Entry | undefined): boolean => {
  if (one === other) return true
  if (one === undefined || other === undefined || one.source !== other.source) return false
  if (one.section) {
    if (!other.section || one.children.size !== other.children.size) return false
    for (const [child, there] of one.children.unlike(other.children)) if (!alike(child, there)) return false
    return true
  }
  return (
    !other.section &&
    one.text === other.text &&
    Redacted.isRedacted(one.value) === Redacted.isRedacted(other.value) &&
    equal(one.value, other.value)
  )
}

/** Equality of configuration values: by content, secrets by what they hide. */
export const equal = (one: unknown, other: unknown): boolean => {
  if (Object.is(one, other)) return true
  if (Redacted.isRedacted(one)) {
    return Redacted.isRedacted(other) ? equal(Redacted.value(one), Redacted.value(other)) : false
  }
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length && one.every((item, index) => equal(item, other[index]))
  }
  if (one instanceof Date) return other instanceof Date && one.getTime() === other.getTime()
  if (isSection(one)) {
    if (!isSection(other)) return false
    const names = Object.keys(one)
    return (
      names.length === Object.keys(other).length &&
      names.every((name) => Object.hasOwn(other, name) && equal(one[name], other[name]))
    )
  }
  return Equal.equals(one, other)
}
