import type * as Clock from "effect/Clock"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { monotonicMicros } from "../internal/monotonic.js"
import type { Telemetry } from "../Telemetry.js"
import type { Claim, Grant, Shared } from "./Backend.js"
import { Feed } from "./Feed.js"
import type { HeldName, Hold } from "./Hold.js"
import { Lifelines } from "./Lifelines.js"
import type { Metadata } from "./Metadata.js"
import { type EndReason, isAlive, type Registration } from "./Registration.js"
import { Holds, type Replica } from "./Replica.js"
import { Table } from "./Table.js"
import { Waiters } from "./Waiters.js"

/**
 * The table with all who are told when it changes. Each change is one step, in which nothing else runs, and is complete
 * before anyone is told: since who is told may come back here.
 */
export class Roll {
  readonly table = new Table<HeldName>()
  readonly feed = new Feed()
  /** Who waits for a name. */
  readonly waiters = new Waiters<Registration>()
  /** Who waits for the end of a token. */
  readonly mourners = new Waiters<EndReason>()
  private readonly lifelines = new Lifelines<Hold>((hold) => this.bury(hold))
  /** A process alone is spared the index. */
  private readonly holds: Holds | undefined

  constructor(
    private readonly telemetry: Telemetry.Service,
    private readonly shared: Shared | undefined,
    private readonly clock: Clock.Clock,
    private readonly runtime: Runtime.Runtime<never>
  ) {
    this.holds = shared === undefined ? undefined : new Holds()
  }

  /** Puts a name or a membership into the table. */
  enter<K extends Claim["kind"]>(
    { kind, metadata, name, process }: Claim & { readonly kind: K },
    { at, lease, token }: Grant,
    clock: Clock.Clock,
    isOwn: boolean
  ): Extract<Hold, { kind: K }> {
    const when = at ?? clock.unsafeCurrentTimeMillis()
    const held = {
      name,
      process,
      token,
      lease,
      revision: 1,
      clock,
      since: monotonicMicros(clock),
      state: "in" as const,
      isOwn,
      slot: undefined
    }
    const hold: Hold =
      kind === "name"
        ? { kind: "name", ...held, registration: Object.freeze({ name, process, metadata, token, registeredAt: when }) }
        : {
            kind: "group",
            ...held,
            seat: this.table.join(Object.freeze({ group: name, process, metadata, token, joinedAt: when }), lease)
          }
    if (hold.kind === "name") this.table.put(hold)
    if (!(process instanceof URL)) this.lifelines.add(process, hold)
    this.begin(hold)
    return hold as Extract<Hold, { kind: K }> // of the kind that was asked for
  }

  /** Tells of a hold that has just been put into the table. */
  private begin(hold: Hold): void {
    this.holds?.add(hold)
    if (hold.kind === "name") {
      this.feed.publish(hold.name, { _tag: "Registered", registration: hold.registration })
      this.waiters.wake(hold.name, hold.registration)
    }
    if (!hold.isOwn) return
    this.telemetry.emit("service_registry.register", { count: 1 }, { name: hold.name, kind: hold.kind })
  }

  /** Replaces the metadata, unless there are newer ones. */
  change(hold: Hold, metadata: Metadata, revision: number): void {
    if (hold.state !== "in" || revision < hold.revision) return
    hold.revision = revision
    if (hold.kind === "group") {
      hold.seat.member = Object.freeze({ ...hold.seat.member, metadata })
      return
    }
    hold.registration = Object.freeze({ ...hold.registration, metadata })
    this.feed.publish(hold.name, { _tag: "Updated", registration: hold.registration })
  }

  /** Ends the hold for good, once. */
  end(hold: Hold, reason: EndReason): void {
    const { state } = hold
    if (state === "over") return
    hold.state = "over"
    this.holds?.remove(hold)
    if (!(hold.process instanceof URL)) this.lifelines.remove(hold.process, hold)
    if (state === "in") this.leave(hold, reason)
  }

  /** Ends the hold for now: as long as its scope is open and its fiber runs, it may be granted anew. */
  lapse(hold: Hold, reason: EndReason): void {
    if (hold.state !== "in") return
    hold.state = "lapsed"
    this.holds?.lapse(hold)
    this.leave(hold, reason)
  }

  /** Ends what a dead fiber held. Its observers run in no fiber of ours, so the release runs in one of its own. */
  bury(hold: Hold): void {
    this.end(hold, "ended")
    if (hold.slot !== undefined) Runtime.runFork(this.runtime)(Scope.close(hold.slot, Exit.void))
  }

  private leave(hold: Hold, reason: EndReason): void {
    const { kind, name, token } = hold
    if (hold.kind === "group") this.table.leave(hold.seat)
    else this.table.remove(hold)
    if (hold.isOwn) this.shared?.letGo({ kind, name, token })
    if (hold.kind === "name") {
      this.feed.publish(name, { _tag: "Unregistered", registration: hold.registration, reason })
    }
    this.mourners.wake(String(token), reason)
    if (!hold.isOwn || !this.telemetry.enabled("service_registry.unregister")) return
    const duration = (monotonicMicros(hold.clock) - hold.since) / 1000
    this.telemetry.emit("service_registry.unregister", { count: 1, duration }, { name, kind, reason })
  }

  /** Puts a lapsed hold back. */
  private revive(hold: Hold, { at, former, lease, token }: Grant): boolean {
    if (hold.state !== "lapsed" || !isAlive(hold.process)) return false
    const holder = hold.kind === "name" ? this.table.holder(hold.name) : undefined
    if (holder?.isOwn === true) return false
    // Its end is yet to be heard of.
    if (holder !== undefined) this.end(holder, former ?? "lost")
    this.holds?.remove(hold)
    const revision = token === hold.token ? hold.revision : 1
    Object.assign(hold, { state: "in", token, lease, revision, since: monotonicMicros(hold.clock) })
    if (hold.kind === "name") {
      const { metadata, name, process, registeredAt } = hold.registration
      hold.registration = Object.freeze({ name, process, metadata, token, registeredAt: at ?? registeredAt })
      this.table.put(hold)
    } else {
      const { group, joinedAt, metadata, process } = hold.seat.member
      hold.seat = this.table.join(Object.freeze({ group, process, metadata, token, joinedAt: at ?? joinedAt }), lease)
    }
    this.begin(hold)
    return true
  }

  /** How a backend changes the table. */
  get replica(): Replica {
    return (this.holds ?? new Holds()).replica({
      holder: (name) => this.table.holder(name),
      tokensIn: (group) => this.table.group(group)?.tokens() ?? [],
      enter: ({ at, kind, name, revision, token }, { address, metadata }) => {
        this.enter({ kind, name, process: address, metadata }, { token, at }, this.clock, false).revision = revision
      },
      end: (hold, reason) => this.end(hold, reason),
      lapse: (hold, reason) => this.lapse(hold, reason),
      change: (hold, metadata, revision) => this.change(hold, metadata, revision),
      revive: (hold, grant) => this.revive(hold, grant),
      forsake: (hold) => {
        this.end(hold, "lost")
        this.telemetry.emit("service_registry.conflict", { count: 1 }, { name: hold.name })
      }
    })
  }
}
