import type { Tally } from "./Trip.js"

const failedBit = 1
const slowBit = 2

/** The outcomes of the last `size` calls: a ring of one byte each, and their sums. */
export class CountWindow implements Tally {
  calls = 0
  failures = 0
  slow = 0
  private next = 0
  private readonly ring: Uint8Array

  constructor(size: number) {
    this.ring = new Uint8Array(size)
  }

  add(failed: boolean, slow: boolean): Tally {
    if (this.calls === this.ring.length) this.count(this.ring[this.next] ?? 0, -1)
    const outcome = (failed ? failedBit : 0) | (slow ? slowBit : 0)
    this.ring[this.next] = outcome
    this.count(outcome, 1)
    this.next = (this.next + 1) % this.ring.length
    return this
  }

  clear(): void {
    this.calls = this.failures = this.slow = this.next = 0
  }

  private count(outcome: number, by: 1 | -1): void {
    this.calls += by
    if (outcome & failedBit) this.failures += by
    if (outcome & slowBit) this.slow += by
  }
}
