import type { Claim, Grant, Lease } from "./Backend.js"
import type { HeldName, Hold } from "./Hold.js"
import type { Metadata } from "./Metadata.js"
import type { EndReason } from "./Registration.js"

export interface Content {
  readonly address: URL
  readonly metadata: Metadata
}

/** A registration or membership as the store of all processes has it. */
export interface Row {
  readonly kind: Claim["kind"]
  readonly name: string
  readonly token: number
  /** What it says, if that can be read: asked for where the row is new or has changed, as most are not. */
  readonly content: () => Content | undefined
  /** Of the metadata: grows with each change of them. */
  readonly revision: number
  /** When it was granted, in milliseconds since the epoch. */
  readonly at: number
  /** Whether this process has claimed it. */
  readonly isOwn: boolean
}

/** A name or a group. */
export type Place = Pick<Claim, "kind" | "name">

/** What a read of the store has answered. */
export interface Seen {
  /** When the read began, on the monotonic clock: what was granted later need not be in it. */
  readonly began: number
  /** Which names and groups were read: all rows of these are in it. */
  readonly of: "all" | ReadonlyArray<Place>
  readonly rows: ReadonlyArray<Row>
}

/** A claim of this process whose lease was lost while its scope stayed open. */
export type Lapsed = Claim & { readonly token: number }

/**
 * The table of this process, as its backend changes it: what the others hold, and what becomes of our own when a lease is
 * lost. Each runs in one step.
 */
export interface Replica {
  /** Who has the name, as far as the table knows. */
  readonly holder: (
    name: string
  ) => { readonly token: number; readonly metadata: Metadata; readonly isOwn: boolean } | undefined
  /** The tokens in the table that should be in what was seen and are not. */
  readonly missing: (seen: Seen) => ReadonlyArray<number>
  /** Brings the table to what was seen. `reasons` tells why the missing ones have ended, where that is known. */
  readonly apply: (seen: Seen, reasons: ReadonlyMap<number, EndReason>) => void
  /** Takes out all that was granted under the lease. */
  readonly lapse: (lease: Lease, reason: EndReason) => void
  /** Whose lease was lost, and who would have it back. */
  readonly lapsed: () => ReadonlyArray<Lapsed>
  readonly isLapsed: (token: number) => boolean
  /** Puts a lapsed one back under a new grant. False if it is over by now: then the grant is to be released. */
  readonly revive: (token: number, grant: Grant) => boolean
  /** Another has the name of the lapsed one by now: it stays lost. */
  readonly forsake: (token: number) => void
}

/** How the table changes. */
export interface Doors {
  readonly holder: (name: string) => HeldName | undefined
  /** The tokens in the group. */
  readonly tokensIn: (group: string) => ReadonlyArray<number>
  readonly enter: (row: Row, content: Content) => void
  readonly end: (hold: Hold, reason: EndReason) => void
  readonly lapse: (hold: Hold, reason: EndReason) => void
  readonly change: (hold: Hold, metadata: Metadata, revision: number) => void
  readonly revive: (hold: Hold, grant: Grant) => boolean
  readonly forsake: (hold: Hold) => void
}

/** All that is in the table, and all that has lapsed, by token. */
export class Holds {
  private readonly present = new Map<number, Hold>()
  private readonly lapsed = new Map<number, Hold>()

  add(hold: Hold): void {
    this.present.set(hold.token, hold)
  }
  lapse(hold: Hold): void {
    this.present.delete(hold.token)
    this.lapsed.set(hold.token, hold)
  }
  remove(hold: Hold): void {
    this.present.delete(hold.token)
    this.lapsed.delete(hold.token)
  }

  replica(doors: Doors): Replica {
    const { lapsed, present } = this
    const at = ({ kind, name }: Place): ReadonlyArray<Hold> => {
      const holder = kind === "name" ? doors.holder(name) : undefined
      const holds = kind === "name" ? [holder] : doors.tokensIn(name).map((token) => present.get(token))
      return holds.filter((hold) => hold !== undefined)
    }
    const missing = (seen: Seen): ReadonlyArray<Hold> => {
      const tokens = new Set(seen.rows.map((row) => row.token))
      const holds = seen.of === "all" ? [...present.values()] : seen.of.flatMap(at)
      return holds.filter((hold) => hold.since < seen.began && !tokens.has(hold.token))
    }

    return {
      holder: (name) => {
        const holder = doors.holder(name)
        return holder && { token: holder.token, metadata: holder.registration.metadata, isOwn: holder.isOwn }
      },
      missing: (seen) => missing(seen).map((hold) => hold.token),
      apply: (seen, reasons) => {
        for (const hold of missing(seen)) {
          // Our own, nobody of this process has ended: it is had back where it is still free.
          if (hold.isOwn) doors.lapse(hold, "lost")
          else doors.end(hold, reasons.get(hold.token) ?? "lost")
        }
        for (const row of seen.rows) {
          const known = present.get(row.token)
          if (known !== undefined) {
            const changed = row.revision > known.revision ? row.content() : undefined
            if (changed !== undefined) doors.change(known, changed.metadata, row.revision)
            continue
          }
          const content = row.isOwn ? undefined : row.content()
          if (content === undefined) continue
          // Whoever has the greater token has the name: the read began before that was granted.
          const holder = row.kind === "name" ? doors.holder(row.name) : undefined
          if (holder !== undefined && holder.token > row.token) continue
          if (holder?.isOwn === true) doors.lapse(holder, "lost")
          else if (holder !== undefined) doors.end(holder, reasons.get(holder.token) ?? "lost")
          doors.enter(row, content)
        }
      },
      lapse: (lease, reason) => {
        for (const hold of [...present.values()]) if (hold.lease === lease) doors.lapse(hold, reason)
      },
      isLapsed: (token) => lapsed.has(token),
      lapsed: () =>
        [...lapsed.values()].map((hold) => ({
          kind: hold.kind,
          name: hold.name,
          token: hold.token,
          process: hold.process,
          metadata: hold.kind === "name" ? hold.registration.metadata : hold.seat.member.metadata
        })),
      revive: (token, grant) => {
        const hold = lapsed.get(token)
        return hold !== undefined && doors.revive(hold, grant)
      },
      forsake: (token) => {
        const hold = lapsed.get(token)
        if (hold !== undefined) doors.forsake(hold)
      }
    }
  }
}
