import { Call } from "./Call.js"
import { Connection, listen } from "./Connection.js"
import type { IoCluster, IoNode, IoRedis } from "./IoRedis.js"
import type { Answered, Done } from "./Lane.js"
import { type Problem, problemOf } from "./Problem.js"
import { RedisError } from "./RedisError.js"
import type { Script } from "./Script.js"
import { slotOf } from "./Slot.js"

/** What can be sent. */
export type Argument = string | number | Buffer

/** The commands of this process to one Redis, or to one cluster of them. */
export interface Client {
  readonly io: IoRedis
  readonly run: (
    script: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<Argument>,
    millis: number,
    done: Done
  ) => void
  readonly ping: (millis: number, done: Done) => void
  /** Why commands are not sent now; undefined where they are. */
  readonly problem: Problem | undefined
  /** Leaves the connection as it is. */
  readonly detach: () => void
}

/** `changed` hears why commands get no answer, when that begins, and `undefined` when it is over. */
export const clientOver = (
  io: IoRedis,
  connectMillis: number,
  changed: (problem: string | undefined) => void
): Client =>
  isCluster(io) ? new ClusterClient(io, connectMillis, changed) : new SingleClient(io, connectMillis, changed)

const isCluster = (io: IoRedis): io is IoCluster => io.isCluster

/** Connects, and waits for it: so many milliseconds at most, or until an attempt has failed. */
export const connect = ({ io }: Client, millis: number, done: () => void): void => {
  let ended = false
  const end = () => {
    if (ended) return
    ended = true
    clearTimeout(timer)
    done()
  }
  // @effect-diagnostics-next-line globalTimers:off
  const timer = setTimeout(end, millis)
  const nodes = () => Promise.allSettled(isCluster(io) ? io.nodes("master").map(warm) : [])
  const attempt = io.status === "wait" ? io.connect() : ready(io)
  // Events of a change of state come a step later than the change.
  attempt.then(nodes).then(
    () => setImmediate(end),
    () => setImmediate(end)
  )
}

const ready = (io: IoRedis) =>
  new Promise<void>((resolve) => (io.status === "ready" ? resolve() : io.once("ready", () => resolve())))

/** A node of a cluster connects with its first command, which would wait for that. */
const warm = (io: IoNode): unknown => io.status === "wait" && io.connect().catch(() => undefined)

/** Tells of each change once. */
class Teller {
  private isAvailable = true

  constructor(private readonly changed: (problem: string | undefined) => void) {}

  tell(problem: string | undefined): void {
    if ((problem === undefined) === this.isAvailable) return
    this.isAvailable = problem === undefined
    this.changed(problem)
  }
}

type Send = (name: "eval" | "evalsha", then: Answered) => void

/** By its name; or, where Redis does not know it, by its text, which loads it in the same step. */
const runOn = (
  io: IoRedis,
  connection: Connection,
  script: Script,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<Argument>,
  answered: Answered
): void => {
  const { keyPrefix } = io.options
  const named = keyPrefix ? keys.map((key) => `${keyPrefix}${key}`) : keys
  const send: Send = (name, then) => {
    const what = name === "eval" ? script.source : script.sha
    io.sendCommand(new Call(name, [what, keys.length, ...named, ...args], script.isPacked, then))
  }
  send("evalsha", (error, reply) =>
    isUnknown(error) ? load(connection, script, send, answered) : answered(error, reply)
  )
}

/**
 * What else is in flight goes by name behind the one with the text: thousands of texts would keep a server busy that has
 * just begun.
 */
const load = ({ loading }: Connection, { sha }: Script, send: Send, answered: Answered): void => {
  if (loading.has(sha)) {
    send("evalsha", (error, reply) => (isUnknown(error) ? send("eval", answered) : answered(error, reply)))
    return
  }
  loading.add(sha)
  send("eval", (error, reply) => {
    loading.delete(sha)
    answered(error, reply)
  })
}

const isUnknown = (error: Error | null | undefined): boolean => error?.message.startsWith("NOSCRIPT") === true

class SingleClient implements Client {
  private readonly connection: Connection

  constructor(
    readonly io: IoNode,
    connectMillis: number,
    changed: (problem: string | undefined) => void
  ) {
    const teller = new Teller(changed)
    this.connection = new Connection(io, connectMillis, () => teller.tell(this.connection.trouble))
  }

  get problem(): Problem | undefined {
    return this.connection.problem
  }

