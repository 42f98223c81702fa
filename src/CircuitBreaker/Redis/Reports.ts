/** How many outcomes wait for one another at most. */
const longestBatch = 1000

/** Sends outcomes, in their order, and says when Redis has answered, well or not. */
export type Send = (generation: number, outcomes: string, done: () => void) => void

/**
 * The outcomes of one circuit on their way to Redis, in the order in which the calls ended.
 *
 * One that a call waits for is sent at once, with all before it. One that no call waits for is sent at once where none is
 * on its way, else with those that come until that one is answered: it is behind by one round trip at most.
 */
export class Reports {
  private generation = 0
  private queue = ""
  private onTheirWay = 0
  /** The last outcome of those that Redis has not answered. */
  private last = ""

  constructor(private readonly send: Send) {}

  /** The outcome that Redis will know as the last, as long as it has not answered; nothing where it has. */
  get pending(): string {
    return this.last
  }

  add(generation: number, outcome: string): void {
    this.append(generation, outcome)
    if (this.onTheirWay === 0 || this.queue.length >= longestBatch) this.flush(() => undefined)
  }

  addAndWait(generation: number, outcome: string, done: () => void): void {
    this.append(generation, outcome)
    this.flush(done)
  }

  private append(generation: number, outcome: string): void {
    // What ended in an earlier stretch of the state counts no more.
    if (generation !== this.generation) this.queue = ""
    this.generation = generation
    this.queue += outcome
    this.last = outcome
  }

  private flush(done: () => void): void {
    const outcomes = this.queue
    this.queue = ""
    this.onTheirWay++
    this.send(this.generation, outcomes, () => {
      this.onTheirWay--
      if (this.onTheirWay === 0) {
        if (this.queue === "") this.last = ""
        else this.flush(() => undefined)
      }
      done()
    })
  }
}
