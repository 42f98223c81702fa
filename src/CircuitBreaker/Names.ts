/** What is kept under a name. */
interface Kept {
  readonly name: string
  /** Whether nothing worth keeping is lost when it is forgotten. */
  readonly idle: () => boolean
}

interface Entry<A> {
  readonly value: A
  older: Entry<A> | undefined
  newer: Entry<A> | undefined
}

/**
 * At most so many values by name. A new one past that takes the place of the idle one that was used longest ago; where
 * none is idle, of the one that was used longest ago.
 */
export class Names<A extends Kept> {
  private readonly byName = new Map<string, Entry<A>>()
  private oldest: Entry<A> | undefined
  private newest: Entry<A> | undefined

  constructor(private readonly most: number) {}

  /** The value, which counts as used by this. */
  use(name: string): A | undefined {
    const entry = this.byName.get(name)
    if (entry === undefined) return undefined
    if (entry !== this.newest) {
      this.unlink(entry)
      this.link(entry)
    }
    return entry.value
  }

  add(value: A): void {
    if (this.byName.size >= this.most) this.forgetOne()
    const entry: Entry<A> = { value, older: undefined, newer: undefined }
    this.byName.set(value.name, entry)
    this.link(entry)
  }

  all(): ReadonlyArray<A> {
    return Array.from(this.byName.values(), ({ value }) => value)
  }

  private forgetOne(): void {
    let victim = this.oldest
    // Those that are not idle go to the back of the line, so that the next search does not pass them again.
    for (let i = this.byName.size; i > 0 && victim !== undefined && !victim.value.idle(); i--) {
      this.unlink(victim)
      this.link(victim)
      victim = this.oldest
    }
    if (victim === undefined) return
    this.unlink(victim)
    this.byName.delete(victim.value.name)
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