  run(script: Script, keys: ReadonlyArray<string>, args: ReadonlyArray<Argument>, millis: number, done: Done): void {
    const { connection, io } = this
    connection.send((answered) => runOn(io, connection, script, keys, args, answered), millis, done)
  }

  ping(millis: number, done: Done): void {
    this.connection.send((answered) => void this.io.ping(answered), millis, done)
  }

  detach(): void {
    this.connection.detach()
  }
}

/** A lane for each node, so that one that stands still does not keep back what the others would answer. */
class ClusterClient implements Client {
  private readonly nodes = new Map<string, Connection>()
  private readonly teller: Teller
  private last: Problem = { text: "there is no connection yet", lasting: false }
  private isClosed = false
  private handshake: NodeJS.Timeout | undefined
  private readonly unlisten: () => void

  constructor(
    readonly io: IoCluster,
    private readonly connectMillis: number,
    changed: (problem: string | undefined) => void
  ) {
    this.teller = new Teller(changed)
    this.unlisten = listen(io, {
      error: (error) => {
        this.last = problemOf(error)
      },
      "node error": (error) => {
        this.last = problemOf(error)
      },
      "+node": (node) => this.add(node as IoNode),
      "-node": (node) => this.remove(node as IoNode),
      connect: () => {
        clearTimeout(this.handshake)
        // @effect-diagnostics-next-line globalTimers:off
        this.handshake = setTimeout(() => io.status === "connect" && io.disconnect(true), connectMillis)
      },
      ready: () => {
        clearTimeout(this.handshake)
        this.isClosed = false
        this.review()
      },
      close: () => {
        clearTimeout(this.handshake)
        this.isClosed = true
        this.review()
      }
    })
    for (const node of io.nodes()) this.add(node)
  }

  get problem(): Problem | undefined {
    if (this.io.status !== "ready") return this.last
    return this.masters.find(({ problem }) => problem !== undefined)?.problem
  }

  run(script: Script, keys: ReadonlyArray<string>, args: ReadonlyArray<Argument>, millis: number, done: Done): void {
    const { io } = this
    const node = io.status === "ready" ? this.nodeOf(keys[0]) : undefined
    if (node === undefined) done(new RedisError("disconnected", this.last.text), undefined)
    else node.send((answered) => runOn(io, node, script, keys, args, answered), millis, done)
  }

  ping(millis: number, done: Done): void {
    const [node] = this.masters
    if (node === undefined) done(new RedisError("disconnected", this.last.text), undefined)
    else node.send((answered) => void node.io.ping(answered), millis, done)
  }

  detach(): void {
    clearTimeout(this.handshake)
    this.unlisten()
    for (const node of this.nodes.values()) node.detach()
    this.nodes.clear()
  }

  /** Those that decide; what is wrong with a replica is wrong with nothing here. */
  private get masters(): ReadonlyArray<Connection> {
    return [...this.nodes.values()].filter(({ io }) => io.options.readOnly !== true)
  }

  /** The node that has the slot of the key. */
  private nodeOf(key: string | undefined): Connection | undefined {
    if (key === undefined) return this.masters[0]
    const [address] = this.io.slots[slotOf(key)] ?? []
    return address === undefined ? undefined : this.nodes.get(address)
  }

  private add(io: IoNode): void {
    const address = addressOf(io)
    this.nodes.get(address)?.detach()
    this.nodes.set(address, new Connection(io, this.connectMillis, () => this.review()))
    if (this.io.status === "ready" && io.options.readOnly !== true) warm(io)
  }

  private remove(io: IoNode): void {
    const address = addressOf(io)
    const node = this.nodes.get(address)
    if (node?.io !== io) return
    node.detach()
    this.nodes.delete(address)
    this.review()
  }

  private review(): void {
    if (this.isClosed || this.io.status !== "ready") {
      this.teller.tell(this.isClosed ? this.last.text : undefined)
      return
    }
    const troubles = this.masters.map(({ io, trouble }) => trouble && `${addressOf(io)}: ${trouble}`)
    const trouble = troubles.find((each) => each !== undefined)
    // Another node may have the slots by now.
    if (trouble !== undefined) this.io.refreshSlotsCache()
    this.teller.tell(trouble)
  }
}

/** As the client names nodes. */
const addressOf = ({ options: { host, port } }: IoNode): string => `${host ?? "127.0.0.1"}:${port ?? 6379}`
