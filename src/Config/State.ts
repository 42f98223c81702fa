import { Declared } from "./Declared.js"
import { type Accepted, diff, identical } from "./Diff.js"
import type { Key } from "./Key.js"
import { canonical, type Layer, type Overrides, overlaid, setSource, stack } from "./Merge.js"
import { parsePath } from "./Path.js"
import { Problem } from "./Problem.js"
import type { Decoded, Snapshot } from "./Snapshot.js"
import { ingestAt, type Leaf, type Tree } from "./Tree.js"
import { type Default, kindOf, readAs } from "./Typed.js"

/** At most so many values are set on top of the sources. */
const maxOverrides = 10_000

/**
 * The configuration in force: what the sources stated when they were last read, what was set on top, and what the program
 * expects of it all. Each method is one step: it changes everything that it changes, or answers the Problem and changes
 * nothing.
 */
export class State {
  private readonly declared = new Declared()
  private overrides: Overrides = new Map()
  /** What the layers state without what is set: a set makes only its own path anew. */
  private base: Snapshot
  private current: Snapshot

  constructor(
    private stated: ReadonlyArray<Layer>,
    secrets: Iterable<string> = []
  ) {
    for (const secret of secrets) this.declared.secrets.add(secret)
    this.base = stack(stated, this.declared.secrets)
    this.current = this.base
  }

  get snapshot(): Snapshot {
    return this.current
  }

  /** What each source stated when it was last read. */
  get layers(): ReadonlyArray<Layer> {
    return this.stated
  }

  /** Has the key hold from the first layers on that are put in force. */
  declare(key: Key<unknown>): Problem | undefined {
    if (key.problem === undefined) this.declared.addKey(key)
    return key.problem
  }

  /** Puts the layers in force, beneath what is set; `key` is that of a value that is set with them. */
  swap(layers: ReadonlyArray<Layer>, key?: string | Key<unknown>): Accepted | Problem {
    const base = stack(layers, this.declared.secrets)
    const next = overlaid(base, this.overrides, this.declared.secrets)
    const problem = this.refusal(next, key)
    if (problem !== undefined) return problem
    this.stated = layers
    this.base = base
    const accepted = this.accept(next)
    if (typeof key === "object" && this.declared.addKey(key)) this.hide()
    return accepted
  }

  /** The snapshot that the layers would make, or why they would be refused. */
  trial(layers: ReadonlyArray<Layer>, key: string | Key<unknown>): Snapshot | Problem {
    const next = overlaid(stack(layers, this.declared.secrets), this.overrides, this.declared.secrets)
    return this.refusal(next, key) ?? next
  }

  /** The value as a source would state it. What the key or the value itself hides is a secret from now on. */
  draft(key: string | Key<unknown>, value: unknown): Tree | Leaf | Problem {
    const path = pathOf(key)
    const encoded = typeof key === "string" ? { value } : key.encode(value)
    const ingested = encoded instanceof Problem ? encoded : overriding(path, encoded.value)
    if (ingested instanceof Problem) return ingested.in(setSource)
    // Before anybody is told of the change, and even where it is refused.
    if (typeof key !== "string") this.conceal(key.secrets)
    return ingested
  }

  /** Has what is at the paths be secret from now on. */
  conceal(paths: ReadonlyArray<string>): void {
    if (this.declared.addSecrets(paths)) this.hide()
  }

  /** The path under the names in force, where it was given in another spelling of them. */
  canonical(path: string): string {
    return canonical(path, this.current.spellings)
  }

  set(key: string | Key<unknown>, value: unknown): Accepted | Problem {
    const path = pathOf(key)
    const ingested = this.draft(key, value)
    if (ingested instanceof Problem) return ingested
    const next = without(this.overrides, path)
    if (next.size >= maxOverrides) {
      return new Problem("invalid_value", `${maxOverrides} values are set already; unset some`, path, setSource)
    }
    next.set(path, ingested)
    const accepted = this.override(next, typeof key === "string" ? undefined : key)
    if (accepted instanceof Problem) return accepted.in(setSource)
    if (typeof key !== "string" && this.declared.addKey(key)) this.hide()
    return accepted
  }

