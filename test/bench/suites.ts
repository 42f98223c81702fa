import { readdirSync } from "node:fs"
import { Effect, type Scope } from "effect"
import { BenchError } from "./measure.js"
import type { Row } from "./Row.js"

/** The rows of one file, with what they need made in the scope. */
export interface Suite {
  readonly name: string
  readonly rows: Effect.Effect<ReadonlyArray<Row>, unknown, Scope.Scope>
}

const folder = new URL("./rows/", import.meta.url)

export const suiteNames: ReadonlyArray<string> = readdirSync(folder)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length))
  .toSorted()

export const suite = (name: string): Effect.Effect<Suite, BenchError> =>
  Effect.tryPromise({
    try: async () => ({ name, rows: (await import(new URL(`${name}.ts`, folder).href)).rows as Suite["rows"] }),
    catch: (cause) => new BenchError({ message: `rows/${name}.ts could not be loaded: ${cause}`, cause })
  })

/** Those that start a server or fill a database take seconds before there is a row. */
const isCostly = (name: string) => /postgres|redis|sqlite/i.test(name)

const holds = (text: string, part: string) => text.toLowerCase().includes(part.toLowerCase())

/**
 * Where the rows of which a part of the name is wanted may be, in the order to look: the files with that part in their name,
 * from which all rows are wanted, or else first the files that cost little, then the others.
 */
export const placesOf = (
  names: ReadonlyArray<string>,
  part: string
): ReadonlyArray<{ readonly names: ReadonlyArray<string>; readonly wanted: (row: Row) => boolean }> => {
  const named = names.filter((name) => holds(name, part))
  if (named.length > 0) return [{ names: named, wanted: () => true }]
  const wanted = (row: Row) => holds(row.work, part)
  return [
    { names: names.filter((name) => !isCostly(name)), wanted },
    { names: names.filter(isCostly), wanted }
  ]
}
