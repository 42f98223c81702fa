import { type NewEvent, noMetadata, type StoredEvent } from "../Event.js"

/** The columns of an event, in the order in which rows have them. */
export const columns = [
  "position",
  "id",
  "type",
  "stream",
  "version",
  "timestamp",
  "correlation_id",
  "causation_id",
  "data",
  "metadata"
] as const

/** A row as the drivers give it: whole numbers are numbers, bigints or text, JSON is text. */
export type Row = ReadonlyArray<unknown>

/** What is written of an event, from its id on and without the version, in the order of the columns. */
export const fieldsOf = (event: NewEvent | StoredEvent): ReadonlyArray<unknown> => [
  event.id,
  event.type,
  event.stream ?? null,
  event.timestamp,
  event.correlationId,
  event.causationId ?? null,
  JSON.stringify(event.data),
  event.metadata === noMetadata.value ? "{}" : JSON.stringify(event.metadata)
]

/** The event of a row. */
export const eventOf = (row: Row): StoredEvent =>
  Object.freeze({
    position: Number(row[0]),
    id: String(row[1]),
    type: String(row[2]),
    data: parse(String(row[8])),
    timestamp: Number(row[5]),
    stream: textOf(row[3]),
    version: row[4] === null ? undefined : Number(row[4]),
    correlationId: String(row[6]),
    causationId: textOf(row[7]),
    metadata: row[9] === "{}" ? noMetadata.value : (parse(String(row[9])) as StoredEvent["metadata"]) // stored from a record
  })

const textOf = (value: unknown): string | undefined => (value === null ? undefined : String(value))

const parse = (text: string): unknown => (text === "null" ? null : frozen(JSON.parse(text)))

/** Freezes what was just parsed, and so is a tree. */
export const frozen = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) for (const item of value) frozen(item)
  else for (const field in value) frozen((value as Record<string, unknown>)[field])
  return Object.freeze(value)
}
