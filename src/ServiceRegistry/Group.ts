import type { Lease } from "./Backend.js"
import { counts, type Member } from "./Registration.js"

/** The place of a member in its group. */
export interface Seat {
  /** Replaced when its metadata are. */
  member: Member
  readonly lease: Lease | undefined
  index: number
  previous: Seat
  next: Seat
}

/**
 * The members of one group. Joining, leaving and both ways of picking take the same time whatever their number: an array
 * for picking at random, in which the last fills a gap, and a ring for taking turns, whose order no gap disturbs.
 *
 * Turns: a newcomer is last in the round that goes on. So between two turns of one member, every other that is there
 * all the while has exactly one, however many join and leave: over any span, the counts of two members that were there
 * throughout differ by at most one.
 */
export class Group {
  private readonly seats: Array<Seat> = []
  /** Whose turn is next. */
  private turn: Seat | undefined

  get size(): number {
    return this.seats.length
  }

  join(member: Member, lease?: Lease): Seat {
    const seat = { member, lease, index: this.seats.length } as Seat // its neighbours follow on the next lines
    const turn = this.turn ?? seat
    seat.next = turn
    seat.previous = turn === seat ? seat : turn.previous
    seat.previous.next = seat
    turn.previous = seat
    this.turn = turn
    this.seats.push(seat)
    return seat
  }

  leave(seat: Seat): void {
    if (this.turn === seat) this.turn = seat.next === seat ? undefined : seat.next
    seat.previous.next = seat.next
    seat.next.previous = seat.previous
    const last = this.seats.pop()
    if (last === undefined || last === seat) return
    this.seats[seat.index] = last
    last.index = seat.index
  }

  /** The living member whose turn it is; its next turn comes after all others had theirs. */
  takeTurn(): Member | undefined {
    for (let left = this.seats.length; left > 0 && this.turn !== undefined; left--) {
      const { lease, member, next } = this.turn
      this.turn = next
      if (counts(member.process, lease)) return member
    }
    return undefined
  }

  /** The member at this place of the array, if it is alive. */
  at(index: number): Member | undefined {
    const seat = this.seats[index]
    return seat !== undefined && counts(seat.member.process, seat.lease) ? seat.member : undefined
  }

  /** Whether the member of this token is there, and alive. */
  has(token: number): boolean {
    return this.seats.some((seat) => seat.member.token === token && counts(seat.member.process, seat.lease))
  }

  /** The tokens of all members, dead or alive. */
  tokens(): Array<number> {
    return this.seats.map(({ member }) => member.token)
  }

  /** The living members, in the order in which they joined. */
  members(): Array<Member> {
    return this.seats
      .filter(({ lease, member }) => counts(member.process, lease))
      .map((seat) => seat.member)
      .sort((a, b) => a.token - b.token)
  }
}
