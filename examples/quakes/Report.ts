import type { Finding } from "./Check.js"
import { count, millis, type Style, seconds } from "./Format.js"
import type { Calls } from "./Stats.js"

/** The numbers of a run. */
export interface Numbers {
  /** How many events of each type the store has. */
  readonly events: ReadonlyArray<readonly [type: string, count: number]>
  readonly calls: ReadonlyArray<readonly [name: string, calls: Calls]>
  /** Milliseconds, of each call. */
  readonly latencies: ReadonlyArray<readonly [name: string, samples: ReadonlyArray<number>]>
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
    latencies.map(([name, samples]) => [
      name,
      count(samples.length),
      ...[0.5, 0.95, 1].map((q) => (samples.length === 0 ? "-" : millis(quantile(samples, q))))
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

/** The smallest sample that is at least as large as that part of all: 0.5 is the median, 1 the largest. */
export const quantile = (samples: ReadonlyArray<number>, part: number): number => {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN
}

const firstColumn = 26
const otherColumns = 10

const table = (style: Style, head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => [
  style.bold(row(head)),
  ...rows.map(row)
]

const row = ([first = "", ...others]: ReadonlyArray<string>): string =>
  `${first.padEnd(firstColumn)}${others.map((cell) => cell.padStart(otherColumns)).join("")}`
