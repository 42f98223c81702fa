import { type Change, type Registration, type Selection, selects } from "./Registration.js"

/**
 * One reader of changes. It keeps up to `bound` changes that are yet to be read; one more, and it is behind: they are
 * dropped, and the next that it reads is a snapshot. So a slow watcher holds nobody up, costs bounded memory, and still
 * ends with the true state.
 */
export class Watcher {
  private pending: Array<Change> = []
  // At first it knows nothing, which is what being behind means.
  private behind = true
  private wake: (() => void) | undefined

  constructor(
    private readonly selection: Selection,
    private readonly bound: number
  ) {}

  get ready(): boolean {
    return this.behind || this.pending.length > 0
  }

  selects(name: string): boolean {
    return selects(this.selection, name)
  }

  offer(change: Change): void {
    if (this.behind) return
    if (this.pending.length < this.bound) this.pending.push(change)
    else {
      this.behind = true
      this.pending = []
    }
    const wake = this.wake
    this.wake = undefined
    wake?.()
  }

  /** Calls back at the next change; there is one caller at a time. */
  await(wake: (() => void) | undefined): void {
    this.wake = wake
  }

  /** What there is to read. `current` is asked for the state in the same step, so nothing fits between the two. */
  take(current: (selection: Selection) => ReadonlyArray<Registration>): ReadonlyArray<Change> {
    if (this.behind) {
      this.behind = false
      return [{ _tag: "Snapshot", registrations: current(this.selection) }]
    }
    const taken = this.pending
    this.pending = []
    return taken
  }
}

/** Those who are told of each change. */
export class Feed {
  private readonly watchers = new Set<Watcher>()

  get size(): number {
    return this.watchers.size
  }

  add(watcher: Watcher): void {
    this.watchers.add(watcher)
  }

  remove(watcher: Watcher): void {
    this.watchers.delete(watcher)
  }

  publish(name: string, change: Change): void {
    for (const watcher of this.watchers) if (watcher.selects(name)) watcher.offer(change)
  }
}
