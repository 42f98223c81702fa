import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer } from "effect"
import { Events, Telemetry } from "effect-foundation"
import * as EventsSql from "effect-foundation/Events/Sql"
import { flightByFlight } from "../flights.js"
import { type Call, type Growing, upTo } from "./Growing.js"

/** Ten events of a stream, all of one type: so that what is found is the same however many there are. */
const ten = 10

/** The events of a stream, as they are stored: by its number, and all of one type. */
const streams = () => {
  const next = flightByFlight()
  return (stream: number): ReadonlyArray<Events.Input> =>
    upTo(ten).map((at) => ({
      id: `event-${stream * ten + at}`,
      type: `type-${stream}`,
      stream: `stream-${stream}`,
      data: next().data
    }))
}

const isTen = (found: unknown) => Array.isArray(found) && found.length === ten

/** `byId` is what one by its id costs. */
const calls = (events: Events.Service, size: number, byId: Call["order"]): ReadonlyArray<Call> => {
  const next = flightByFlight()
  return [
    {
      name: "get of one by id",
      order: byId,
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
      const inputs = streams()
      yield* Effect.forEach(upTo(size / ten), (stream) => events.storeAll(inputs(stream)), { discard: true })
      return calls(events, size, "O(1)")
    })
}

/** So many streams are stored at a time: a million events take less than a minute. */
const together = 1000

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "growth-events-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const files = new Map<number, number>()

const sqlite: Growing = {
  holds: "Events, SQLite",
  files,
  make: (size) =>
    Effect.gen(function* () {
      const filename = join(yield* directory, "events.db")
      const layer = Layer.provide(EventsSql.layer(), [SqliteClient.layer({ filename }), Telemetry.layer])
      const inputs = streams()
      const batches = upTo(Math.ceil(size / ten / together)).map((batch) =>
        upTo(Math.min(together, size / ten - batch * together)).map((at) => batch * together + at)
      )
      yield* Effect.forEach(batches, (batch) => Events.storeAll(batch.flatMap(inputs)), { discard: true }).pipe(
        Effect.provide(Layer.fresh(layer))
      )
      // It was closed, and so all is in it.
      files.set(size, statSync(filename).size)
      const events = yield* Effect.provide(Events, yield* Layer.build(Layer.fresh(layer)))
      return calls(events, size, "O(log n)")
    })
}

export const growing: ReadonlyArray<Growing> = [memory, sqlite]
