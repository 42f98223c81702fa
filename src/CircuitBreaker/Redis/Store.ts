import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { monotonicMicros } from "../../internal/monotonic.js"
import { RedisError } from "../../Redis/RedisError.js"
import type { Redis } from "../../Redis.js"
import type { Telemetry } from "../../Telemetry.js"
import type { Move } from "../Circuit.js"
import type { Terms } from "../Policy.js"
import { channelOf, encodeName, keysOf } from "./Keys.js"
import type { Settings } from "./Options.js"
import * as Scripts from "./Scripts.js"
import { type Message, messageOf, type Reply, replyOf } from "./Wire.js"

/** A circuit that this process uses, as what it hears of it goes to it. */
export interface Listening {
  readonly hear: (message: Message) => void
  /** Notifications may have been lost: what is known serves no call until it is read again. */
  readonly doubt: () => void
  /** Reads the circuit again; `done` when that has ended, well or not. */
  readonly reread: (done: () => void) => void
}

export type Done = (error: RedisError | undefined, reply: Reply | undefined) => void

/** How many circuits are read at a time after notifications may have been lost. */
const rereadAtOnce = 16

/** How many probes, whose end Redis has not heard of, are kept for it; past it, the lease frees them. */
const mostOwed = 1000

/** The circuits in Redis, as this process reaches them, and whether it does. */
export class Store {
  /** Whether Redis has not answered. Calls do not wait for it then. */
  down = false
  /** Whom to tell of changes of circuits that are not used here. */
  elsewhere: ((name: string, move: Move) => void) | undefined
  /** Answers when notifications come; at once where Redis is known not to be there. */
  readonly subscribed: Effect.Effect<void>
  private hasSubscribed = false
  private onSubscribed: () => void = () => undefined
  private trying = false
  private readonly circuits = new Map<string, Listening>()
  private readonly channel: string
  private rereading: Fiber.RuntimeFiber<void> | undefined
  private owed: Array<() => void> = []
  private tokens = 0
  /** The circuits that Redis refuses to decide on. */
  private readonly refusing = new Set<Listening>()
  private isAvailable = true

  constructor(
    readonly settings: Settings,
    private readonly redis: Redis.Service,
    private readonly telemetry: Telemetry.Service,
    private readonly clock: Clock.Clock,
    private readonly runtime: Runtime.Runtime<never>,
    private readonly scope: Scope.Scope,
    /** That of this process in the tokens of its probes, and as an adviser. */
    readonly id: string
  ) {
    this.channel = channelOf(settings.prefix, redis.keyspace)
    this.subscribed = Effect.async<void>((resume) => {
      if (this.hasSubscribed || !redis.unsafeStatus().available) return resume(Effect.void)
      this.onSubscribed = () => resume(Effect.void)
    })
  }

  now(): number {
    return monotonicMicros(this.clock)
  }

  fork(effect: Effect.Effect<void>): Fiber.RuntimeFiber<void> {
    return Runtime.runFork(this.runtime, effect, { scope: this.scope })
  }

  token(): string {
    return `${this.id}:${++this.tokens}`
  }

  /** Hears what is published from now on, until the answer is called. */
  subscribe(): () => void {
    return this.redis.unsafeSubscribe(this.channel, (notification) => {
      if (notification._tag === "Gap") {
        this.hasSubscribed = true
        this.onSubscribed()
        return this.reread()
      }
      const message = messageOf(notification.text)
      if (message === undefined) return
      const circuit = this.circuits.get(message.name)
      if (circuit !== undefined) circuit.hear(message)
      else for (const move of message.moves) this.elsewhere?.(message.name, move)
    })
  }

  attach(name: string, circuit: Listening): void {
    this.circuits.set(name, circuit)
  }

  detach(name: string, circuit: Listening): void {
    if (this.circuits.get(name) === circuit) this.circuits.delete(name)
    this.accepted(circuit)
  }

  refused(circuit: Listening, problem: string): void {
    this.refusing.add(circuit)
    this.report(problem)
  }

  accepted(circuit: Listening): void {
    if (this.refusing.delete(circuit)) this.report("")
  }

  /** Whether to go on without Redis, without waiting. Looks in the background whether it is there again. */
  isDown(): boolean {
    if (this.down && !this.trying && this.redis.unsafeStatus().available) {
      this.trying = true
      this.redis.unsafeRun(Scripts.trial, [], [], this.settings.deadlineMillis, (error) => {
        this.trying = false
        if (error === undefined || error.reason === "refused") this.up()
      })
    }
    return this.down
  }

  /** Runs a step of the circuit, and waits no longer than the deadline. */
  send(
    script: Redis.Script,
    name: string,
    { rules }: Terms,
    args: ReadonlyArray<string>,
    done: Done,
    keys: ReadonlyArray<string> = [],
    millis = this.settings.deadlineMillis
  ): void {
    const { circuit, probes } = keysOf(this.settings.prefix, name)
    this.redis.unsafeRun(
      script,
      [circuit, probes, ...keys],
      ["", this.channel, encodeName(name), String(rules.probes), String(rules.lease ?? 0), ...args],
      millis,
      (error, raw) => {
        if (error !== undefined) {
          if (error.reason !== "refused") this.fail(error)
          return done(error, undefined)
        }
        const reply = replyOf(raw)
        if (reply === undefined) return done(new RedisError("refused", "Redis answered with something else"), undefined)
        if (this.down) this.up()
        done(undefined, reply)
      }
    )
  }

  /** Runs this when Redis answers again. */
  owe(send: () => void): void {
    if (this.owed.length < mostOwed) this.owed.push(send)
  }

  private fail(error: RedisError): void {
    if (this.down) return
    this.down = true
    this.report(error.message)
  }

  private up(): void {
    if (!this.down) return
    this.down = false
    this.report("")
    const { owed } = this
    this.owed = []
    for (const send of owed) send()
    this.reread()
  }

  /** Tells whether Redis decides on all circuits of this process, where that has changed. */
  private report(problem: string): void {
    const available = !this.down && this.refusing.size === 0
    if (available === this.isAvailable) return
    this.isAvailable = available
    this.telemetry.emit("circuit_breaker.store", { count: 1 }, { available, problem })
  }

  /** Reads the circuits of this process again, a few at a time. */
  private reread(): void {
    for (const circuit of this.circuits.values()) circuit.doubt()
    this.rereading?.unsafeInterruptAsFork(this.rereading.id())
    this.rereading = this.fork(
      Effect.forEach(
        [...this.circuits.values()],
        (circuit) => Effect.async<void>((resume) => circuit.reread(() => resume(Effect.void))),
        { concurrency: rereadAtOnce, discard: true }
      )
    )
  }
}
