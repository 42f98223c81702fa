import { jsonSafe } from "../internal/jsonSafe.js"
import { isSecret } from "../internal/secret.js"

export type Attribute = string | number | boolean

/** How many attributes are kept: OpenTelemetry's own bound ("Span limits"). */
const maxAttributes = 128

/** How much of a text is kept, in UTF-16 units. */
const maxText = 4096

/**
 * Metadata as a tracer takes it: texts, numbers and booleans; all else becomes JSON. Bounded, with what is secret by its
 * name or `Redacted` hidden, and without what cannot be read. Never throws.
 */
export const attributesOf = (metadata: Readonly<Record<string, unknown>>): Record<string, Attribute> => {
  const attributes: Record<string, Attribute> = {}
  try {
    for (const key of Object.keys(metadata).slice(0, maxAttributes)) {
      const attribute = attributeOf(key, () => metadata[key])
      if (attribute !== undefined) attributes[key] = attribute
    }
  } catch {
    // A proxy that does not even tell its keys.
  }
  return attributes
}

/** One of {@link attributesOf}. */
export const attributeOf = (key: string, read: () => unknown): Attribute | undefined => {
  try {
    const value = read()
    if (value === undefined || value === null) return undefined
    if (typeof value === "number" || typeof value === "boolean") return value
    if (isSecret([key], value)) return "<redacted>"
    const plain = typeof value === "string" ? value : jsonSafe(value)
    return cut(typeof plain === "string" ? plain : JSON.stringify(plain))
  } catch {
    return undefined
  }
}

export const cut = (text: string): string => (text.length > maxText ? `${text.slice(0, maxText)}…` : text)
