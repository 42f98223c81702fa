import * as Redacted from "effect/Redacted"
import { isSecret } from "./secret.js"

/** What `jsonSafe` keeps of a value: deeper, longer or wider parts are cut, and the cut is visible. */
export const bounds = { depth: 6, entries: 64, text: 1024 } as const

/**
 * A copy of the value that `JSON.stringify` takes, bounded in size, in which `Redacted` values and fields that
 * are secret by their name read `<redacted>`. It never throws: getters that do are reported in place.
 */
export const jsonSafe = (value: unknown): unknown => copy(value, 0, new Set())

/** `jsonSafe` of a record: what the `context` of an error holds. */
export const jsonSafeRecord = (record: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  copyRecord(record, 0, new Set())

const copy = (value: unknown, depth: number, seen: Set<object>): unknown => {
  switch (typeof value) {
    case "string":
      return value.length > bounds.text ? `${value.slice(0, bounds.text)}…` : value
    case "number":
      return Number.isFinite(value) ? value + 0 : String(value) // JSON has no -0, which + 0 makes 0
    case "boolean":
      return value
    case "bigint":
      return `${value}n`
    case "undefined":
      return null
    case "symbol":
      return value.toString()
    case "function":
      return "<function>"
    case "object":
      return value === null ? null : copyObject(value, depth, seen)
  }
}

const copyObject = (value: object, depth: number, seen: Set<object>): unknown => {
  if (Redacted.isRedacted(value)) return "<redacted>"
  if (seen.has(value)) return "<circular>"
  if (depth >= bounds.depth) return "<deep>"
  try {
    if (value instanceof Error) return `${value.name}: ${value.message}`
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString()
    if (value instanceof URL) return withoutCredentials(value)
    seen.add(value)
    const out = Array.isArray(value)
      ? value.slice(0, bounds.entries).map((item) => copy(item, depth + 1, seen))
      : copyRecord(value, depth, seen)
    seen.delete(value)
    return out
  } catch {
    return "<unreadable>"
  }
}

const copyRecord = (record: object, depth: number, seen: Set<object>): Record<string, unknown> => {
  const out: Record<string, unknown> = {}
  for (const key of Object.keys(record).slice(0, bounds.entries)) {
    const value: unknown = Reflect.get(record, key)
    out[key] = isSecret([key], value) ? "<redacted>" : copy(value, depth + 1, seen)
  }
  return out
}

const withoutCredentials = (url: URL): string => {
  if (url.username === "" && url.password === "") return url.href
  const clean = new URL(url)
  clean.username = ""
  clean.password = ""
  return clean.href
}
