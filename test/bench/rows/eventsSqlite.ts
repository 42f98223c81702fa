import { copyFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SqliteClient } from "@effect/sql-sqlite-node"
import Database from "better-sqlite3"
import { Chunk, Effect, Layer } from "effect"
import { CorrelationId, Events, Telemetry } from "effect-foundation"
import * as EventsSql from "effect-foundation/Events/Sql"
import { flightByFlight, flights } from "../flights.js"
import { type Contender, inRuntime, type Row } from "../Row.js"

const type = "flight_late"
const columns = "position, id, type, stream, version, timestamp, correlation_id, causation_id, data, metadata"
const inserted = "id, type, stream, timestamp, correlation_id, causation_id, data, metadata, terms"

/** All belong to one piece of work, as in an import. */
const correlationId = crypto.randomUUID()

const eventsIn = (filename: string) =>
  EventsSql.layer().pipe(
    Layer.provide(SqliteClient.layer({ filename })),
    Layer.provideMerge(Telemetry.layer),
    Layer.merge(Layer.succeed(CorrelationId, correlationId))
  )

/** The file with all flights in it, which is closed: what is copied from it has the same tables, indexes and triggers. */
const filled = (filename: string) =>
  Effect.forEach(
    Chunk.chunksOf(Chunk.fromIterable(flights()), 1000),
    (chunk) => Events.storeAll(Chunk.toReadonlyArray(chunk)),
    { discard: true }
  ).pipe(Effect.provide(eventsIn(filename)))

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "bench-events-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const opened = (filename: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const db = new Database(filename)
      db.pragma("journal_mode = WAL")
      db.pragma("synchronous = NORMAL")
      return db
    }),
    (db) => Effect.sync(() => db.close())
  )

const floorOfRead =
  "SQLite alone takes 1.0 ms to read one column of so many rows, and 1.9 to give all of them as text, which takes 0.5 to parse"

const floorOfStore =
  "A bare insert into the table without its indexes takes 29 µs; each index of a column takes some 8, for a page more in the " +
  "log, and each field of the data 25, for a page that is another each time, and so a checkpoint's too: 10.8 pages in all"

/** Ids that lie beside each other in an index, as those of the library do. */
const uuidInOrder = (): string => {
  const time = Date.now().toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`
}

/** Stores a flight as a program without Effect would, but for the terms of the index: those it finds made already. */
const insertedInto = (db: Database.Database): (() => string) => {
  const next = flightByFlight()
  const terms = db.prepare<[], string>("SELECT terms FROM foundation_events ORDER BY position").pluck().all()
  const insert = db.prepare(`INSERT INTO foundation_events (${inserted}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  let at = 0
  return () => {
    const { data, type } = next()
    const id = uuidInOrder()
    const termsOfData = terms[at++ % terms.length]
    insert.run(id, type, null, Date.now(), correlationId, null, JSON.stringify(data), "{}", termsOfData)
    return id
  }
}

/** Whether the row of this id has been committed, as another connection sees it. */
const has = (db: Database.Database) => {
  const count = db.prepare<[string], number>("SELECT count(*) FROM foundation_events WHERE id = ?").pluck()
  return (id: unknown) => count.get(String(id)) === 1
}

interface Parsed {
  data: unknown
  metadata: unknown
}

/** Somewhere else in the log at each run. */
const places = () => {
  let place = 0
  return () => {
    place = (place + 17_777) % 150_000
    return place
  }
}

const isThousand = (found: unknown): boolean =>
  Array.isArray(found) &&
  found.length === 1000 &&
  found.every((event: Parsed & { readonly type: string }) => {
    const { data, metadata, type: found } = event
    return found === type && typeof data === "object" && data !== null && "distance" in data && metadata !== null
  })

export const rows = Effect.gen(function* () {
  const path = yield* directory
  const [own, theirs, spaced] = ["own.db", "theirs.db", "spaced.db"].map((name) => join(path, name))
  if (own === undefined || theirs === undefined || spaced === undefined) return []
  yield* filled(own)
  copyFileSync(own, theirs)
  copyFileSync(own, spaced)

  const runtime = yield* Layer.toRuntime(eventsIn(own))
  const sight = yield* opened(own)
  const db = yield* opened(theirs)
  const dbSpaced = yield* opened(spaced)
  dbSpaced.pragma("wal_autocheckpoint = 4000")

  const next = flightByFlight()
  const isStored = has(sight)
  const ours: Contender<Events> = {
    name: "Events on SQLite",
    effect: () => Events.store(next()),
    gives: (stored) => isStored((stored as Events.StoredEvent).id)
  }
  const peer = (name: string, db: Database.Database): Contender<Events> => {
    const insert = insertedInto(db)
    return { name, effect: () => Effect.sync(insert), bare: insert, gives: has(db) }
  }
  const plain = peer("better-sqlite3, a prepared insert", db)
  const withPragma = peer("the same, wal_autocheckpoint = 4000 as ours has", dbSpaced)
  const about =
    "Commits one flight after the other to a WAL file of 200,000 flights, synchronous = NORMAL. Theirs is an insert into the same table with the same indexes and triggers: it checks no event, looks for no retry, and is given the terms of the index."

  const all = db.prepare<[string, number], Parsed>(
    `SELECT ${columns} FROM foundation_events WHERE type = ? AND position > ? ORDER BY position LIMIT 1000`
  )
  const place = places()
  const theirPlace = places()
  const read = () => {
    const found = all.all(type, theirPlace())
    for (const row of found) {
      row.data = JSON.parse(String(row.data))
      row.metadata = JSON.parse(String(row.metadata))
    }
    return found
  }

  const stores: ReadonlyArray<Row<Events>> = [
    {
      work: "Events.get of 1000 of 200,000, SQLite",
      about: "Reads 1000 flights that were late, from some place in the file on. Ours answers frozen events.",
      promise: 1000,
      perSample: 40,
      ours: {
        name: "Events on SQLite",
        effect: () => Events.get({ type, afterPosition: place(), limit: 1000 }),
        gives: isThousand,
        floor: floorOfRead
      },
      peers: [
        {
          name: "better-sqlite3 .all() and JSON.parse",
          effect: () => Effect.sync(read),
          bare: read,
          gives: isThousand,
          atMost: 0.7,
          floor:
            "To have SQLite give two texts for each column, and to parse them, was 0.47 of all(): our events are frozen besides"
        }
      ]
    },
    {
      work: "Events.store, SQLite, one fiber",
      about,
      promise: 100,
      ours: { ...ours, floor: floorOfStore },
      peers: [{ ...plain, atMost: 1.6 }, withPragma]
    },
    {
      work: "Events.store, SQLite, 100 fibers",
      about: `${about} Ours stores what comes at the same time together, and theirs cannot.`,
      promise: 100,
      fibers: 100,
      perSample: 2000,
      ours,
      peers: [{ ...plain, atMost: 0.5 }, withPragma]
    }
  ]
  return inRuntime(runtime, stores)
})
