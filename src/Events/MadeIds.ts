import { globalValue } from "effect/GlobalValue"

/** The last millisecond that an id has room for: in the year 10889. */
const maxTime = 2 ** 48 - 1

/**
 * Makes UUIDs of version 7, each greater than all before it, whatever the clock does: so new ones land beside each other in
 * an index, and a store can find one by search. Those of a millisecond count on from a random start (RFC 9562, 6.2).
 */
export class MadeIds {
  /** How many were made. */
  count = 0
  private timestamp = Number.NaN
  /** The time that the ids state: that of the clock, or later where it was set back. */
  private time = -1
  private start = ""
  private next = 0

  make(timestamp: number): string {
    if (timestamp !== this.timestamp || this.next > 0xfffffff) this.begin(timestamp)
    this.count++
    return this.start + (this.next++).toString(16)
  }

  private begin(timestamp: number): void {
    this.timestamp = timestamp
    if (this.time === maxTime) return
    this.time = Math.min(Math.max(timestamp, this.time + 1), maxTime)
    const time = this.time.toString(16).padStart(12, "0")
    const random = crypto.randomUUID()
    // Joined: a text that is added up would be put together in each id anew.
    this.start = [time.slice(0, 8), "-", time.slice(8), "-7", random.slice(15, 29)].join("")
    // Has seven digits from the first on, and room for a hundred million.
    this.next = 0x1000000 + (Number.parseInt(random.slice(29), 16) >>> 1)
  }
}

/** One for all copies of the library in a process, since they may share a store. */
export const madeIds = globalValue("effect-foundation/Events/madeIds", () => new MadeIds())
