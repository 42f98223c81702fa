import { Chunk, Effect, Layer } from "effect"
import { Events, Telemetry } from "effect-foundation"
import { flightByFlight, flights } from "../flights.js"
import { inRuntime, type Row } from "../Row.js"

const services = Layer.provideMerge(Events.layer, Telemetry.layer)

const stores = Effect.gen(function* () {
  const runtime = yield* Layer.toRuntime(Layer.fresh(services))
  const next = flightByFlight()
  const log: Array<unknown> = []
  const row: Row<Events> = {
    work: "Events.store, memory",
    about:
      "Stores one of the 200,000 flights after the other. Ours checks and copies it, gives it an id, a time and a position, indexes it and tells who waits.",
    promise: 100,
    ours: {
      name: "Events",
      effect: () => Events.store(next()),
      gives: (stored) => (stored as Events.StoredEvent).position > 0
    },
    peers: [
      {
        name: "Effect.sync of an array push",
        effect: () => Effect.sync(() => log.push(next())),
        bare: () => log.push(next()),
        gives: () => log.length > 0,
        atMost: 10
      }
    ],
    reset: Effect.zipRight(
      Events.prune({ afterPosition: 0 }),
      Effect.sync(() => {
        log.length = 0
      })
    )
  }
  return inRuntime(runtime, [row])
})

const gets = Effect.gen(function* () {
  const runtime = yield* Layer.toRuntime(Layer.fresh(services))
  const chunks = Chunk.chunksOf(Chunk.fromIterable(flights()), 1000)
  yield* Effect.provide(
    Effect.forEach(chunks, (chunk) => Events.storeAll(Chunk.toReadonlyArray(chunk)), { discard: true }),
    runtime
  )
  const isThousand = (found: unknown) => Array.isArray(found) && found.length === 1000
  const all = flights()
  const row: Row<Events> = {
    work: "Events.get of 1000 of 200,000, memory",
    about: "Reads the first 1000 flights that were late, of all 200,000.",
    promise: 1000,
    perSample: 10,
    ours: {
      name: "Events",
      effect: () => Events.get({ type: "flight_late", limit: 1000 }),
      gives: isThousand
    },
    peers: [
      {
        name: "a loop over an array",
        bare: () => {
          const found: Array<unknown> = []
          for (const flight of all) {
            if (flight.type === "flight_late") found.push(flight)
            if (found.length === 1000) break
          }
          return found
        },
        gives: isThousand
      }
    ]
  }
  return inRuntime(runtime, [row])
})

export const rows = Effect.map(Effect.all([stores, gets]), (all) => all.flat())
