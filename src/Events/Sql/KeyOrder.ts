import type { Json } from "../../internal/json.js"

/**
 * Whether the fields of every object in the value stand in the order that jsonb gives them: the shorter name first, in
 * bytes, and of the same length in the order of their bytes.
 */
export const isInOrderOfJsonb = (value: Json): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (isArray(value)) return value.every(isInOrderOfJsonb)
  let before: string | undefined
  for (const field in value) {
    if (before !== undefined && !precedes(before, field)) return false
    before = field
    if (!isInOrderOfJsonb(value[field] ?? null)) return false
  }
  return true
}

const precedes = (one: string, other: string): boolean => {
  if (isAscii(one) && isAscii(other)) return one.length === other.length ? one < other : one.length < other.length
  const [bytes, otherBytes] = [Buffer.from(one), Buffer.from(other)]
  return bytes.length === otherBytes.length ? bytes.compare(otherBytes) < 0 : bytes.length < otherBytes.length
}

const isAscii = (text: string): boolean => {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false
  return true
}

const isArray = (value: Json): value is ReadonlyArray<Json> => Array.isArray(value)
