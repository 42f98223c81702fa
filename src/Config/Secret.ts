import * as Redacted from "effect/Redacted"
import { isSecret, looksSecret } from "../internal/secret.js"

/**
 * Which values are secret: those that are so by their names or as an address with a password, and those declared so, by a
 * key whose schema makes a `Redacted` or by their source.
 */
export const isSecretAt = (segments: ReadonlyArray<string>, value: unknown, declared: ReadonlySet<string>): boolean => {
  if (value === null) return false
  if (isSecret(segments, value) || (value instanceof URL && value.password !== "")) return true
  if (declared.size === 0) return false
  let path = ""
  return segments.some((segment) => {
    path = path === "" ? segment : `${path}.${segment}`
    return declared.has(path)
  })
}

/** The list, with what is secret by its name in the objects in it redacted. */
export const redactedWithin = <A>(value: A): A | ReadonlyArray<unknown> | Readonly<Record<string, unknown>> => {
  if (Array.isArray(value)) {
    const items = value.map(redactedWithin)
    return items.every((item, index) => item === value[index]) ? value : Object.freeze(items)
  }
  if (!isSection(value)) return value
  const out: Record<string, unknown> = Object.create(null)
  let found = false
  for (const [name, item] of Object.entries(value)) {
    const secret = !Redacted.isRedacted(item) && isSecret([name], item)
    out[name] = secret ? Redacted.make(item) : redactedWithin(item)
    found ||= out[name] !== item
  }
  return found ? Object.freeze(out) : value
}

/** Whether an error about the value may not quote it. */
export const unquotable = (value: unknown, seen: Set<unknown> = new Set()): boolean => {
  if (typeof value === "string") return looksSecret(value)
  if (typeof value !== "object" || value === null || seen.has(value)) return false
  if (Redacted.isRedacted(value)) return true
  seen.add(value)
  try {
    return Object.entries(value).some(([name, item]) => isSecret([name], item) || unquotable(item, seen))
  } catch {
    return true // a getter throws
  }
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
