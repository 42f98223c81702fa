/** How long an answer is looked for, in milliseconds. */
const longest = 0.15

/**
 * Of so many commands, the answers to the first are slept through, and those to as many again looked for, on trial; those to
 * the rest as was better.
 */
const round = 1024
const trial = 32

/** So many on each trial do not count: how those before were waited for still shows in how warm both processes are. */
const settling = 8

/** What an answer counts for at most, in milliseconds: a pause of either process says nothing of how it is waited for. */
const most = 0.3

/** The part of the time in which an answer has to be there for it to be looked for. */
const worthwhile = 0.9

/** The answers that are waited for, in milliseconds. */
export interface Answers {
  /** When the oldest of the commands under way was sent; undefined where none is. */
  readonly since: number | undefined
  /** How long the last answer took. */
  readonly took: number
}

/**
 * Looks for the answer to a lone command in one turn of the event loop after the other, in place of sleeping until it is
 * there. A process that sleeps has to be woken, which takes longer than a Redis on the same machine does: where its
 * processors have little else to do, a call takes 0.6 of the time, and the two processes no more of the processors.
 *
 * It holds nothing up, since all else goes on in those turns. Where it gains nothing, as over most networks, or where the
 * processors are busy, it is only tried now and again.
 */
export class BusyPoll {
  private isLooking = false
  private isBetter = false
  private command = 0
  private slept = 0
  private looked = 0

  constructor(private readonly answers: Answers) {}

  /** A command has been sent, and no other was under way. */
  begin(): void {
    if (this.decide() && !this.isLooking) this.goOn()
  }

  private decide(): boolean {
    const { command } = this
    this.command = (command + 1) % round
    if (command > 2 * trial) return this.isBetter
    // Of the command before.
    const took = Math.min(this.answers.took, most)
    if (command > trial + settling) this.looked += took
    else if (command > settling && command <= trial) this.slept += took
    if (command < 2 * trial) return command >= trial
    this.isBetter = this.looked < this.slept * worthwhile
    this.looked = this.slept = 0
    return this.isBetter
  }

  private goOn(): void {
    this.isLooking = true
    setImmediate(this.look)
  }

  private readonly look = (): void => {
    const { since } = this.answers
    this.isLooking = false
    if (since !== undefined && performance.now() - since < longest) this.goOn()
  }
}
