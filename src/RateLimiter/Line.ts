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
  /** How many of them wait in other lines too. While there are none, only the first can be admitted. */
  several = 0

  join(waiter: Waiter, cost: number): Seat {
    const seat: Seat = { line: this, waiter, cost, before: this.last, after: undefined }
    if (this.last === undefined) this.first = seat
    else this.last.after = seat
    this.last = seat
    this.length++
    this.reserved += cost
    if (waiter.several) this.several++
    return seat
  }

  leave(seat: Seat): void {
    if (seat.before === undefined) this.first = seat.after
    else seat.before.after = seat.after
    if (seat.after === undefined) this.last = seat.before
    else seat.after.before = seat.before
    this.length--
    this.reserved -= seat.cost
    if (seat.waiter.several) this.several--
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
  readonly several: boolean
  /** When it expects to be admitted: before that, those behind a waiter in several lines may pass it. */
  private due = Number.POSITIVE_INFINITY
  private called = false
  private wake: (() => void) | undefined

  constructor(several: boolean) {
    this.several = several
  }

  sit(line: Line, cost: number): void {
    this.seats.push(line.join(this, cost))
  }

  /** Whether it waits in one line, behind others who do so: then it has to wait for those, and to look is no use. */
  get behind(): boolean {
    return !this.several && this.seats.every(({ before, line }) => before !== undefined && line.several === 0)
  }

  /** Whether it knows when it expects to be admitted. */
  get hasLooked(): boolean {
    return this.due < Number.POSITIVE_INFINITY
  }

  /** Gives the places back, and calls those behind whom that may help. */
  leave(): void {
    for (const seat of this.seats.splice(0)) {
      seat.line.leave(seat)
      const next = seat.after?.waiter
      if (next !== undefined && !next.behind) next.call()
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
   * moment is admitted in order of arrival.
   */
  begin(now: number): boolean {
    this.called = false
    return this.seats.every(({ before, line }) => {
      // Where only the first can be admitted, only that matters: a line of thousands is not walked for each of them.
      let seat = before === undefined || line.several > 0 ? before : line.first
      for (; seat !== undefined; seat = line.several > 0 ? seat.before : undefined) {
        if (seat.waiter.due <= now) return false
      }
      return true
    })
  }

  /** The units that those before it wait for, in the line of this seat. */
  static ahead(of: Seat): number {
    if (of.after === undefined) return of.line.reserved - of.cost
    let units = 0
    for (let seat = of.before; seat !== undefined; seat = seat.before) units += seat.cost
    return units
  }

  /** Goes on waiting until then. One that waits in several lines may be passed, so the next in each is called to look. */
  postpone(due: number): void {
    this.due = due
    if (this.several) for (const { after } of this.seats) after?.waiter.call()
  }
}
