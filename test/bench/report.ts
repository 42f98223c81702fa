import type { Result } from "./measure.js"
import { figure, resultsTable } from "./table.js"

/** What RESULTS.md says. */
export const report = (of: {
  readonly machine: string
  readonly results: ReadonlyArray<Result>
  readonly growth: string
}): string => {
  const floors = of.results.flatMap(({ ours, peers, row }) => [
    ...(row.ours.floor === undefined ? [] : [`- ${row.work} (${figure(ours.median)} µs): ${row.ours.floor}`]),
    ...peers.flatMap(({ contender }) =>
      contender.floor === undefined ? [] : [`- ${row.work}, beside ${contender.name}: ${contender.floor}`]
    )
  ])
  const abouts = of.results.map(({ row }) => `- **${row.work}**${countOf(row.fibers)}: ${row.about}`)
  return `# Results

Written by \`npm run bench -- --save\`.

${of.machine}

## Beside peers

Microseconds for one run. All of a row take turns in one process, each in a running fiber and bare, several rounds of 80 ms
each, of which the medians count. Given are the median of the rounds and, behind ±, half of the distance between their
quartiles. A ratio is our time to theirs in the same round. The promise, and the ratio to what is called in Effect where
there is one, are marked by whether they hold.

${resultsTable(of.results)}

## What a run does

${abouts.join("\n")}

## What was not reached, or hardly, and the least there is

${floors.length === 0 ? "Nothing." : floors.join("\n")}

## How the cost grows

Microseconds for a call at so many entries, of which another one is asked for each time; how much more at the most than at
the fewest; and bytes on the heap for an entry, or, on SQLite, in the file. What the order does not say is the distance to
memory: a million entries are in no cache of the processor.

${of.growth}
`
}

const countOf = (fibers = 1) => (fibers === 1 ? "" : ` (${fibers} at a time)`)
