import type { Lease } from "./Backend.js"
import { Group, type Seat } from "./Group.js"
import { counts, type Member, type Registration, type Selection, selects } from "./Registration.js"

/** Who has a name. The registration in it is replaced when it is updated; the holder stays the same. */
export interface Holder {
  registration: Registration
  readonly lease?: Lease | undefined
}

/**
 * The names and groups of one registry. To find, add or remove one takes the same time whatever their number. Of a dead
 * fiber nothing is answered, even in the moment before its observers have taken it out; nor of a lease that has run out.
 */
export class Table<H extends Holder> {
  private readonly holders = new Map<string, H>()
  private readonly groups = new Map<string, Group>()
  private seats = 0

  /** Registrations and memberships together. */
  get size(): number {
    return this.holders.size + this.seats
  }

  find(name: string): Registration | undefined {
    const holder = this.holders.get(name)
    return holder !== undefined && counts(holder.registration.process, holder.lease) ? holder.registration : undefined
  }

  /** Who has the name, dead or alive. */
  holder(name: string): H | undefined {
    return this.holders.get(name)
  }

  put(holder: H): void {
    this.holders.set(holder.registration.name, holder)
  }

  /** Takes out this holder; one that has taken the name since stays. */
  remove(holder: H): void {
    const { name } = holder.registration
    if (this.holders.get(name) === holder) this.holders.delete(name)
  }

  /** Those of the selection, in the order in which they were registered. */
  list(selection: Selection): Array<Registration> {
    if ("name" in selection && selection.name !== undefined) {
      const found = this.find(selection.name)
      return found === undefined ? [] : [found]
    }
    const listed: Array<Registration> = []
    for (const { lease, registration } of this.holders.values()) {
      if (selects(selection, registration.name) && counts(registration.process, lease)) listed.push(registration)
    }
    // Those of other processes may be heard of in another order. What is in order already is sorted in one pass.
    return listed.sort((a, b) => a.token - b.token)
  }

  group(name: string): Group | undefined {
    return this.groups.get(name)
  }

  join(member: Member, lease?: Lease): Seat {
    let group = this.groups.get(member.group)
    if (group === undefined) {
      group = new Group()
      this.groups.set(member.group, group)
    }
    this.seats++
    return group.join(member, lease)
  }

  leave(seat: Seat): void {
    const group = this.groups.get(seat.member.group)
    if (group === undefined) return
    group.leave(seat)
    this.seats--
    if (group.size === 0) this.groups.delete(seat.member.group)
  }
}
