import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
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
  for (const { path, value, source } of after.values()) {
    const old = before.entry(path)
    if (old === undefined || old.section || old.path !== path) {
      changes.push({ key: path, before: undefined, after: value, source })
    } else if (!equal(old.value, value)) {
      changes.push({ key: path, before: old.value, after: value, source })
    }
  }
  for (const { path, value, source } of before.values()) {
    const now = after.entry(path)
    if (now === undefined || now.section || now.path !== path) {
      changes.push({ key: path, before: value, after: undefined, source })
    }
  }
  return changes
}

/** Whether nobody can tell the snapshots apart, by origin neither. */
export const identical = (one: Snapshot, other: Snapshot): boolean => {
  if (one.entries.size !== other.entries.size) return false
  for (const [path, entry] of one.entries) {
    const that = other.entry(path)
    if (
      that === undefined ||
      that.section !== entry.section ||
      that.source !== entry.source ||
      that.text !== entry.text ||
      Redacted.isRedacted(that.value) !== Redacted.isRedacted(entry.value) ||
      (!entry.section && !equal(entry.value, that.value))
    ) {
      return false
    }
  }
  return true
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
