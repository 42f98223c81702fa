import type { Move, State, TransitionReason } from "../Circuit.js"
import { timeBuckets } from "../TimeWindow.js"
import type { Because, RateTrip, Trip } from "../Trip.js"
import { decodeName } from "./Keys.js"

/** A circuit as Redis has it. Times are microseconds from when it was written. */
export interface View {
  /** The stretch of the state; 0 for a circuit that was never used. */
  readonly generation: number
  /** Counts what has changed within the stretch. */
  readonly seq: number
  readonly state: State
  /** Until the next call has a chance; 0 where it has one now. */
  readonly wait: number
  readonly openings: number
  /** Failures in a row. */
  readonly failures: number
  readonly because: Because | undefined
  /** Which processes have circuits of their own that are open, and for how long: of seven at most, the longest. */
  readonly advice: ReadonlyArray<{ readonly adviser: string; readonly length: number }>
}

/** What a script answers. */
export interface Reply {
  readonly view: View
  readonly verdict: string
  /** How many changes of state it made: each began a generation. */
  readonly moves: number
}

/** What all processes hear of one step. */
export interface Message {
  readonly name: string
  readonly view: View
  /** The changes of state, the last of which began the generation of the view. */
  readonly moves: ReadonlyArray<Move>
}

/** Undefined for what no script of this version has answered. */
export const replyOf = (raw: unknown): Reply | undefined => {
  if (!Array.isArray(raw)) return undefined
  const [view, verdict, moves] = raw.map(String)
  const read = view === undefined ? undefined : viewOf(view.split(" "))
  return read === undefined || verdict === undefined ? undefined : { view: read, verdict, moves: Number(moves) }
}

export const messageOf = (text: string): Message | undefined => {
  const [name, ...words] = text.split(" ")
  const view = viewOf(words)
  if (name === undefined || view === undefined) return undefined
  return { name: decodeName(name), view, moves: words.slice(viewWords).map(moveOf) }
}

const viewWords = 8

const viewOf = (words: ReadonlyArray<string>): View | undefined => {
  const [generation, seq, state, wait, openings, failures, because, advice] = words
  if (advice === undefined || because === undefined) return undefined
  return {
    generation: Number(generation),
    seq: Number(seq),
    // Of our own scripts, which know no other.
    state: state as State,
    wait: Number(wait),
    openings: Number(openings),
    failures: Number(failures),
    because: becauseOf(because),
    advice: advice === "-" ? [] : advice.split(",").map(adviceOf)
  }
}

const adviceOf = (text: string) => {
  const [adviser = "", length] = text.split("=")
  return { adviser, length: Number(length) }
}

const becauseOf = (text: string): Because | undefined => {
  const [reason, first, second] = text.split(":")
  switch (reason) {
    case "failures":
      return { reason, failures: Number(first) }
    case "failure_rate":
    case "slow_call_rate":
      return { reason, share: Number(first) / Number(second), calls: Number(second) }
    case "probe_failed":
      return { reason }
    default:
      return undefined
  }
}

const moveOf = (text: string): Move => {
  const [from, to, reason] = text.split(/[>:]/)
  return { from: from as State, to: to as State, reason: reason as TransitionReason }
}

/** The outcome of a call as a digit: 1 failed, 2 slow, 3 both. */
export const digitOf = (failed: boolean, slow: boolean): string => String((failed ? 1 : 0) + (slow ? 2 : 0))

/** What a script that counts needs to know of the trip, and where it counts. */
export const countingOf = (
  trip: Trip,
  circuit: string
): { keys: ReadonlyArray<string>; args: ReadonlyArray<string> } =>
  trip.type === "consecutive"
    ? { keys: [], args: [String(trip.maxFailures)] }
    : { keys: windowKeys(trip.window, circuit), args: rateArgs(trip) }

/** Windows of two shapes stand side by side, as two versions of a program do while one takes the place of the other. */
const windowKeys = (window: RateTrip["window"], circuit: string): ReadonlyArray<string> => {
  const counts = window.type === "count" ? `${circuit}:calls:${window.size}` : `${circuit}:time:${window.micros}`
  return [counts, `${counts}:ring`]
}

const day = 24 * 60 * 60 * 1000

const rateArgs = ({ failureRate, minimumCalls, slow, window }: RateTrip): ReadonlyArray<string> => [
  String(failureRate),
  slow === undefined ? "" : String(slow.rate),
  String(minimumCalls),
  String(window.type === "count" ? day : Math.max(day, Math.ceil(window.micros / 500))),
  window.type === "count" ? String(window.size) : "",
  window.type === "count" ? "" : String(tenthOf(window.micros))
]

/** As `TimeWindow` divides it; the script knows that there are ten. */
const tenthOf = (micros: number): number => Math.max(1, Math.floor(micros / timeBuckets))
