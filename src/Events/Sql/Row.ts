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

/**
 * The events of a page, of which each column is one text: the JSON of a list. A parser reads one long text in a third of the
 * time that it takes to hand over a thousand rows, and to parse the parts of each.
 */
export const eventsOfPage = ([page]: ReadonlyArray<Row>): ReadonlyArray<StoredEvent> => {
  const listOf = (column: number): ReadonlyArray<unknown> => JSON.parse(String(page?.[column] ?? "[]"))
  const positions = listOf(0)
  const ids = listOf(1)
  const types = listOf(2)
  const streams = listOf(3)
  const versions = listOf(4)
  const timestamps = listOf(5)
  const correlationIds = listOf(6)
  const causationIds = listOf(7)
  const data = listOf(8)
  // Nothing is shorter than a list of {}: most pages have no metadata, and need no object for each event.
  const hasMetadata = String(page?.[9]).length > 1 + 3 * positions.length
  const metadata = hasMetadata ? listOf(9) : []
  // As `eventOf` makes it; the columns are of the types that the table states.
  return positions.map((position, index) =>
    Object.freeze({
      position: position as number,
      id: ids[index] as string,
      type: types[index] as string,
      data: frozen(data[index]),
      timestamp: timestamps[index] as number,
      stream: (streams[index] as string | null) ?? undefined,
      version: (versions[index] as number | null) ?? undefined,
      correlationId: correlationIds[index] as string,
      causationId: (causationIds[index] as string | null) ?? undefined,
      metadata: hasMetadata ? (frozen(metadata[index]) as StoredEvent["metadata"]) : noMetadata.value
    })
  )
}

const textOf = (value: unknown): string | undefined => (value === null ? undefined : String(value))

const parse = (text: string): unknown => (text === "null" ? null : frozen(JSON.parse(text)))

/** Freezes what was just parsed, and so is a tree. */
const frozen = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) for (const item of value) frozen(item)
  else for (const field in value) frozen((value as Record<string, unknown>)[field])
  return Object.freeze(value)
}
