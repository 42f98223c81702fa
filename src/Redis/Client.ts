import type { IoRedis } from "./IoRedis.js"
import { type Answered, type Done, Lane } from "./Lane.js"
import { noDatabase, type Problem, problemOf } from "./Problem.js"
import type { Script } from "./Script.js"

/** What can be sent. */
export type Argument = string | number | Buffer

/**
 * The commands of this process to one Redis, or to one cluster of them.
 *
 * `changed` hears why commands get no answer, when that begins, and `undefined` when it is over.
 */
export class Client {
  readonly isCluster: boolean
  private readonly lane: Lane
  private lastProblem: Problem = { text: "there is no connection yet", lasting: false }
  /** The connection is there, and not to the database that was asked for. */
  private isElsewhere = false
  private isAvailable = true
  private readonly listeners: ReadonlyArray<readonly [string, (argument: unknown) => void]>

  constructor(
    private readonly io: IoRedis,
    private readonly changed: (problem: string | undefined) => void
  ) {
    this.isCluster = io.isCluster
    this.lane = new Lane(
      {
        ready: () => io.status === "ready" && !this.isElsewhere,
        problem: () => this.lastProblem.text,
        reconnect: () => io.disconnect(true)
      },
      (problem) => this.tell(problem)
    )
    this.listeners = [
      // Errors that nobody listens to, the client writes on the console.
      [
        "error",
        (error) => {
          this.lastProblem = problemOf(error)
          if (this.lastProblem === noDatabase) this.isElsewhere = true
        }
      ],
      [
        "connecting",
        () => {
          this.isElsewhere = false
        }
      ],
      [
        "ready",
        () => {
          if (this.isElsewhere) return
          this.lane.heard()
          this.tell(undefined)
        }
      ],
      ["close", () => this.tell(this.lastProblem.text)]
    ]
    for (const [event, listener] of this.listeners) io.on(event, listener)
  }

  /** Connects, and waits for it: so many milliseconds at most, or until an attempt has failed. */
  connect(millis: number, done: (problem: Problem | undefined) => void): void {
    let ended = false
    const end = () => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      done(this.problem)
    }
    // @effect-diagnostics-next-line globalTimers:off
    const timer = setTimeout(end, millis)
    // Events of a change of state come a step later than the change.
    this.io.connect().then(
      () => setImmediate(end),
      () => setImmediate(end)
    )
  }

  /** Why commands are not sent now; undefined where they are. */
  get problem(): Problem | undefined {
    const text = this.lane.problem
    if (text === undefined) return undefined
    return text === this.lastProblem.text ? this.lastProblem : { text, lasting: false }
  }

  run(
    { sha, source }: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<Argument>,
    millis: number,
    done: Done
  ): void {
    const { io } = this
    this.lane.send(
      (answered) => {
        void io.evalsha(sha, keys.length, ...keys, ...args, ((error, reply) => {
          // To run it by its text loads it, in the same step, on the server that does not know it.
          if (error?.message.startsWith("NOSCRIPT")) {
            void io.eval(source, keys.length, ...keys, ...args, answered)
          } else answered(error, reply)
        }) as Answered)
      },
      millis,
      done
    )
  }

  ping(millis: number, done: Done): void {
    this.lane.send((answered) => void this.io.ping(answered), millis, done)
  }

  /** Leaves the connection to whom it belongs. */
  detach(): void {
    this.lane.close()
    for (const [event, listener] of this.listeners) this.io.off(event, listener)
  }

  close(): void {
    this.lane.close()
    this.io.disconnect()
  }

  private tell(problem: string | undefined): void {
    if ((problem === undefined) === this.isAvailable) return
    this.isAvailable = problem === undefined
    this.changed(problem)
  }
}
