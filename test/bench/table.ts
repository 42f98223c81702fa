import type { Beside, Result } from "./measure.js"
import type { Series } from "./Series.js"

/** A table in Markdown, its columns as wide as their widest cell. */
export const table = (
  head: ReadonlyArray<string>,
  lines: ReadonlyArray<ReadonlyArray<string>>,
  right: (column: number) => boolean = () => false
): string => {
  const widths = head.map((name, column) => Math.max(name.length, 3, ...lines.map((line) => line[column]?.length ?? 0)))
  const cell = (width: number, column: number, text = "") => (right(column) ? text.padStart(width) : text.padEnd(width))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${widths.map((w, column) => cell(w, column, cells[column])).join(" | ")} |`
  const rule = widths.map((width, column) => (right(column) ? `${"-".repeat(width - 1)}:` : "-".repeat(width)))
  return [line(head), `| ${rule.join(" | ")} |`, ...lines.map(line)].join("\n")
}

/** In three digits, and not more than two of them behind the point. */
export const figure = (value: number): string =>
  Number.isNaN(value) ? "?" : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)

export const withSpread = ({ median, spread }: Series): string => `${figure(median)} ±${Math.round(spread * 100)}%`

const mark = (holds: boolean) => (holds ? "✓" : "✗")

/** In Effect, where it is called so: it is what a program would have in place of ours. */
const decisive = (peer: { readonly inEffect?: Beside; readonly bare?: Beside }) => peer.inEffect ?? peer.bare

export const goalOf = (peer: Result["peers"][number]): string => {
  const { atMost } = peer.contender
  const ratio = decisive(peer)?.ratio.median
  return atMost === undefined || ratio === undefined ? "" : `${atMost} ${mark(ratio <= atMost)}`
}

export const promiseOf = ({ ours, row }: Result): string =>
  row.promise === undefined ? "" : `${row.promise} ${mark(ours.median < row.promise)}`

const pair = (beside: Beside | undefined) =>
  beside === undefined ? ["", ""] : [withSpread(beside.time), withSpread(beside.ratio)]

const head = ["work", "ours µs", "promise", "beside", "in Effect µs", "ratio", "at most", "bare µs", "ratio"]

/** A line for each peer; what is ours stands in the first of a row. */
const linesOf = (result: Result): ReadonlyArray<ReadonlyArray<string>> => {
  const own = [result.row.work, withSpread(result.ours), promiseOf(result)]
  const besides = result.peers.map((peer) => [
    peer.contender.name,
    ...pair(peer.inEffect),
    goalOf(peer),
    ...pair(peer.bare)
  ])
  return besides.length === 0 ? [own] : besides.map((cells, at) => [...(at === 0 ? own : ["", "", ""]), ...cells])
}

export const resultsTable = (results: ReadonlyArray<Result>): string =>
  table(head, results.flatMap(linesOf), (column) => column !== 0 && column !== 3)

/** The ratios that have a goal, as the README shows them. */
export const shortTable = (results: ReadonlyArray<Result>): string => {
  const lines = results.flatMap((result) =>
    result.peers
      .filter((peer) => peer.contender.atMost !== undefined)
      .map((peer, at) => [
        at === 0 ? result.row.work : "",
        at === 0 ? figure(result.ours.median) : "",
        peer.contender.name,
        figure(decisive(peer)?.time.median ?? Number.NaN),
        figure(decisive(peer)?.ratio.median ?? Number.NaN)
      ])
  )
  return table(["work", "µs", "beside", "µs", "ratio"], lines)
}
