import type { Delays } from "../Circuit.js"

/** How many openings a process makes up for at most that it was not there for. */
const longestCatchUp = 100

/**
 * How long each opening should last, by its number since the circuit was last closed.
 *
 * Redis knows no schedules. The process whose report may open the circuit says how long that opening would last, and what
 * it says then holds for all. The number cannot change within the stretch of the state that the report belongs to, so the
 * proposal always is for the opening that comes of it. A schedule goes one step an opening, in each process for itself.
 */
export class Proposals {
  private number = 0

  constructor(private readonly delays: Delays) {}

  /** In microseconds. */
  of(number: number, now: number): number {
    if (number < this.number) {
      this.delays.reset()
      this.number = 0
    }
    const steps = Math.min(number - this.number, longestCatchUp)
    for (let i = 0; i < steps; i++) this.delays.next(now)
    this.number = number
    return this.delays.last
  }

  /** The length of the last opening, or what it is expected to be. */
  get last(): number {
    return this.delays.last
  }
}
