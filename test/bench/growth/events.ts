import { Effect, Layer } from "effect"
import { Events, Telemetry } from "effect-foundation"
import { flightByFlight } from "../flights.js"
import { type Call, type Growing, upTo } from "./Growing.js"

/** Ten events of a stream, all of one type: so that what is found is the same however many there are. */
const ten = 10

const fill = (events: Events.Service, size: number) => {
  const next = flightByFlight()
  const inputs = (stream: number) =>
    upTo(ten).map((at) => ({ id: `event-${stream * ten + at}`, type: `type-${stream}`, data: next().data }))
  return Effect.forEach(
    upTo(size / ten),
    (stream) => events.append(`stream-${stream}`, inputs(stream), { expectedVersion: "any" }),
    { discard: true }
  )
}

const isTen = (found: unknown) => Array.isArray(found) && found.length === ten

const calls = (events: Events.Service, size: number): ReadonlyArray<Call> => {
  const next = flightByFlight()
  return [
    {
      name: "get of one by id",
      order: "O(1)",
      run: (entry) => events.get({ id: `event-${entry % size}` }),
      gives: (found) => Array.isArray(found) && found.length === 1
    },
    {
      name: "get of ten by type",
      order: "O(log n)",
      run: (entry) => events.get({ type: `type-${entry % (size / ten)}` }),
      gives: isTen
    },
    {
      name: "get of ten by stream",
      order: "O(log n)",
      run: (entry) => events.get({ stream: `stream-${entry % (size / ten)}` }),
      gives: isTen
    },
    {
      name: "get of ten by position",
      order: "O(log n)",
      run: (entry) => events.get({ afterPosition: entry % (size - ten + 1), limit: ten }),
      gives: isTen
    },
    {
      name: "store",
      order: "O(log n)",
      run: () => events.store({ type: "stored", data: next().data }),
      gives: (stored) => (stored as Events.StoredEvent).position > size,
      reset: events.prune({ type: "stored" })
    }
  ]
}

const memory: Growing = {
  holds: "Events, memory",
  make: (size) =>
    Effect.gen(function* () {
      const layer = Events.layerMemory({ capacity: 2_000_000, maxBytes: 2 ** 30 })
      const events = yield* Effect.provide(Events, yield* Layer.build(Layer.provide(layer, Telemetry.layer)))
      yield* fill(events, size)
      return calls(events, size)
    })
}

export const growing: ReadonlyArray<Growing> = [memory]
