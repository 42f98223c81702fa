import type { Entries } from "./Entries.js"

/** What is known of one path: a value, or a section with everything beneath it. Neither ever changes. */
export type Entry = Value | Section

export class Value {
  readonly section = false

  constructor(
    readonly path: string,
    /** Frozen; a secret is a `Redacted`. */
    readonly value: unknown,
    /** The last source that states it. */
    readonly source: string,
    /** Whether it came as text, to be decoded to the type asked for. */
    readonly text: boolean
  ) {}
}

export class Section {
  readonly section = true
  readonly text = false
  #value: Readonly<Record<string, unknown>> | undefined

  constructor(
    readonly path: string,
    /** The last source that states something in it. */
    readonly source: string,
    readonly children: Entries
  ) {}

  /** Everything beneath, frozen and without prototypes. It is made when it is first asked for: most sections never are. */
  get value(): Readonly<Record<string, unknown>> {
    if (this.#value === undefined) {
      const value: Record<string, unknown> = Object.create(null)
      for (const [name, child] of this.children) value[name] = child.value
      this.#value = Object.freeze(value)
    }
    return this.#value
  }

  /** The entry at the path from here. */
  find(path: string): Entry | undefined {
    let found: Entry = this
    for (const name of path.split(".")) {
      const child: Entry | undefined = found.section ? found.children.get(name) : undefined
      if (child === undefined) return undefined
      found = child
    }
    return found
  }

  /** The values beneath, in their order. */
  *values(): IterableIterator<Value> {
    for (const child of this.children.values()) {
      if (child.section) yield* child.values()
      else yield child
    }
  }
}
