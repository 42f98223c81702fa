/** One that is to be met. */
export interface Deadline {
  /** By the monotonic clock, in milliseconds; when it is over, undefined. */
  at: number | undefined
  readonly missed: () => void
}

/**
 * The deadlines of the commands on one connection, over one timer: a timer for each command costs 7 µs, as one by itself
 * goes in and out of the timers of Node each time. The one here stays set when its deadline is met, and looks when it fires
 * for which it has to be set next.
 *
 * It is the time of a socket, not of a fiber: a clock that a test has stopped does not move it.
 */
export class Deadlines {
  /** In the order of their beginning, from `head` on. */
  private list: Array<Deadline> = []
  private head = 0
  private left = 0
  private timer: NodeJS.Timeout | undefined
  /** When the timer fires. */
  private firesAt = Number.POSITIVE_INFINITY

  /** One in so many milliseconds; `missed` is called if it is not met by then. */
  add(millis: number, missed: () => void): Deadline {
    const at = performance.now() + millis
    const deadline = { at, missed }
    this.list.push(deadline)
    if (this.left++ === 0) this.timer?.ref()
    if (at < this.firesAt) this.set(at, millis)
    return deadline
  }

  /** It is met now; false where it was missed already. */
  met(deadline: Deadline): boolean {
    if (deadline.at === undefined) return false
    this.end(deadline)
    return true
  }

  private end(deadline: Deadline): void {
    deadline.at = undefined
    this.left--
    // Answers come in the order of the commands, nearly always: so the first are those that are over.
    while (this.head < this.list.length && this.list[this.head]?.at === undefined) this.head++
    if (this.head === this.list.length) {
      this.list.length = 0
      this.head = 0
    } else if (this.head >= mostOver) {
      this.list = this.list.slice(this.head)
      this.head = 0
    }
    // Nobody waits: the process need not either.
    if (this.left === 0) this.timer?.unref()
  }

  private set(at: number, millis: number): void {
    clearTimeout(this.timer)
    this.firesAt = at
    // What came while this process was busy is read before a command is given up.
    // @effect-diagnostics-next-line globalTimers:off
    this.timer = setTimeout(() => setImmediate(() => this.look()), millis)
  }

  private look(): void {
    this.timer = undefined
    this.firesAt = Number.POSITIVE_INFINITY
    // A timer may fire up to a millisecond early.
    const now = performance.now() + 1
    let next = Number.POSITIVE_INFINITY
    const missed: Array<Deadline> = []
    for (const deadline of this.list) {
      if (deadline.at === undefined) continue
      if (deadline.at <= now) missed.push(deadline)
      else next = Math.min(next, deadline.at)
    }
    if (next < Number.POSITIVE_INFINITY) this.set(next, Math.max(1, next - now))
    for (const deadline of missed) {
      if (this.met(deadline)) deadline.missed()
    }
  }
}

/** So many that are over stay in the list before it is made anew. */
const mostOver = 1024
