import * as Redacted from "effect/Redacted"
import { secretName } from "../internal/jsonSafe.js"

/** A section of this name holds secrets only. */
const secretSection = /^(secrets?|credentials?|passwords?|tokens?|(api|private|access)[-_]?keys?)$/i

/** An address with a password in it, as connection strings have. */
const withPassword = /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]*:[^/?#\s]*@/i

/**
 * Which values are secret: those whose last name, or a section around them, is the name of a secret; those declared so
 * (by a key whose schema makes a `Redacted`, or by their source); and addresses with a password in them. The names of
 * sections are held to a stricter rule: a policy for the "token-service" is no secret.
 */
export const isSecret = (segments: ReadonlyArray<string>, value: unknown, declared: ReadonlySet<string>): boolean => {
  if (value === null || typeof value === "boolean") return false
  const last = segments.length - 1
  if (secretName.test(segments[last] ?? "")) return true
  if (typeof value === "string" && withPassword.test(value)) return true
  if (segments.some((segment, index) => index < last && secretSection.test(segment))) return true
  if (declared.size === 0) return false
  let path = ""
  return segments.some((segment) => {
    path = path === "" ? segment : `${path}.${segment}`
    return declared.has(path)
  })
}

/** The value with nothing redacted in it: for decoding, never for showing. */
export const reveal = (value: unknown): unknown => {
  if (Redacted.isRedacted(value)) return Redacted.value(value)
  if (Array.isArray(value)) return value.some(holdsSecret) ? value.map(reveal) : value
  if (!holdsSecret(value)) return value
  const out: Record<string, unknown> = Object.create(null)
  for (const [key, item] of Object.entries(value as object)) out[key] = reveal(item)
  return out
}

/** Whether a secret is in the value or anywhere beneath it. */
export const holdsSecret = (value: unknown): boolean => {
  if (Redacted.isRedacted(value)) return true
  if (Array.isArray(value)) return value.some(holdsSecret)
  return isSection(value) && Object.values(value).some(holdsSecret)
}

/** Whether the value is a section of a configuration: those have no prototype. */
export const isSection = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null
