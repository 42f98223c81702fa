/**
 * What the library costs, beside what one would use in its place; the command builds it first:
 *
 *     npm run bench                 all rows
 *     npm run bench -- circuit      the rows of which this is a part of the name, or of the name of their file
 *     npm run bench -- growth       how the cost grows with what is stored; a part of the name of a component may follow
 *     npm run bench -- --save       all rows and the growth, written to RESULTS.md
 */
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { growth } from "./growth.js"
import { machine } from "./machine.js"
import { BenchError, measure, type Result } from "./measure.js"
import type { Row } from "./Row.js"
import { report } from "./report.js"
import { placesOf, suite, suiteNames } from "./suites.js"
import { resultsTable, shortTable, withSpread } from "./table.js"

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

const rowsOf = Effect.fn(function* (part: string) {
  const results: Array<Result> = []
  for (const { names, wanted } of placesOf(suiteNames, part)) {
    for (const name of names) results.push(...(yield* measured(name, wanted)))
    if (results.length > 0) return results
  }
  return yield* new BenchError({ message: `No row and no file of rows has "${part}" in its name.` })
})

const saved = Effect.gen(function* () {
  const results = yield* rowsOf("")
  yield* Console.log(`${resultsTable(results)}\n\nFor the README:\n\n${shortTable(results)}\n`)
  const text = report({ results, growth: yield* growth(""), machine: machine(new Date()) })
  const file = fileURLToPath(new URL("./RESULTS.md", import.meta.url))
  yield* Effect.sync(() => writeFileSync(file, text))
  yield* Console.log(`${file} is written.`)
})

const [part = "", ...rest] = process.argv.slice(2)

const program = Effect.suspend(() => {
  if (part === "--save") return saved
  if (part === "growth") return Effect.flatMap(growth(rest.join(" ")), Console.log)
  return Effect.flatMap(rowsOf(part), (results) => Console.log(resultsTable(results)))
})

NodeRuntime.runMain(program)
