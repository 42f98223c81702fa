import * as Fiber from "effect/Fiber"
import { RegistryError } from "../FoundationError.js"
import { Refused } from "../internal/json.js"
import { jsonSafeRecord } from "../internal/jsonSafe.js"
import type { Claim } from "./Backend.js"
import { acceptMetadata, type Metadata } from "./Metadata.js"
import type { Process } from "./Registration.js"

/** The longest name of a service or group, in UTF-16 units. */
export const maxNameLength = 256

/** The claim, checked, with copies of all that its maker could change later. */
export const acceptClaim = (
  kind: Claim["kind"],
  name: string,
  process: Process | string,
  metadata: Metadata
): Claim | RegistryError => {
  const refusal = refuseName(name)
  if (refusal !== undefined) return refusal
  const accepted = acceptProcess(name, process)
  if (accepted instanceof RegistryError) return accepted
  const copied = copyMetadata(name, metadata)
  return copied instanceof RegistryError ? copied : { kind, name, process: accepted, metadata: copied }
}

/** What is wrong with the name, if anything. */
export const refuseName = (name: unknown): RegistryError | undefined => {
  const problem = nameProblem(name)
  return problem === undefined ? undefined : refused("invalid_name", `The name of a service ${problem}`, { name })
}

const nameProblem = (name: unknown): string | undefined => {
  if (typeof name !== "string") return `must be a string, and is of type ${typeof name}`
  if (name === "") return "must not be empty"
  if (name.length > maxNameLength) return `must have at most ${maxNameLength} characters, and has ${name.length}`
  // Control characters, and halves of surrogate pairs: no log line, URL or database column takes them.
  if (/[\p{Cc}\p{Cs}]/u.test(name)) return "must not contain control characters"
  return undefined
}

/** A frozen copy of the metadata. */
export const copyMetadata = (name: string, metadata: unknown): Metadata | RegistryError => {
  const copied = acceptMetadata(metadata)
  if (!(copied instanceof Refused)) return copied
  return refused("invalid_metadata", `Invalid metadata of "${name}": ${copied}`, { name, path: copied.path })
}

const acceptProcess = (name: string, process: unknown): Process | RegistryError => {
  if (process instanceof URL) return new URL(process)
  if (typeof process === "string") {
    // "localhost:80" is a URL too, of the scheme "localhost:": with the slashes asked for, nobody means that.
    const url = process.includes("://") && URL.canParse(process) ? new URL(process) : undefined
    return (
      url ?? invalidProcess(name, `"${process}" is not an address: write it in full, as in "http://localhost:8080"`)
    )
  }
  if (Fiber.isFiber(process) && Fiber.isRuntimeFiber(process)) return process
  return invalidProcess(name, "a process is a running fiber (RuntimeFiber) or an address (URL)")
}

/** The fiber has ended before it could be registered. */
export const endedProcess = (name: string): RegistryError =>
  invalidProcess(name, "its fiber has already ended: register it while it runs")

const invalidProcess = (name: string, problem: string) =>
  refused("invalid_process", `Cannot register "${name}": ${problem}`, { name })

export const registryFull = (name: string, capacity: number): RegistryError =>
  refused(
    "registry_full",
    `Cannot register "${name}": the registry holds its capacity of ${capacity} registrations and memberships`,
    { name, capacity }
  )

const refused = (reason: RegistryError["reason"], message: string, context: Record<string, unknown>): RegistryError =>
  new RegistryError({ reason, message, context: jsonSafeRecord(context) })
