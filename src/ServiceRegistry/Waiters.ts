/**
 * Who waits for which name. Each is a suspended fiber of a caller, and goes when it is woken or interrupted, so there
 * are never more than the callers' own fibers.
 */
export class Waiters<A> {
  private readonly byName = new Map<string, Set<(value: A) => void>>()

  /** How many names are waited for. */
  get size(): number {
    return this.byName.size
  }

  /** Adds one, and answers with how to take it out again. */
  add(name: string, wake: (value: A) => void): () => void {
    const waiting = this.byName.get(name) ?? new Set()
    this.byName.set(name, waiting)
    waiting.add(wake)
    return () => {
      waiting.delete(wake)
      if (waiting.size === 0 && this.byName.get(name) === waiting) this.byName.delete(name)
    }
  }

  /** Wakes all who wait for the name. */
  wake(name: string, value: A): void {
    const waiting = this.byName.get(name)
    if (waiting === undefined) return
    this.byName.delete(name)
    for (const wake of waiting) wake(value)
  }
}
