/**
 * What the library costs, beside what one would use in its place. After `npm run build`:
 *
 *     npm run bench                 all rows
 *     npm run bench -- circuit      the rows of which this is a part of the name, or of the name of their file
 *     npm run bench -- growth       how the cost grows with what is stored
 *     npm run bench -- --save       all rows and the growth, written to RESULTS.md
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { BenchError, measure, type Result } from "./measure.js"
import type { Row } from "./Row.js"
import { placesOf, suite, suiteNames } from "./suites.js"
import { resultsTable, withSpread } from "./table.js"

const progress = ({ ours, peers, row }: Result) =>
  Console.error(
    `${row.work}: ${withSpread(ours)} µs; ${peers
      .map(({ bare, contender, inEffect }) => {
        const ratio = inEffect?.ratio ?? bare?.ratio
        return `${ratio === undefined ? "?" : withSpread(ratio)} of ${contender.name}`
      })
      .join(", ")}`
  )

/** The rows of a file, one after the other; what they need is released when they are done. */
const measured = (name: string, wanted: (row: Row) => boolean) =>
  Effect.gen(function* () {
    const { rows } = yield* suite(name)
    const made = yield* Effect.mapError(
      rows,
      (cause) => new BenchError({ message: `rows/${name}.ts could not be set up: ${cause}`, cause })
    )
    return yield* Effect.forEach(made.filter(wanted), (row) => Effect.tap(measure(row), progress))
  }).pipe(Effect.scoped)

const program = Effect.gen(function* () {
  const part = process.argv[2] ?? ""
  const results: Array<Result> = []
  for (const { names, wanted } of placesOf(suiteNames, part)) {
    for (const name of names) results.push(...(yield* measured(name, wanted)))
    if (results.length > 0) break
  }
  if (results.length === 0)
    return yield* new BenchError({ message: `No row and no file of rows has "${part}" in its name.` })
  yield* Console.log(resultsTable(results))
})

NodeRuntime.runMain(program)
