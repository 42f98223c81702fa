import { createHash } from "node:crypto"
import type { Json } from "../../internal/json.js"
import type { Pattern, Query } from "../Criteria.js"

/** How much text a store keeps of criteria. */
const maxText = 1000

/**
 * Criteria in one text for all that mean the same, whatever their order. Of long ones it has the beginning, and a digest
 * of the whole.
 */
export const criteriaText = (query: Query): string => {
  const stated = {
    id: sorted(query.ids),
    type: sorted(query.types),
    stream: query.stream,
    correlationId: query.correlationId,
    causationId: query.causationId,
    after: query.after === Number.NEGATIVE_INFINITY ? undefined : query.after,
    metadata: fields(query.metadata),
    data: fields(query.data)
  }
  const text = JSON.stringify(stated)
  if (text.length <= maxText) return text
  const digest = createHash("sha256").update(text).digest("hex")
  return `${text.slice(0, maxText).replace(/[\uD800-\uDBFF]$/, "")}… sha256:${digest}`
}

const sorted = (names: ReadonlySet<string> | undefined): string | ReadonlyArray<string> | undefined => {
  if (names === undefined) return undefined
  const list = [...names].sort()
  return list.length === 1 ? list[0] : list
}

const fields = (pattern: Pattern | undefined): unknown =>
  pattern === undefined ? undefined : ordered(Object.fromEntries(pattern))

/** The same JSON with the fields of its objects in order of their names. */
const ordered = (json: Json): unknown => {
  if (typeof json !== "object" || json === null) return json
  if (Array.isArray(json)) return json.map(ordered)
  const entries = Object.entries(json).sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(entries.map(([field, value]) => [field, ordered(value)]))
}
