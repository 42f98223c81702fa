import * as Fiber from "effect/Fiber"
import { RegistryError } from "../FoundationError.js"
import { Refused } from "../internal/json.js"
import type { Claim } from "./Backend.js"
import * as Failures from "./Failures.js"
import { acceptMetadata, type Metadata } from "./Metadata.js"
import type { Process } from "./Registration.js"

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
  return problem === undefined ? undefined : Failures.invalidName(name, problem)
}

const nameProblem = (name: unknown): string | undefined => {
  if (typeof name !== "string") return `must be a string, and is of type ${typeof name}`
  if (name === "") return "must not be empty"
  const { maxNameLength } = Failures
  if (name.length > maxNameLength) return `must have at most ${maxNameLength} characters, and has ${name.length}`
  // Control characters, and halves of surrogate pairs: no log line, URL or database column takes them.
  if (/[\p{Cc}\p{Cs}]/u.test(name)) return "must not contain control characters"
  return undefined
}

/** A frozen copy of the metadata. */
export const copyMetadata = (name: string, metadata: unknown): Metadata | RegistryError => {
  const copied = acceptMetadata(metadata)
  return copied instanceof Refused ? Failures.invalidMetadata(name, copied) : copied
}

const acceptProcess = (name: string, process: unknown): Process | RegistryError => {
  if (process instanceof URL) return new URL(process)
  if (typeof process === "string") {
    const example = 'write it in full, as in "http://localhost:8080"'
    // "localhost:80" is a URL too, of the scheme "localhost:": with the slashes asked for, nobody means that.
    if (!process.includes("://")) {
      return Failures.invalidProcess(name, `the address does not begin with a scheme such as "http://": ${example}`)
    }
    return URL.canParse(process)
      ? new URL(process)
      : Failures.invalidProcess(name, `the address is not a valid URL: ${example}`)
  }
  if (Fiber.isFiber(process) && Fiber.isRuntimeFiber(process)) return process
  return Failures.invalidProcess(name, "a process is a running fiber (RuntimeFiber) or an address (URL)")
}
