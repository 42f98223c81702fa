/** The place of a waiter in one line. */
export interface Seat {
  readonly line: Line
  readonly waiter: Waiter
  readonly cost: number
  before: Seat | undefined
  after: Seat | undefined
}

/**
 * Those that wait under one name and key, in order of arrival. What they will take is reserved: who comes later is
 * admitted only beside it.
 */
export class Line {
  first: Seat | undefined
  last: Seat | undefined
  length = 0
  /** The units that all of them together wait for. */
  reserved = 0

  join(waiter: Waiter, cost: number): Seat {
    const seat: Seat = { line: this, waiter, cost, before: this.last, after: undefined }
    if (this.last === undefined) this.first = seat
    else this.last.after = seat
    this.last = seat
    this.length++
    this.reserved += cost
    return seat
  }

  leave(seat: Seat): void {
    if (seat.before === undefined) this.first = seat.after
    else seat.before.after = seat.after
    if (seat.after === undefined) this.last = seat.before
    else seat.after.before = seat.before
    this.length--
    this.reserved -= seat.cost
  }
}

/**
 * A call that waits, in one line or, for several limits at once, in several.
 *
 * It takes for itself when it wakes: by its own timer, or called by the one before it that has left. So whoever is
 * interrupted, at whatever step, has either taken nothing or is running, and its place is given back by leaving.
 */
export class Waiter {
  readonly seats: Array<Seat> = []
  /** When it expects to be admitted: before that, those behind it may pass it, if they leave what it needs. */
  due = Number.POSITIVE_INFINITY
  /** Whether its turn has come, and it waits for one before it that is due too. */
  private held = false
  private called = false
  private wake: (() => void) | undefined

  sit(line: Line, cost: number): void {
    this.seats.push(line.join(this, cost))
  }

  /** Gives the places back, and calls those behind. */
  leave(): void {
    for (const seat of this.seats.splice(0)) {
      seat.line.leave(seat)
      seat.after?.waiter.call()
    }
  }

  /** Has it look again, now or, where it does not sleep, when it next would. */
  call(): void {
    this.called = true
    this.wake?.()
  }

  /** To be run on the next call, or now if one has come since the last turn. */
  onCall(wake: (() => void) | undefined): void {
    this.wake = wake
    if (this.called) wake?.()
  }

  /**
   * Begins a turn: whether nobody is before it in one of its lines whose turn has come as well. Who is due in the same
   * moment is admitted in order of arrival; one that is held is called by whom it waits for.
   */
  begin(now: number): boolean {
    this.called = false
    this.held = this.seats.some(({ before }) => {
      for (let seat = before; seat !== undefined; seat = seat.before) if (seat.waiter.due <= now) return true
      return false
    })
    return !this.held
  }

  /** The units that those before it wait for, in the line of this seat. */
  static ahead(of: Seat): number {
    let units = 0
    for (let seat = of.before; seat !== undefined; seat = seat.before) units += seat.cost
    return units
  }

  /**
   * Goes on waiting until then, and calls the next that it held. Those behind a waiter in one line are behind it in every
   * respect, and wait for it to leave; a waiter in several may be passed, so the one behind is called to look.
   */
  postpone(due: number): void {
    this.due = due
    const several = this.seats.length > 1
    for (const { after } of this.seats) {
      let next = after
      while (next !== undefined && !several && !next.waiter.held) next = next.after
      next?.waiter.call()
    }
  }
}
