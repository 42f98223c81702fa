/** What is kept under a name. */
interface Kept {
  readonly name: string
}

interface Entry<A> {
  readonly value: A
  older: Entry<A> | undefined
  newer: Entry<A> | undefined
}

/** Values by name, in the order of their use. Whoever adds one sees to it that there is room. */
export class Names<A extends Kept> {
  private readonly byName = new Map<string, Entry<A>>()
  private oldest: Entry<A> | undefined
  private newest: Entry<A> | undefined

  constructor(private readonly most: number) {}

  /** The value, which counts as used by this. */
  use(name: string): A | undefined {
    // The one of the last use: to compare two names is less than to look one up.
    if (this.newest?.value.name === name) return this.newest.value
    const entry = this.byName.get(name)
    if (entry === undefined) return undefined
    this.unlink(entry)
    this.link(entry)
    return entry.value
  }

  get full(): boolean {
    return this.byName.size >= this.most
  }

  /** Forgets the idle one that was used longest ago; answers whether there was one. */
  forgetIdle(isIdle: (value: A) => boolean): boolean {
    // Those that are not idle go to the back of the line, so that the next search does not pass them again.
    for (let left = this.byName.size; left > 0 && this.oldest !== undefined; left--) {
      if (isIdle(this.oldest.value)) {
        this.forgetOldest()
        return true
      }
      this.use(this.oldest.value.name)
    }
    return false
  }

  /** Forgets the one that was used longest ago. */
  forgetOldest(): void {
    const { oldest } = this
    if (oldest === undefined) return
    this.unlink(oldest)
    this.byName.delete(oldest.value.name)
  }

  add(value: A): void {
    const entry: Entry<A> = { value, older: undefined, newer: undefined }
    this.byName.set(value.name, entry)
    this.link(entry)
  }

  all(): ReadonlyArray<A> {
    return Array.from(this.byName.values(), ({ value }) => value)
  }

  private link(entry: Entry<A>): void {
    entry.older = this.newest
    entry.newer = undefined
    if (this.newest === undefined) this.oldest = entry
    else this.newest.newer = entry
    this.newest = entry
  }

  private unlink({ newer, older }: Entry<A>): void {
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.newest = older
    else newer.older = older
  }
}
