import * as Redacted from "effect/Redacted"
import type { Problem } from "./Problem.js"
import { isSection } from "./Secret.js"

/** What is known of one path: a value, or a section with everything beneath it. */
export interface Entry {
  /** The path itself, where the entry was found under another spelling of it. */
  readonly path: string
  /** Frozen; a secret is a `Redacted`. */
  readonly value: unknown
  readonly section: boolean
  /** The last source that states it, or for a section the last that states something in it. */
  readonly source: string
  /** Whether it came as text, to be decoded to the type asked for. */
  readonly text: boolean
}

/** What a key makes of a snapshot. */
export type Decoded<A = unknown> = { readonly value: A } | Problem

/** Every value at one moment. It never changes: a change of the configuration makes another snapshot. */
export class Snapshot {
  readonly #entries: ReadonlyMap<string, Entry>
  readonly #decoded = new WeakMap<object, Decoded>()
  #keys: ReadonlyArray<string> | undefined

  constructor(
    entries: ReadonlyMap<string, Entry>,
    /** Everything, as a frozen tree. Sections have no prototype, secrets are `Redacted`. */
    readonly tree: Readonly<Record<string, unknown>>
  ) {
    this.#entries = entries
  }

  /** The value at the path, the frozen section there, or `undefined`. A secret is a `Redacted`. */
  get(path: string): unknown {
    return this.#entries.get(path)?.value
  }

  has(path: string): boolean {
    return this.#entries.has(path)
  }

  /** The name of the source that the value at the path comes from. */
  origin(path: string): string | undefined {
    return this.#entries.get(path)?.source
  }

  /** The path of every value, sections aside. */
  get keys(): ReadonlyArray<string> {
    this.#keys ??= Array.from(this.values(), (entry) => entry.path)
    return this.#keys
  }

  /** @internal */
  entry(path: string): Entry | undefined {
    return this.#entries.get(path)
  }

  /** @internal */
  *values(): IterableIterator<Entry> {
    for (const [path, entry] of this.#entries) if (!entry.section && entry.path === path) yield entry
  }

  /** @internal Every entry, sections and other spellings too. */
  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries
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
