import { Duration } from "effect"
import { circuit, type End, limit, type Said } from "./Protocol.js"
import type { Visit } from "./Provider.js"

/** What each worker has said, in its order. */
export type Book = ReadonlyArray<ReadonlyArray<Said>>

/** In the first half of an opening, what was on its way when it began arrives. */
const settled = Duration.toMillis(circuit.resetTimeout) / 2

export interface Verdict {
  /** The most calls that were asked for and let through within one interval, by all workers together. */
  readonly mostAdmitted: number
  /** How long it took from the first that heard of the opening to the last. */
  readonly heardWithin: number
  readonly probes: number
  readonly mostProbesAtOnce: number
  readonly holds: boolean
}

/** What the whole run shows, of what the workers said and what the provider saw, which broke at that time. */
export const judge = (book: Book, visits: ReadonlyArray<Visit>, broke: number): Verdict => {
  const mostAdmitted = mostWithin(Duration.toMillis(limit.interval), book.flatMap(admissions))
  const opened = book.map((said) => firstChange(said, "open", broke))
  const from = Math.max(...opened) + settled
  // The circuit closes when a probe has succeeded, and not before the provider has answered it.
  const [closing] = visits.filter(({ came, well }) => well && came >= from)
  const probes = visits.filter(({ came }) => closing !== undefined && came >= from && came < closing.left)
  const mostProbesAtOnce = mostAtOnce(probes)
  return {
    mostAdmitted,
    heardWithin: Math.max(...opened) - Math.min(...opened),
    probes: probes.length,
    mostProbesAtOnce,
    holds:
      mostAdmitted <= limit.maxRequests &&
      mostAdmitted > limit.maxRequests / 2 &&
      probes.length > 1 &&
      mostProbesAtOnce === 1
  }
}

/** The most spans that lie, from end to end, within one length of time. Each was let through somewhere in its span. */
export const mostWithin = (
  length: number,
  spans: ReadonlyArray<{ readonly asked: number; readonly answered: number }>
) => {
  const byAnswer = [...spans].sort((one, other) => one.answered - other.answered)
  let most = 0
  for (const { asked: from } of spans) {
    const within = byAnswer.filter(({ answered, asked }) => asked >= from && answered < from + length)
    most = Math.max(most, within.length)
  }
  return most
}

export const mostAtOnce = (visits: ReadonlyArray<Visit>): number =>
  Math.max(0, ...visits.map(({ came }) => visits.filter((other) => other.came <= came && came < other.left).length))

const admissions = (said: ReadonlyArray<Said>) => said.filter((message) => message.said === "admitted")

/** When the worker first heard of the change from then on; never, if it did not. */
const firstChange = (said: ReadonlyArray<Said>, to: string, since: number): number =>
  said.flatMap((message) =>
    message.said === "changed" && message.to === to && message.at >= since ? [message.at] : []
  )[0] ?? Number.POSITIVE_INFINITY

const ends: ReadonlyArray<End> = ["limited", "rejected", "failed", "ok"]

/** A line for each worker, and one for all. */
export const table = (book: Book): string => {
  const rows = book.map((said, number) => [
    `worker ${number + 1}`,
    ...ends.map((end) => said.filter((message) => message.said === "ended" && message.end === end).length)
  ])
  const sums = ends.map((_, column) => rows.reduce((sum, row) => sum + Number(row[column + 1]), 0))
  return [["", "over the limit", "circuit open", "went out, failed", "went out, well"], ...rows, ["all", ...sums]]
    .map((row) =>
      row.map((cell, column) => (column === 0 ? String(cell).padEnd(10) : String(cell).padStart(18))).join("")
    )
    .join("\n")
}

export const summary = ({ heardWithin, holds, mostAdmitted, mostProbesAtOnce, probes }: Verdict): string =>
  [
    `limit      ${limit.maxRequests} a second for all; the most in any second were ${mostAdmitted}`,
    `circuit    opened in all workers within ${heardWithin} ms; ${probes} probes went out while it was, ${mostProbesAtOnce} at a time`,
    holds ? "It held." : "It did NOT hold."
  ].join("\n")
