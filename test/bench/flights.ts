import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

/** A flight as an event to store. */
export interface FlightEvent {
  readonly type: "flight_early" | "flight_on_time" | "flight_late"
  readonly data: Flight
}

/** One of the 200,000 flights that `vega-datasets` has. */
export interface Flight {
  /** Minutes; less than 0 where it was early. */
  readonly delay: number
  /** Miles. */
  readonly distance: number
  /** The hour of the day. */
  readonly time: number
}

let read: ReadonlyArray<FlightEvent> | undefined

/** All flights, in the order in which the file has them. They are read once, when they are first asked for. */
export const flights = (): ReadonlyArray<FlightEvent> => {
  read ??= readFlights().map((data) => ({ type: typeOf(data), data }))
  return read
}

/** The flights of one distance, of which there are 1079, as a stream. */
export const streamOf = ({ data }: FlightEvent): string => `distance-${data.distance}`

/** One flight after the other, and the first again after the last. */
export const flightByFlight = (): (() => FlightEvent) => {
  const all = flights()
  let next = 0
  return () => {
    const flight = all[next++ % all.length]
    if (flight === undefined) throw new Error("vega-datasets has no flights")
    return flight
  }
}

const readFlights = (): ReadonlyArray<Flight> => {
  // The package exports its index alone, which lies beside the data.
  const index = createRequire(import.meta.url).resolve("vega-datasets")
  return JSON.parse(readFileSync(new URL("../data/flights-200k.json", pathToFileURL(index)), "utf8"))
}

/** By the delay from which on the statistics call a flight late: 15 minutes. */
const typeOf = ({ delay }: Flight): FlightEvent["type"] => {
  if (delay < 0) return "flight_early"
  return delay < 15 ? "flight_on_time" : "flight_late"
}
