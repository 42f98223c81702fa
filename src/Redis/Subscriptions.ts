import { gap, type Notification } from "./Notification.js"

/** Called in the step in which it comes; must not throw. */
export type Listener = (notification: Notification) => void

/** A connection for subscriptions, as the client makes it. It does not reconnect: another is made. */
export interface Link {
  /** Connects, and subscribes to the channels; then `up`, and `message` for each; at its end, or if it never comes up, `down`. */
  readonly open: (
    channels: ReadonlyArray<string>,
    on: {
      readonly up: () => void
      readonly message: (channel: string, text: string) => void
      readonly down: () => void
    }
  ) => Connection
  /** How long to wait before the attempt of this number, in milliseconds. */
  readonly delay: (attempt: number) => number
}

export interface Connection {
  /** `done` when Redis has confirmed it. */
  readonly subscribe: (channel: string, done: () => void) => void
  readonly unsubscribe: (channel: string) => void
  /** Asks for a sign of life. */
  readonly ping: (done: () => void) => void
  /** Ends it; nothing is called any more. */
  readonly close: () => void
}

/** A connection that says nothing is asked for a sign of life after the one, and given up after the other, in milliseconds. */
const pingEvery = 2000
const pingWithin = 2000
/** One that has not come up by then is given up too: what took it may never answer, in milliseconds. */
const upWithin = 10_000

/** One who listens: of two with the same listener each hears, and leaves for itself. */
interface Member {
  readonly listener: Listener
}

/**
 * The listeners of this process, over one connection that is there while anybody listens. Where it ends, or Redis does not
 * answer on it any more, another is made, and every listener hears of the gap.
 */
export class Subscriptions {
  private readonly channels = new Map<string, Set<Member>>()
  private connection: Connection | undefined
  private isUp = false
  private attempt = 0
  private timer: NodeJS.Timeout | undefined
  private closed = false

  constructor(private readonly link: Link) {}

  /** Listens until the answer is called. */
  add(channel: string, listener: Listener): () => void {
    const member: Member = { listener }
    const members = this.channels.get(channel)
    if (members === undefined) {
      this.channels.set(channel, new Set([member]))
      if (this.isUp) this.connection?.subscribe(channel, () => this.tell(channel, gap))
      else this.open()
    } else {
      members.add(member)
      // Whether the channel is subscribed to already does not matter: a confirmation comes again.
      if (this.isUp) this.connection?.subscribe(channel, () => members.has(member) && listener(gap))
    }
    return () => this.remove(channel, member)
  }

  close(): void {
    this.closed = true
    for (const members of this.channels.values()) members.clear()
    this.channels.clear()
    this.drop()
  }

  private remove(channel: string, member: Member): void {
    const members = this.channels.get(channel)
    if (members === undefined || !members.delete(member) || members.size > 0) return
    this.channels.delete(channel)
    if (this.channels.size === 0) this.drop()
    else if (this.isUp) this.connection?.unsubscribe(channel)
  }

  private tell(channel: string, notification: Notification): void {
    for (const { listener } of this.channels.get(channel) ?? []) listener(notification)
  }

  private open(): void {
    if (this.connection !== undefined || this.closed) return
    clearTimeout(this.timer)
    const channels = [...this.channels.keys()]
    const connection = this.link.open(channels, {
      up: () => {
        if (this.connection !== connection) return
        clearTimeout(this.timer)
        this.isUp = true
        this.attempt = 0
        this.watch(connection)
        // Those that were asked for meanwhile.
        for (const channel of this.channels.keys()) {
          if (channels.includes(channel)) this.tell(channel, gap)
          else connection.subscribe(channel, () => this.tell(channel, gap))
        }
      },
      message: (channel, text) => this.tell(channel, { _tag: "Message", text }),
      down: () => {
        if (this.connection === connection) this.again()
      }
    })
    this.connection = connection
    // @effect-diagnostics-next-line globalTimers:off
    this.timer = setTimeout(() => this.again(), upWithin)
    this.timer.unref()
  }

  /** Gives the connection up, and makes another in a while. */
  private again(): void {
    this.drop()
    this.attempt++
    // @effect-diagnostics-next-line globalTimers:off
    this.timer = setTimeout(() => this.open(), this.link.delay(this.attempt))
  }

  private drop(): void {
    clearTimeout(this.timer)
    this.isUp = false
    const { connection } = this
    this.connection = undefined
    connection?.close()
  }

  /** A connection that was cut off says nothing of it: whoever only listens has to ask. */
  private watch(connection: Connection): void {
    // @effect-diagnostics-next-line globalTimers:off
    this.timer = setTimeout(() => {
      // @effect-diagnostics-next-line globalTimers:off
      this.timer = setTimeout(
        () => setImmediate(() => this.connection === connection && !answered && this.again()),
        pingWithin
      )
      this.timer.unref()
      let answered = false
      connection.ping(() => {
        answered = true
        if (this.connection !== connection) return
        clearTimeout(this.timer)
        this.watch(connection)
      })
    }, pingEvery)
    this.timer.unref()
  }
}
