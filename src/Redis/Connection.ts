import type { IoNode } from "./IoRedis.js"
import { type Answered, type Done, Lane } from "./Lane.js"
import { noDatabase, type Problem, problemOf } from "./Problem.js"

/** What the client tells of its connection. */
export type Events = Readonly<Record<string, (argument: unknown) => void>>

/** Hears of the events until the answer is called. */
export const listen = (io: { on: Listens; off: Listens }, events: Events): (() => void) => {
  for (const [event, listener] of Object.entries(events)) io.on(event, listener)
  return () => {
    for (const [event, listener] of Object.entries(events)) io.off(event, listener)
  }
}

type Listens = (event: string, listener: (argument: unknown) => void) => unknown

/** So many commands of one turn of the event loop go out at once, and of those behind them so many as one piece. */
const atOnce = 2
const inOnePiece = 8

/** The connection of the client to one server, with the lane of its commands. */
export class Connection {
  private readonly lane: Lane
  /** The names of scripts that are on their way to the server by their text. */
  readonly loading = new Set<string>()
  /** What was last wrong with it. */
  private last: Problem = { text: "there is no connection yet", lasting: false }
  private hasFailed = false
  private isClosed = false
  /** It is there, and not to the database that was asked for. */
  private isElsewhere = false
  /** How many commands were sent in this turn of the event loop. */
  private sent = 0
  /** What holds commands back until its end. */
  private held: IoNode["stream"] | undefined
  private handshake: NodeJS.Timeout | undefined
  private readonly unlisten: () => void

  constructor(
    readonly io: IoNode,
    connectMillis: number,
    changed: () => void
  ) {
    this.lane = new Lane(
      {
        // One that waits for its first command connects with it.
        ready: () => (io.status === "ready" || (io.status === "wait" && !this.isClosed)) && !this.isElsewhere,
        problem: () => this.last.text,
        reconnect: () => io.disconnect(true)
      },
      changed
    )
    this.unlisten = listen(io, {
      // Errors that nobody listens to, the client writes on the console.
      error: (error) => {
        const problem = problemOf(error)
        // What follows upon an error that lasts, within the same attempt, only hides it.
        if (!this.last.lasting || !this.hasFailed) this.last = problem
        this.hasFailed = true
        if (problem === noDatabase) this.isElsewhere = true
      },
      connecting: () => {
        this.hasFailed = false
        this.isElsewhere = false
      },
      // What the client bounds is the connection; the words that follow, before it is ready, are bounded here.
      connect: () => {
        clearTimeout(this.handshake)
        // @effect-diagnostics-next-line globalTimers:off
        this.handshake = setTimeout(() => io.status === "connect" && io.disconnect(true), connectMillis)
      },
      ready: () => {
        clearTimeout(this.handshake)
        if (this.isElsewhere) return
        this.isClosed = false
        this.lane.heard()
        changed()
      },
      close: () => {
        clearTimeout(this.handshake)
        this.isClosed = true
        changed()
      }
    })
  }

  /** Why commands are not sent now; undefined where they are. */
  get problem(): Problem | undefined {
    const text = this.lane.problem
    if (text === undefined) return undefined
    return text === this.last.text ? this.last : { text, lasting: false }
  }

  /** What has gone wrong, and is not over: not that it is not there yet. */
  get trouble(): string | undefined {
    return this.isClosed ? this.last.text : this.io.status === "ready" ? this.lane.problem : undefined
  }

  send(command: (answered: Answered) => void, millis: number, done: Done): void {
    this.hold()
    this.lane.send(command, millis, done)
  }

  /**
   * What is sent in one turn of the event loop goes out in few pieces: a piece costs 20 µs. The first commands go out at
   * once: then Redis works on them while this process makes the next, and their answers come before those to the others, so
   * that neither has to wait for all that the other does.
   */
  private hold(): void {
    const { stream } = this.io
    if (this.sent === 0) {
      if (!stream?.writable) return
      process.nextTick(() => this.letGo())
    }
    this.sent++
    if (this.sent <= atOnce) return
    if (this.held === undefined) this.held = stream
    else if (this.sent % inOnePiece === atOnce + 1) this.held.uncork()
    else return
    this.held.cork()
  }

  private letGo(): void {
    this.sent = 0
    this.held?.uncork()
    this.held = undefined
  }

  /** Leaves the connection as it is. */
  detach(): void {
    clearTimeout(this.handshake)
    this.lane.close()
    this.unlisten()
  }
}