  unset(key: string | Key<unknown>): Accepted | Problem {
    const path = pathOf(key)
    const segments = parsePath(path)
    return segments instanceof Problem ? segments : this.override(without(this.overrides, path))
  }

  /** The value now. What was read with success is expected to hold from then on. */
  read(key: string | Key<unknown>, fallback?: Default): Decoded {
    if (typeof key !== "string") {
      const decoded = key.in(this.current)
      if (!(decoded instanceof Problem) && this.declared.addKey(key)) this.hide()
      return decoded
    }
    const entry = this.current.entry(key)
    if (fallback === undefined) {
      if (entry !== undefined) return entry
      const segments = parsePath(key)
      return segments instanceof Problem ? segments : nothing
    }
    const kind = kindOf(fallback)
    if (kind === undefined) return new Problem("invalid_value", "its default is of no type that a value can have", key)
    if (entry === undefined || entry.value === null) {
      const segments = parsePath(key)
      if (segments instanceof Problem) return segments
      // The default says nothing of a value that may come, but that it is to be hidden.
      if (kind === "secret") this.declared.addSecret(key)
      return { value: fallback }
    }
    const decoded = readAs(kind, entry)
    if (!(decoded instanceof Problem) && this.declared.addKind(key, kind)) this.hide()
    return decoded
  }

  /** The name of the source that the value comes from. */
  origin(key: string | Key<unknown>): string | undefined | Problem {
    const path = pathOf(key)
    const segments = parsePath(path)
    return segments instanceof Problem ? segments : this.current.origin(path)
  }

  private override(overrides: Overrides, key?: Key<unknown>): Accepted | Problem {
    const next = overlaid(this.base, overrides, this.declared.secrets)
    const problem = this.refusal(next, key, this.current)
    if (problem !== undefined) return problem
    this.overrides = overrides
    return this.accept(next)
  }

  private refusal(next: Snapshot, key?: string | Key<unknown>, holding?: Snapshot): Problem | undefined {
    const read = typeof key === "object" ? key.in(next) : undefined
    return read instanceof Problem ? read : this.declared.check(next, holding)
  }

  private accept(next: Snapshot): Accepted {
    const before = this.current
    if (identical(before, next)) return { snapshot: before, changes: [] }
    this.current = next
    return { snapshot: next, changes: diff(before, next) }
  }

  /** Values that have turned out to be secret are hidden from now on; no value is another. */
  private hide(): void {
    this.base = stack(this.stated, this.declared.secrets)
    this.current = overlaid(this.base, this.overrides, this.declared.secrets)
  }
}

export const pathOf = (key: string | Key<unknown>): string => (typeof key === "string" ? key : key.path)

/** The value in a snapshot, which nothing is expected of. */
export const readIn = (snapshot: Snapshot, key: string | Key<unknown>, fallback: Default | undefined): Decoded => {
  if (typeof key !== "string") return key.in(snapshot)
  const entry = snapshot.entry(key)
  const kind = fallback === undefined ? undefined : kindOf(fallback)
  if (kind === undefined) return entry ?? nothing
  return entry === undefined || entry.value === null ? { value: fallback } : readAs(kind, entry)
}

const nothing: Decoded = { value: undefined }

const overriding = (path: string, value: unknown): Tree | Leaf | Problem => {
  const segments = parsePath(path)
  if (segments instanceof Problem) return segments
  return value === undefined
    ? new Problem("invalid_value", "undefined cannot be set; unset the key to have the value of the sources", path)
    : ingestAt(segments, value)
}

/** The overrides, less that of the path and those beneath it. */
const without = (overrides: Overrides, path: string): Map<string, Tree | Leaf> => {
  const out = new Map(overrides)
  for (const set of overrides.keys()) if (set === path || set.startsWith(`${path}.`)) out.delete(set)
  return out
}
