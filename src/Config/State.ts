import { Declared } from "./Declared.js"
import { type Accepted, diff, identical } from "./Diff.js"
import type { Key } from "./Key.js"
import { canonical, type Layer, type Overrides, overlaid, overridden, setSource, stack } from "./Merge.js"
import { parsePath } from "./Path.js"
import { Problem } from "./Problem.js"
import type { Decoded, Snapshot } from "./Snapshot.js"
import { ingestAt, type Leaf, type Tree } from "./Tree.js"
import { type Default, type Kind, kindOf, readAs } from "./Typed.js"

/** At most so many values are set on top of the sources. */
const maxOverrides = 10_000

/**
 * A value that was set, and after how many others. Not its place in the map: a key that is taken out of a map and put in
 * again leaves its old place behind, and to find it among 10,000 took 30 µs.
 */
interface Override {
  readonly order: number
  readonly value: Tree | Leaf
}

/**
 * The configuration in force: what the sources stated when they were last read, what was set on top, and what the program
 * expects of it all. Each method is one step: it changes everything that it changes, or answers the Problem and changes
 * nothing.
 */
export class State {
  private readonly declared = new Declared()
  /** The values set on top of the sources. */
  private readonly overrides = new Map<string, Override>()
  /** How often a value was set. */
  private sets = 0
  /** What the layers state without what is set. */
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
    const next = overlaid(base, this.inOrder(), this.declared.secrets)
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
    const next = overlaid(stack(layers, this.declared.secrets), this.inOrder(), this.declared.secrets)
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
    // Beneath what is no section nothing counts, and it need not be looked for among 10,000.
    const isSection = this.current.entry(this.canonical(path))?.section === true
    const replaced = isSection ? this.setAt(path) : this.overrides.has(path) ? [path] : []
    if (this.overrides.size - replaced.length >= maxOverrides) {
      return new Problem("invalid_value", `${maxOverrides} values are set already; unset some`, path, setSource)
    }
    const next = overridden(this.current, path, ingested, this.declared.secrets)
    const problem = this.refusal(next, typeof key === "string" ? undefined : key, path)
    if (problem !== undefined) return problem.in(setSource)
    for (const set of replaced) if (set !== path) this.overrides.delete(set)
    this.overrides.set(path, { order: ++this.sets, value: ingested })
    const accepted = this.accept(next)
    if (typeof key !== "string" && this.declared.addKey(key)) this.hide()
    return accepted
  }

  unset(key: string | Key<unknown>): Accepted | Problem {
    const path = pathOf(key)
    const segments = parsePath(path)
    if (segments instanceof Problem) return segments
    const removed = new Set(this.setAt(path))
    const next = overlaid(this.base, this.inOrder(removed), this.declared.secrets)
    const problem = this.refusal(next, undefined, path)
    if (problem !== undefined) return problem
    for (const set of removed) this.overrides.delete(set)
    return this.accept(next)
  }

  /** The value now. What was read with success is expected to hold from then on. */
  read(key: string | Key<unknown>, fallback?: Default): Decoded {
    // What was read of this snapshot before is expected already: to see that takes 0.1 µs of the 0.3.
    const { byKey, byPath } = this.current.reads
    if (typeof key !== "string") return byKey.get(key) ?? this.readKey(key)
    const known = byPath.get(key)
    const kind = fallback === undefined ? "any" : kindOf(fallback)
    return known !== undefined && known.kind === kind ? known.decoded : this.readPath(key, kind, fallback)
  }

  private readKey(key: Key<unknown>): Decoded {
    const decoded = key.in(this.current)
    if (decoded instanceof Problem) return decoded
    if (this.declared.addKey(key)) this.hide()
    this.current.reads.byKey.set(key, decoded)
    return decoded
  }

  private readPath(path: string, kind: Kind | "any" | undefined, fallback: Default | undefined): Decoded {
    const entry = this.current.find(path)
    if (kind === "any") {
      if (entry !== undefined) return this.remember(path, kind, entry)
      const segments = parsePath(path)
      return segments instanceof Problem ? segments : nothing
    }
    if (kind === undefined) return new Problem("invalid_value", "its default is of no type that a value can have", path)
    if (entry === undefined || entry.value === null) {
      const segments = parsePath(path)
      if (segments instanceof Problem) return segments
      // The default says nothing of a value that may come, but that it is to be hidden.
      if (kind === "secret") this.declared.addSecret(path)
      return { value: fallback }
    }
    const decoded = readAs(kind, entry)
    if (decoded instanceof Problem) return decoded
    if (this.declared.addKind(path, kind)) this.hide()
    return this.remember(path, kind, decoded)
  }

  private remember(path: string, kind: Kind | "any", decoded: Decoded): Decoded {
    this.current.reads.byPath.set(path, { kind, decoded })
    return decoded
  }

  /** The name of the source that the value comes from. */
  origin(key: string | Key<unknown>): string | undefined | Problem {
    const path = pathOf(key)
    const segments = parsePath(path)
    return segments instanceof Problem ? segments : this.current.origin(path)
  }

  /** What is set, in the order in which it was set, without some of it. */
  private inOrder(without: ReadonlySet<string> = new Set()): Overrides {
    const left = Array.from(this.overrides).filter(([path]) => !without.has(path))
    return new Map(left.sort(([, one], [, other]) => one.order - other.order).map(([path, { value }]) => [path, value]))
  }

  /** What is set at the path and beneath it. */
  private setAt(path: string): ReadonlyArray<string> {
    return Array.from(this.overrides.keys()).filter((set) => set === path || set.startsWith(`${path}.`))
  }

  /** Why the snapshot would be refused, which may differ from the current one at the path alone where one is given. */
  private refusal(next: Snapshot, key?: string | Key<unknown>, path?: string): Problem | undefined {
    const read = typeof key === "object" ? key.in(next) : undefined
    if (read instanceof Problem) return read
    return path === undefined ? this.declared.check(next) : this.declared.checkAt(path, next, this.current)
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
    this.current = overlaid(this.base, this.inOrder(), this.declared.secrets)
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
