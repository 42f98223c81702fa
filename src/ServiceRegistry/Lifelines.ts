/** The part of a fiber that tells of its end. */
export interface Mortal {
  unsafePoll(): unknown
  addObserver(observer: () => void): void
  removeObserver(observer: () => void): void
}

interface Lifeline<Hold> {
  readonly holds: Set<Hold>
  readonly observer: () => void
}

/**
 * What ends with which fiber. A fiber has one observer, whatever it holds: fibers keep observers in an array that
 * `removeObserver` copies, so that with an observer per registration a million of them would end in quadratic time.
 * The observer goes with the last hold: a fiber that lives on is left as it was.
 */
export class Lifelines<Hold> {
  private readonly lines = new Map<Mortal, Lifeline<Hold>>()

  constructor(private readonly onEnd: (hold: Hold) => void) {}

  get size(): number {
    return this.lines.size
  }

  add(fiber: Mortal, hold: Hold): void {
    const line = this.lines.get(fiber)
    if (line !== undefined) {
      line.holds.add(hold)
      return
    }
    const observer = () => this.cut(fiber)
    this.lines.set(fiber, { holds: new Set([hold]), observer })
    fiber.addObserver(observer)
  }

  remove(fiber: Mortal, hold: Hold): void {
    const line = this.lines.get(fiber)
    if (line === undefined || !line.holds.delete(hold) || line.holds.size > 0) return
    this.lines.delete(fiber)
    // An ended fiber is walking through its observers by index; taking one out would make it miss another.
    if (fiber.unsafePoll() === null) fiber.removeObserver(line.observer)
  }

  private cut(fiber: Mortal): void {
    const line = this.lines.get(fiber)
    if (line === undefined) return
    this.lines.delete(fiber)
    for (const hold of line.holds) this.onEnd(hold)
  }
}
