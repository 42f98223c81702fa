import { Array, DateTime, Equal, Option, Order } from "effect"
import { count } from "./Format.js"
import type { Quake } from "./Quake.js"

/** What a run has left behind. */
export interface Outcome {
  /** The quakes of the event store. */
  readonly stored: ReadonlyArray<Quake>
  /** How many were handed to the event store: more than there are, where a page was fetched again. */
  readonly offered: number
  /** The alerts that the webhook received, each with the threshold that asked for it. */
  readonly alerts: ReadonlyArray<{ readonly quake: string; readonly threshold: number }>
  /** How often the feed's circuit opened, and the state that it is in at the end. */
  readonly circuit: { readonly opened: number; readonly state: string }
}

/** From the quake of this index on, in the order of the data set, this magnitude asks for an alert. */
export interface Threshold {
  readonly from: number
  readonly magnitude: number
}

export interface Finding {
  readonly holds: boolean
  readonly text: string
}

/** Compares what a run has left behind with what the data set and the thresholds imply. */
export const check = (
  week: ReadonlyArray<Quake>,
  thresholds: ReadonlyArray<Threshold>,
  outcome: Outcome
): ReadonlyArray<Finding> => [
  storedOnce(week, outcome.stored),
  storedOnceOfTwo(outcome),
  strongest(week, outcome.stored),
  alertsImplied(week, thresholds, outcome.alerts),
  outageMet(outcome.circuit)
]

const storedOnce = (week: ReadonlyArray<Quake>, stored: ReadonlyArray<Quake>): Finding => {
  const original = new Map(week.map((quake) => [quake.id, quake]))
  const changed = stored.filter((quake) => original.has(quake.id) && !Equal.equals(original.get(quake.id), quake))
  const trouble = [
    ...differences(
      week.map(({ id }) => id),
      stored.map(({ id }) => id)
    ),
    ...some(
      "changed",
      changed.map(({ id }) => id)
    )
  ]
  return trouble.length === 0
    ? { holds: true, text: `All ${count(week.length)} quakes are stored, each exactly once` }
    : { holds: false, text: `Not every quake is stored exactly once: ${trouble.join("; ")}` }
}

const storedOnceOfTwo = ({ offered, stored }: Outcome): Finding => {
  const again = offered - stored.length
  return again > 0
    ? { holds: true, text: `${count(again)} came twice, with the page that broke off, and were stored once` }
    : { holds: false, text: "None came twice: the feed did not break off in the middle of a page" }
}

const strongest = (week: ReadonlyArray<Quake>, stored: ReadonlyArray<Quake>): Finding => {
  const [expected, found] = [strongestOf(week), strongestOf(stored)]
  return Equal.equals(found, expected)
    ? { holds: true, text: `The strongest: ${describe(expected)}` }
    : { holds: false, text: `The strongest is ${describe(expected)}, and in the store ${describe(found)}` }
}

const alertsImplied = (
  week: ReadonlyArray<Quake>,
  thresholds: ReadonlyArray<Threshold>,
  alerts: Outcome["alerts"]
): Finding => {
  const implied = thresholds.map(({ from, magnitude }, index) =>
    week
      .slice(from, thresholds[index + 1]?.from)
      .filter((quake) => quake.isStrong(magnitude))
      .map(({ id }) => `${id} at M ${magnitude.toFixed(1)}`)
  )
  const trouble = differences(
    implied.flat(),
    alerts.map(({ quake, threshold }) => `${quake} at M ${threshold.toFixed(1)}`)
  )
  if (trouble.length > 0) {
    return { holds: false, text: `The alerts are not those that the thresholds imply: ${trouble.join("; ")}` }
  }
  const parts = thresholds.map(({ magnitude }, index) => `${implied[index]?.length} at M >= ${magnitude.toFixed(1)}`)
  return { holds: true, text: `${count(alerts.length)} alerts, as the thresholds imply: ${parts.join(", then ")}` }
}

const outageMet = ({ opened, state }: Outcome["circuit"]): Finding =>
  opened > 0 && state === "closed"
    ? { holds: true, text: "The circuit opened in the outage, and is closed again" }
    : { holds: false, text: `The circuit did not open and close again: it opened ${opened} times, and is ${state}` }

/** The first of the strongest, in time. */
const strongestOf = (quakes: ReadonlyArray<Quake>): Option.Option<Quake> =>
  Array.head(Array.sortBy(Order.reverse(byMagnitude), byTime)(quakes))
const byMagnitude = Order.mapInput(Order.number, ({ magnitude }: Quake) => magnitude ?? Number.NEGATIVE_INFINITY)
const byTime = Order.mapInput(DateTime.Order, ({ time }: Quake) => time)

const describe = Option.match({
  onNone: () => "none",
  onSome: ({ magnitude, place, time }: Quake) =>
    `M ${magnitude?.toFixed(1)}, ${place}, ${DateTime.formatIso(time).slice(0, 19).replace("T", " ")} UTC`
})

/** How `actual` differs from `expected`, as lists: what is missing, what is too much, what is there more than once. */
const differences = (expected: ReadonlyArray<string>, actual: ReadonlyArray<string>): ReadonlyArray<string> => {
  const wanted = new Set(expected)
  const found = new Set<string>()
  const repeated = actual.filter((key) => found.size === found.add(key).size)
  return [
    ...some(
      "missing",
      expected.filter((key) => !found.has(key))
    ),
    ...some(
      "not expected",
      [...found].filter((key) => !wanted.has(key))
    ),
    ...some("repeated", repeated)
  ]
}

const some = (what: string, keys: ReadonlyArray<string>): ReadonlyArray<string> =>
  keys.length === 0
    ? []
    : [`${count(keys.length)} ${what} (${keys.slice(0, 3).join(", ")}${keys.length > 3 ? ", ..." : ""})`]
