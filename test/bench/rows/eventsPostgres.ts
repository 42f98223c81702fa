import { randomUUID } from "node:crypto"
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql"
import { Chunk, Effect, Layer, Redacted } from "effect"
import { Events, Telemetry } from "effect-foundation"
import * as EventsSql from "effect-foundation/Events/Sql"
import * as FoundationPostgres from "effect-foundation/Foundation/Postgres"
import pg from "pg"
import { startPostgres } from "../../../examples/servers/Postgres.js"
import { flightByFlight, flights } from "../flights.js"
import { type Contender, inRuntime, type Row } from "../Row.js"

const server =
  "On one server for all, with its own settings but for fsync and full_page_writes, which are off: a commit writes its " +
  "record, and waits for no disk."

const insert = {
  name: "insert",
  text: `insert into foundation_events (position, id, type, timestamp, correlation_id, data, metadata)
    values (nextval('foundation_events_position'), $1, $2, $3, $4, $5, $6) returning position`
}

const select = {
  name: "select",
  text: `select position, id, type, stream, version, timestamp, correlation_id, causation_id, data, metadata
    from flights_events where type = $1 order by position limit 1000`
}

const floorOfMany =
  "64 fibers in Effect whose events one bare insert by unnest takes together, without the library, took 0.31 to 0.40 of it in " +
  "three runs, 0.35 to 0.39 where each event was checked and answered as ours are, and 0.39 to 0.46 by our statement, which " +
  "looks for the ids and keeps the order of commits; ours took 0.43 to 0.54 beside them. In a profile the server had 30 of " +
  "66 µs, of which the insert was 24, and Node 36: Effect's fibers 15, of which those that the row starts 5; checks, copies " +
  "and texts 8; the driver and its socket 8; memory 4. Node and the server work in turn. Half of the fibers in each at a " +
  "time gained a quarter with 256 fibers, and nothing with 64; two transactions at a time would hide from a fiber what it " +
  "has stored until the other is committed."

/** So many flights are there to be read. */
const many = 20_000

/** Events in PostgreSQL beside its driver on the same tables, and beside an event store. */
export const rows = Effect.gen(function* () {
  const { createDatabase, url } = yield* startPostgres()
  const services = FoundationPostgres.layer({ url })
  const context = yield* Layer.build(Layer.provideMerge(services, Telemetry.layer))
  const runtime = yield* Effect.provide(Effect.runtime<Events>(), context)
  const read = EventsSql.layer({ prefix: "flights" }).pipe(Layer.provide(Layer.succeedContext(context)))
  const reading = yield* Layer.toRuntime(read)

  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => new pg.Pool({ connectionString: Redacted.value(url), max: 10 })),
    (pool) => Effect.promise(() => pool.end())
  )
  const client = yield* Effect.acquireRelease(
    Effect.promise(() => pool.connect()),
    (client) => Effect.sync(() => client.release())
  )
  const emmett = yield* Effect.acquireRelease(
    Effect.map(createDatabase("emmett"), (url) => getPostgreSQLEventStore(Redacted.value(url))),
    (store) => Effect.promise(() => store.close())
  )
  yield* Effect.promise(() => emmett.schema.migrate())

  const next = flightByFlight()
  const values = () => {
    const { data, type } = next()
    return [randomUUID(), type, Date.now(), randomUUID(), JSON.stringify(data), "{}"]
  }
  let streams = 0
  const isThere = async (position: unknown) => {
    const { rowCount } = await client.query("select from foundation_events where position = $1", [position])
    return rowCount === 1
  }

  const ours: Contender<Events> = {
    name: "Events on PostgreSQL",
    effect: () => Events.store(next()),
    gives: (stored) => isThere((stored as Events.StoredEvent).position)
  }
  const appending: Contender<Events> = {
    name: "Events on PostgreSQL",
    effect: () => Events.append(`flight-${streams++}`, [next()]),
    gives: (stored) => isThere((stored as ReadonlyArray<Events.StoredEvent>)[0]?.position)
  }
  const byDriver = (name: string, through: pg.Pool | pg.PoolClient, atMost: number, floor?: string): Contender => {
    const bare = () => through.query({ ...insert, values: values() })
    return {
      name,
      effect: () => Effect.tryPromise(bare),
      bare,
      gives: (result) => isThere((result as pg.QueryResult<{ position: string }>).rows[0]?.position),
      atMost,
      ...(floor === undefined ? {} : { floor })
    }
  }
  const append = () => {
    const { data, type } = next()
    return emmett.appendToStream(`flight-${streams++}`, [{ type, data: { ...data } }])
  }
  const byEmmett: Contender = {
    name: "Emmett",
    effect: () => Effect.tryPromise(append),
    bare: append,
    gives: (result) => (result as Awaited<ReturnType<typeof append>>).createdNewStream,
    atMost: 0.3
  }
  const reset = Effect.promise(() => client.query("truncate foundation_events, foundation_events_streams"))

  const stores: ReadonlyArray<Row<Events>> = [
    {
      work: "Events.store, PostgreSQL, one fiber",
      about:
        "Stores one of the 200,000 flights after the other, each in a commit of its own. Ours looks for its id, keeps the order " +
        `of commits and notifies those who listen; the insert does none of that. ${server}`,
      perSample: 100,
      rounds: 21,
      ours,
      peers: [byDriver("pg insert, prepared, over one client", client, 1.3)],
      reset
    },
    {
      work: "Events.store, PostgreSQL, 64 fibers",
      about: `The same by 64 fibers, whose events ours commits together. The peers have 10 connections each. ${server}`,
      fibers: 64,
      perSample: 640,
      ours,
      peers: [byDriver("pg insert, prepared, over a pool of 10", pool, 0.3, floorOfMany), byEmmett],
      reset
    },
    {
      work: "Events.append to new streams, PostgreSQL, 64 fibers",
      about: `Appends one event to a stream of its own, whose version is kept. ${server}`,
      fibers: 64,
      perSample: 640,
      ours: appending,
      peers: [byEmmett],
      reset
    }
  ]

  const chunks = Chunk.chunksOf(Chunk.fromIterable(flights().slice(0, many)), 1000)
  yield* Effect.provide(
    Effect.forEach(chunks, (chunk) => Events.storeAll(Chunk.toReadonlyArray(chunk)), { discard: true }),
    reading
  )
  yield* Effect.promise(() => client.query("analyze flights_events"))
  const bare = () => client.query({ ...select, values: ["flight_late"] })
  const gets: Row<Events> = {
    work: "Events.get of 1000, PostgreSQL",
    about:
      `Reads the first 1000 flights that were late, of ${many}, with their data parsed. Ours first asks up to where the order ` +
      "is settled, gives JSON as it was stored, and freezes what it gives.",
    perSample: 5,
    ours: {
      name: "Events on PostgreSQL",
      effect: () => Events.get({ type: "flight_late", limit: 1000 }),
      gives: (found) => (found as ReadonlyArray<unknown>).length === 1000
    },
    peers: [
      {
        name: "pg select, prepared",
        effect: () => Effect.tryPromise(bare),
        bare,
        gives: (result) => (result as pg.QueryResult).rows.length === 1000,
        atMost: 1.1
      }
    ]
  }
  return [...inRuntime(runtime, stores), ...inRuntime(reading, [gets])]
})
