import * as Duration from "effect/Duration"
import { AlreadyRegistered, RegistryError, ServiceNotFound } from "../FoundationError.js"
import { hotError } from "../internal/hotError.js"
import type { Refused } from "../internal/json.js"
import { jsonSafeRecord } from "../internal/jsonSafe.js"
import type { Metadata } from "./Metadata.js"

/** What each failure says: written once, for every backend. */

/** The longest name of a service or group, in UTF-16 units. */
export const maxNameLength = 256

/** The name for a message. Whoever looks up or updates may pass text of any length. */
const quoted = (name: string): string =>
  `"${name.length > maxNameLength ? `${name.slice(0, maxNameLength)}…` : String(name)}"`

/** The error may be sent to a client, so fields of the holder's metadata that are named as secrets are redacted in it. */
export const alreadyRegistered = (name: string, holder: Metadata): AlreadyRegistered =>
  hotError(AlreadyRegistered, "already_registered", {
    message: `${quoted(name)} is registered already: take another name, or join a group to serve together with others`,
    context: {},
    service: name,
    holder: jsonSafeRecord(holder)
  })

export const notFound = (name: string): ServiceNotFound =>
  hotError(ServiceNotFound, "not_found", {
    message: `${quoted(name)} is not registered: register it first, or wait for it with waitFor`,
    context: {},
    service: name
  })

export const nobodyIn = (group: string): ServiceNotFound =>
  hotError(ServiceNotFound, "not_found", {
    message: `No running process in the group ${quoted(group)} was picked: let one join it first`,
    context: {},
    service: group
  })

export const invalidName = (name: unknown, problem: string): RegistryError =>
  refused("invalid_name", `The name of a service ${problem}`, { name })

export const invalidMetadata = (name: string, problem: Refused): RegistryError =>
  refused("invalid_metadata", `Invalid metadata of ${quoted(name)}: ${problem}`, { name, path: problem.path })

/** `problem` must not repeat what was given for an address: it may hold a password. */
export const invalidProcess = (name: string, problem: string): RegistryError =>
  refused("invalid_process", `Cannot register ${quoted(name)}: ${problem}`, { name })

/** The fiber has ended before it could be registered. */
export const endedProcess = (name: string): RegistryError =>
  invalidProcess(name, "its fiber has already ended: register it while it runs")

export const registryFull = (name: string, capacity: number): RegistryError =>
  refused(
    "registry_full",
    `Cannot register ${quoted(name)}: the registry holds its capacity of ${capacity} registrations and memberships`,
    { name, capacity }
  )

/** `problem` says what the store failed with and what to do about it. */
export const storageUnavailable = (problem: string, context: Record<string, unknown> = {}): RegistryError =>
  refused("storage_unavailable", `The registry's database cannot be used: ${problem}`, context)

/** It was granted so late that its lease had run out by then. */
export const leaseOver = (name: string): RegistryError =>
  storageUnavailable(
    "its answer came after the lease had run out: see that neither it nor this process is overloaded",
    {
      name
    }
  )

export const notAdvertised = (name: string): RegistryError =>
  invalidProcess(
    name,
    "a fiber is seen by other processes as the address of this one, which is not stated: set the option `advertise`, or " +
      "register an address"
  )

export const stale = (name: string, staleness: Duration.Duration, bound: Duration.Duration): RegistryError =>
  refused(
    "stale",
    `Whether ${quoted(name)} is registered is not known: what is known of other processes may be ` +
      `${Duration.format(staleness)} old, and maxStaleness is ${Duration.format(bound)}. See that the database can be ` +
      "reached, or try again",
    { name, stalenessMillis: Duration.toMillis(staleness), maxStalenessMillis: Duration.toMillis(bound) }
  )

const refused = (reason: RegistryError["reason"], message: string, context: Record<string, unknown>): RegistryError =>
  new RegistryError({ reason, message, context: jsonSafeRecord(context) })
