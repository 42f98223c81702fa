import type * as Fiber from "effect/Fiber"
import type { Lease } from "./Backend.js"
import type { Metadata } from "./Metadata.js"

/** What is registered: a running fiber, or the address of something that runs elsewhere. */
export type Process = Fiber.RuntimeFiber<unknown, unknown> | URL

/** A process under its name, as it was when it was read. Never changed in place: an update makes another. */
export interface Registration {
  readonly name: string
  readonly process: Process
  readonly metadata: Metadata
  /** Tells this registration from every other of the registry; a later one has a greater number. */
  readonly token: number
  /** When it was registered: wall clock, in milliseconds since the epoch. */
  readonly registeredAt: number
}

/** One membership of a process in a group. */
export interface Member {
  readonly group: string
  readonly process: Process
  readonly metadata: Metadata
  /** Tells this membership from every other of the registry; a later one has a greater number. */
  readonly token: number
  /** When it joined: wall clock, in milliseconds since the epoch. */
  readonly joinedAt: number
}

/**
 * Why a registration ended, told once, by whichever came first.
 *
 * - `"closed"`: its scope closed; or the process that held it gave it up, if that is another.
 * - `"ended"`: its fiber ended.
 * - `"expired"`: its process did not renew the lease in time, because it or its way to the database was down.
 * - `"lost"`: it is gone, and nobody here has ended it: somebody removed it from the store; or it is of another process, and
 *   ended too long ago for the reason to be known.
 *
 * After `"expired"` and `"lost"` a registration of this process is made again as soon as that is possible, if its scope is
 * still open and the name still free: under the same token, if no other had it meanwhile, else under a greater one.
 */
export type EndReason = "closed" | "ended" | "expired" | "lost"

/** What a watcher is told. `Snapshot` is the whole state: it replaces all that was told before. */
export type Change =
  | { readonly _tag: "Snapshot"; readonly registrations: ReadonlyArray<Registration> }
  | { readonly _tag: "Registered"; readonly registration: Registration }
  | { readonly _tag: "Updated"; readonly registration: Registration }
  | { readonly _tag: "Unregistered"; readonly registration: Registration; readonly reason: EndReason }

/** Which registrations are meant: the one of this name, or all whose name starts with the prefix. */
export type Selection = { readonly name?: string } | { readonly prefix?: string }

/** Whether the selection takes the name. */
export const selects = (selection: Selection, name: string): boolean => {
  if ("name" in selection && selection.name !== undefined) return name === selection.name
  return !("prefix" in selection) || selection.prefix === undefined || name.startsWith(selection.prefix)
}

/** Whether the process can still be used. An address always can, as far as the registry knows. */
export const isAlive = (process: Process): boolean => process instanceof URL || process.unsafePoll() === null

/** Whether a registration counts now: its process can still be used, and its lease has not run out. */
export const counts = (process: Process, lease: Lease | undefined): boolean =>
  isAlive(process) && (lease === undefined || lease.holds())
