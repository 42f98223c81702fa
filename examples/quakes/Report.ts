import type { Finding } from "./Check.js"
import { count, millis, type Style, seconds } from "./Format.js"

/** How calls of one kind have gone. */
export interface Calls {
  readonly succeeded: number
  readonly failed: number
  readonly timedOut: number
  readonly rejected: number
  readonly retried: number
}

/** How long calls of one kind took, in milliseconds. */
export interface Latency {
  readonly count: number
  readonly p50: number
  readonly p95: number
  readonly max: number
}

/** The numbers of a run. */
export interface Numbers {
  /** How many events of each type the store has. */
  readonly events: ReadonlyArray<readonly [type: string, count: number]>
  readonly calls: ReadonlyArray<readonly [name: string, calls: Calls]>
  readonly latencies: ReadonlyArray<readonly [name: string, latency: Latency]>
}

/** The tables, for a terminal of 80 columns. */
export const tables = ({ events, calls, latencies }: Numbers, style: Style): ReadonlyArray<string> => [
  ...table(
    style,
    ["Events", "stored"],
    events.map(([type, stored]) => [type, count(stored)])
  ),
  "",
  ...table(
    style,
    ["Calls", "succeeded", "failed", "timed out", "rejected", "retried"],
    calls.map(([name, calls]) => [
      name,
      ...[calls.succeeded, calls.failed, calls.timedOut, calls.rejected, calls.retried].map(count)
    ])
  ),
  "",
  ...table(
    style,
    ["Latencies", "count", "p50", "p95", "max"],
    latencies.map(([name, { count: calls, max, p50, p95 }]) => [
      name,
      count(calls),
      ...[p50, p95, max].map((latency) => (calls === 0 ? "-" : millis(latency)))
    ])
  )
]

/** The findings, a line each, and whether the run is what it should be. */
export const verdict = (findings: ReadonlyArray<Finding>, elapsed: number, style: Style): ReadonlyArray<string> => {
  const wrong = findings.filter(({ holds }) => !holds).length
  return [
    ...findings.map(({ holds, text }) => (holds ? `${style.green("✓")} ${text}` : style.red(`✗ ${text}`))),
    "",
    wrong === 0
      ? style.bold(style.green(`All of it holds, after ${seconds(elapsed)}`))
      : style.bold(style.red(`✗ ${wrong} of ${findings.length} checks failed, after ${seconds(elapsed)}`))
  ]
}

/** A bar of `width` columns. */
export const bar = (done: number, total: number, width: number, style: Style): string => {
  const full = Math.floor((Math.min(done, total) / total) * width)
  return style.cyan("█".repeat(full)) + style.dim("░".repeat(width - full))
}

const firstColumn = 26
const otherColumns = 10

const table = (style: Style, head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => [
  style.bold(row(head)),
  ...rows.map(row)
]

const row = ([first = "", ...others]: ReadonlyArray<string>): string =>
  `${first.padEnd(firstColumn)}${others.map((cell) => cell.padStart(otherColumns)).join("")}`
