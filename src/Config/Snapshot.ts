import * as Redacted from "effect/Redacted"
import type { Entry, Section } from "./Entry.js"
import type { Problem } from "./Problem.js"
import { isSection } from "./Secret.js"
import type { Kind } from "./Typed.js"

/** What a key makes of a snapshot. */
export type Decoded<A = unknown> = { readonly value: A } | Problem

/** A value as it was read by its path. */
export interface Read {
  readonly kind: Kind | "any"
  readonly decoded: Decoded
}

/** Every value at one moment. It never changes: a change of the configuration makes another snapshot. */
export class Snapshot {
  /** The entries that were asked for: finding one again takes one step. There are at most as many as entries. */
  readonly #found = new Map<string, Entry>()
  readonly #decoded = new WeakMap<object, Decoded>()
  /**
   * @internal What programs have read, by path and by key: found in one step when it is read again. Of a path, it is what it
   * was last read as.
   */
  readonly reads = { byPath: new Map<string, Read>(), byKey: new WeakMap<object, Decoded>() } as const
  #keys: ReadonlyArray<string> | undefined

  constructor(
    /** @internal */
    readonly root: Section,
    /** @internal Other spellings of paths. */
    readonly spellings: ReadonlyMap<string, string>
  ) {}

  /** Everything, as a frozen tree. Sections have no prototype, secrets are `Redacted`. */
  get tree(): Readonly<Record<string, unknown>> {
    return this.root.value
  }

  /** The value at the path, the frozen section there, or `undefined`. A secret is a `Redacted`. */
  get(path: string): unknown {
    return this.entry(path)?.value
  }

  has(path: string): boolean {
    return this.entry(path) !== undefined
  }

  /** The name of the source that the value at the path comes from. */
  origin(path: string): string | undefined {
    return this.entry(path)?.source
  }

  /** The path of every value, sections aside. */
  get keys(): ReadonlyArray<string> {
    this.#keys ??= Array.from(this.root.values(), (entry) => entry.path)
    return this.#keys
  }

  /** @internal */
  entry(path: string): Entry | undefined {
    const known = this.#found.get(path)
    if (known !== undefined) return known
    const found = this.find(path)
    if (found !== undefined) this.#found.set(path, found)
    return found
  }

  /** @internal `entry` for who remembers what was found. */
  find(path: string): Entry | undefined {
    const found = this.root.find(path)
    if (found !== undefined) return found
    const canonical = this.spellings.get(path)
    return canonical === undefined ? undefined : this.root.find(canonical)
  }

  /** @internal What the key made of this snapshot when it was first asked. */
  decoded(key: object, decode: () => Decoded): Decoded {
    const known = this.#decoded.get(key)
    if (known !== undefined) return known
    const made = decode()
    this.#decoded.set(key, made)
    return made
  }

  /** The tree as JSON takes it, secrets as `<redacted>`. */
  toJSON(): unknown {
    return plain(this.tree)
  }

  toString(): string {
    return JSON.stringify(this.toJSON())
  }

  [Symbol.for("nodejs.util.inspect.custom")](): unknown {
    return this.toJSON()
  }
}

/** The recursion is as deep as a source may be, which is bounded. */
const plain = (value: unknown): unknown => {
  if (typeof value === "bigint") return String(value)
  if (Redacted.isRedacted(value)) return "<redacted>"
  if (Array.isArray(value)) return value.map(plain)
  if (!isSection(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
}
