/** One that is to be met: in so many milliseconds, else `missed` is called. */
export class Deadline {
  readonly at: number
  /** Met or missed. */
  isOver = false

  constructor(
    readonly millis: number,
    readonly missed: () => void
  ) {
    this.at = performance.now() + millis
  }
}

/** So many that are over are kept in the list before it is made anew. */
const mostOver = 1024

/**
 * The deadlines of the commands on one connection, over one timer: a timer for each command costs 7 µs, as one by itself
 * goes in and out of the timers of Node each time. The one here stays set when its deadline is met, and looks when it fires
 * for which it has to be set next. It keeps no process alive: a connection does, for as long as it may answer.
 *
 * It is the time of a socket, not of a fiber: a clock that a test has stopped does not move it.
 */
export class Deadlines {
  /** In the order of their beginning, from `head` on. */
  private list: Array<Deadline> = []
  private head = 0
  private timer: NodeJS.Timeout | undefined
  private firesAt = Number.POSITIVE_INFINITY

  /** Whether all are over. */
  get isEmpty(): boolean {
    return this.list.length === 0
  }

  /** From here on it is watched, unless it was met in the meantime. */
  add(deadline: Deadline): void {
    if (deadline.isOver) return
    this.list.push(deadline)
    if (deadline.at < this.firesAt) this.set(deadline.at, deadline.millis)
  }

  /** It is met now; false where it was missed already. */
  meet(deadline: Deadline): boolean {
    if (deadline.isOver) return false
    deadline.isOver = true
    this.tidy()
    return true
  }

  private tidy(): void {
    const { list } = this
    // Answers come in the order of the commands, nearly always: so the first are those that are over.
    while (this.head < list.length && list[this.head]?.isOver) this.head++
    if (this.head === list.length) {
      list.length = 0
      this.head = 0
    } else if (this.head >= mostOver) {
      this.list = list.slice(this.head)
      this.head = 0
    }
  }

  private set(at: number, millis: number): void {
    clearTimeout(this.timer)
    this.firesAt = at
    // What came while this process was busy is read before a command is given up.
    // @effect-diagnostics-next-line globalTimers:off
    this.timer = setTimeout(() => setImmediate(() => this.look()), millis).unref()
  }

  private look(): void {
    // A timer may fire up to a millisecond early.
    const now = performance.now() + 1
    const open = this.list.filter(({ isOver }) => !isOver)
    const next = open.reduce((next, { at }) => (at > now && at < next ? at : next), Number.POSITIVE_INFINITY)
    this.timer = undefined
    this.firesAt = Number.POSITIVE_INFINITY
    if (next < Number.POSITIVE_INFINITY) this.set(next, Math.max(1, next - now))
    for (const deadline of open) if (deadline.at <= now && this.meet(deadline)) deadline.missed()
  }
}
