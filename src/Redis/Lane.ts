import { Deadline, Deadlines } from "./Deadlines.js"
import { RedisError } from "./RedisError.js"

/** What a command becomes: its answer, or why there is none. Called once, never in the step that sent it where it was sent. */
export type Done = (error: RedisError | undefined, reply: unknown) => void

/** What the client says of a command that it was given. */
export type Answered = (error: Error | null | undefined, reply?: unknown) => void

/** One connection, as a lane sees it. */
export interface Wire {
  /** Whether commands can be sent. */
  readonly ready: () => boolean
  /** Why not, in words that hold no secret. */
  readonly problem: () => string
  /** Gives the connection up, and makes another. */
  readonly reconnect: () => void
}

/** How long Redis may say nothing before the connection is given up for another, in milliseconds. */
const longestSilence = 1000

/**
 * The commands on one connection: each has an end, at its deadline the latest.
 *
 * From the first command that Redis does not answer in time until it answers anything, no other is sent: calls fail at
 * once in place of waiting out a deadline each, and nothing piles up before a Redis that stands still. What is outstanding
 * is the probe: Redis answers in order, so that a late answer says that it is there again. Where none comes within a
 * second, the connection is made anew.
 */
export class Lane {
  private readonly deadlines = new Deadlines()
  private silentSince: NodeJS.Timeout | undefined

  constructor(
    private readonly wire: Wire,
    private readonly changed: (problem: string | undefined) => void
  ) {}

  /** Why commands are not sent now; undefined where they are. */
  get problem(): string | undefined {
    if (!this.wire.ready()) return this.wire.problem()
    return this.silentSince === undefined ? undefined : unanswered
  }

  /** Whether no answer is waited for. */
  get isIdle(): boolean {
    return this.deadlines.isEmpty
  }

  /** Sends a command, and waits for its answer so many milliseconds. */
  send(command: (answered: Answered) => void, millis: number, done: Done): void {
    if (!this.wire.ready() || this.silentSince !== undefined) {
      const error = this.wire.ready()
        ? new RedisError("unresponsive", unanswered)
        : new RedisError("disconnected", this.wire.problem())
      done(error, undefined)
      return
    }
    const deadline = new Deadline(millis, () => {
      this.fallSilent()
      done(new RedisError("timeout", `Redis did not answer within ${millis} ms`), undefined)
    })
    command((error, reply) => {
      // All but the answers of Redis are words of the client: that the connection ended, or was not there.
      const lost = error != null && error.name !== "ReplyError"
      if (!lost) this.heard()
      if (!this.deadlines.meet(deadline)) return
      if (error == null) done(undefined, reply)
      else if (!lost) done(refused(error), undefined)
      // A connection that can no longer be written to refuses commands before it tells of its end: callers without a pause
      // would keep that from being heard.
      else setImmediate(() => done(new RedisError("connection_lost", this.wire.problem()), undefined))
    })
    // Behind the command: Redis works on it by now.
    this.deadlines.add(deadline)
  }

  /** Redis has said something, or the connection is another. */
  heard(): void {
    if (this.silentSince === undefined) return
    clearTimeout(this.silentSince)
    this.silentSince = undefined
    this.changed(undefined)
  }

  close(): void {
    clearTimeout(this.silentSince)
    this.silentSince = undefined
  }

  private fallSilent(): void {
    if (this.silentSince !== undefined || !this.wire.ready()) return
    // @effect-diagnostics-next-line globalTimers:off
    this.silentSince = setTimeout(this.wire.reconnect, longestSilence)
    this.silentSince.unref()
    this.changed(unanswered)
  }
}

const unanswered = "Redis does not answer"

/** The answer that Redis gave instead: its first line, which names the kind of error first. */
const refused = (error: Error): RedisError => {
  const [line = ""] = error.message.split("\n", 1)
  return new RedisError("refused", `Redis refused the command: ${line.length > 200 ? `${line.slice(0, 200)}…` : line}`)
}
