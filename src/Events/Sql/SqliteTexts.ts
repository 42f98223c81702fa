import { columns } from "./Row.js"
import type { Tables } from "./Tables.js"

/** How many rows the texts that store take: of more, the greatest again. Few, so that each is prepared once. */
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

const values = (rows: number, width: number): string => {
  const row = `(${Array.from({ length: width }, () => "?").join(",")})`
  return Array.from({ length: rows }, () => row).join(",")
}

/** The texts that write, by how many rows they take. */
export const sqliteTexts = ({ events, streams, terms }: Tables) => {
  const known = new Map<string, string>()
  const cached = (name: string, rows: number, text: () => string): string => {
    const key = `${name}${rows}`
    const found = known.get(key) ?? text()
    known.set(key, found)
    return found
  }
  return {
    insertEvents: (rows: number) =>
      cached("e", rows, () => `INSERT INTO ${events} (${columns.join(",")}) VALUES ${values(rows, columns.length)}`),
    insertTerms: (rows: number) =>
      // Two fields of one event may have one term by chance.
      cached("t", rows, () => `INSERT OR IGNORE INTO ${terms} (term,position) VALUES ${values(rows, 2)}`),
    moveStreams: (rows: number) =>
      cached(
        "s",
        rows,
        () =>
          `INSERT INTO ${streams} (name,version) VALUES ${values(rows, 2)} ON CONFLICT (name) DO UPDATE SET version = excluded.version`
      ),
    deleteTerms: (rows: number) =>
      cached("d", rows, () => `DELETE FROM ${terms} WHERE (term,position) IN (VALUES ${values(rows, 2)})`),
    deleteEvents: `DELETE FROM ${events} WHERE position IN (SELECT value FROM json_each(?))`,
    head: `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = '${events}'), 0)`,
    /** The last position, as a row without an id, and the events of the ids. */
    known: `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = '${events}'), 0), ${columns
      .slice(1)
      .map(() => "NULL")
      .join(
        ","
      )} UNION ALL SELECT ${columns.map((column) => `e.${column}`).join(",")} FROM json_each(?) w CROSS JOIN ${events} e INDEXED BY ${events}_id ON e.id = w.value`,
    versions: `SELECT s.name, s.version FROM json_each(?) w CROSS JOIN ${streams} s ON s.name = w.value`
  }
}

export type SqliteTexts = ReturnType<typeof sqliteTexts>
