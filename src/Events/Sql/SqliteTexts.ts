import { columns } from "./Row.js"
import type { Tables } from "./Tables.js"

/** How many events the texts that store take: of more, the greatest again. Few, so that each is prepared once. */
const sizes = [256, 64, 16, 4, 1]

/** The rows in parts of those sizes. */
export const inParts = <A>(rows: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  const parts: Array<ReadonlyArray<A>> = []
  let from = 0
  for (const size of sizes) {
    for (; rows.length - from >= size; from += size) parts.push(rows.slice(from, from + size))
  }
  return parts
}

const inserted = "id, type, stream, timestamp, correlation_id, causation_id, data, metadata, terms"
const width = inserted.split(",").length

const marks = (count: number): string => Array.from({ length: count }, () => "?").join(",")

export const sqliteTexts = ({ events, streams }: Tables) => {
  const row = `(${marks(2 + width)})`
  const inserts = (conflict: string) =>
    new Map(
      sizes.map((size) => [
        size,
        `INSERT OR ${conflict} INTO ${events} (position, version, ${inserted}) VALUES ${Array.from({ length: size }, () => row).join(",")}`
      ])
    )
  const parts = inserts("ABORT")
  const wholes = inserts("FAIL")
  const last = `SELECT seq FROM sqlite_sequence WHERE name = '${events}'`
  return {
    /** Takes a position and a version before each event. */
    insert: (rows: number): string => parts.get(rows) ?? "",
    /**
     * The same, where the whole transaction is rolled back when it fails: what it has written stays till then. So SQLite keeps
     * no copy of each page as it was before the statement, which took a third of the time of a group.
     */
    insertOrFail: (rows: number): string => wholes.get(rows) ?? "",
    insertOne: `INSERT INTO ${events} (${inserted}) VALUES (${marks(width)}) ON CONFLICT (id) DO NOTHING`,
    /** Takes the stream before the event. */
    insertOneInStream: `INSERT INTO ${events} (version, ${inserted}) VALUES (1 + coalesce((SELECT version FROM ${streams} WHERE name = ?), 0), ${marks(width)}) ON CONFLICT (id) DO NOTHING RETURNING position, version`,
    remove: `DELETE FROM ${events} WHERE position IN (SELECT value FROM json_each(?))`,
    head: `SELECT coalesce((${last}), 0) AS last`,
    /** The last position, as a row without an id, and the events of the ids. */
    known: `SELECT coalesce((${last}), 0), ${columns
      .slice(1)
      .map(() => "NULL")
      .join(
        ","
      )} UNION ALL SELECT ${columns.map((column) => `e.${column}`).join(",")} FROM json_each(?) w CROSS JOIN ${events} e INDEXED BY ${events}_id ON e.id = w.value`,
    versions: `SELECT s.name, s.version FROM json_each(?) w CROSS JOIN ${streams} s ON s.name = w.value`
  }
}
