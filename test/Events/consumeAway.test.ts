import { SqlClient } from "@effect/sql"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Redacted, Schedule } from "effect"
import { Events } from "effect-foundation/Events"
import { Telemetry } from "effect-foundation/Telemetry"
import { TelemetryRecording } from "effect-foundation/Testing"
import { startPostgres } from "../../examples/servers/Postgres.js"
import { eventually } from "../contract/EventsConsumer.js"
import { places } from "./consumerDatabases.js"
import { clientAt, doneRows, makeDone, processAt, writeDone } from "./consumerProcess.js"

/** For tests that start a server of their own, on a machine that is busy. */
const patience = 90_000

/** A place, what takes it away, and what brings it back. */
const outages = {
  "a PostgreSQL that crashes and restarts": Effect.map(startPostgres(), (server) => ({
    place: Redacted.value(server.url),
    away: server.kill,
    back: server.start
  })),
  "a PostgreSQL that is frozen for longer than the lease": Effect.map(startPostgres(), (server) => ({
    place: Redacted.value(server.url),
    away: server.freeze,
    back: server.thaw
  })),
  "a SQLite file that another connection has locked": Effect.gen(function* () {
    const place = yield* places.SQLite
    const sql = Context.get(yield* Layer.build(clientAt(place)), SqlClient.SqlClient)
    // The consumer may just be writing.
    const away = Effect.retry(sql.unsafe("BEGIN EXCLUSIVE"), Schedule.spaced("1 millis"))
    return { place, away, back: sql.unsafe("ROLLBACK") }
  })
}

describe.each(Object.entries(outages))("with %s", (_, outage) => {
  it.scopedLive.each([true, false])(
    "a consumer goes on by itself, and loses no event (transactional: %s)",
    (transactional) =>
      Effect.gen(function* () {
        const { away, back, place } = yield* outage
        yield* Effect.gen(function* () {
          yield* makeDone
          const stored = yield* Events.storeAll(Array.from({ length: 200 }, () => ({ type: "t" })))
          const last = stored.at(-1)?.position ?? 0
          const consumer = yield* Effect.fork(
            Events.consume({
              name: "a",
              lease: "2 seconds",
              transactional,
              handler: ({ position }) => Effect.delay(writeDone(position, "one"), "5 millis")
            })
          )
          const position = Effect.map(Events.consumers, ([state]) => state?.position ?? 0)
          yield* eventually(position, (position) => position > 20)
          yield* away
          yield* Effect.sleep("5 seconds")
          yield* back
          yield* eventually(
            Effect.catchAll(position, () => Effect.succeed(0)),
            (position) => position >= last
          )
          const rows = (yield* doneRows).map(({ position }) => position)
          const positions = stored.map(({ position }) => position)
          if (transactional) expect(rows).toStrictEqual(positions)
          // What was under way when the store went away is handled again, and no more.
          else {
            expect([...new Set(rows)]).toStrictEqual(positions)
            expect(rows.length).toBeLessThanOrEqual(positions.length + 8)
          }
          expect(yield* Events.deadLetters({ consumer: "a" })).toStrictEqual([])
          yield* Fiber.interrupt(consumer)
          const recording = yield* TelemetryRecording
          const unavailable = yield* recording.named("events.consumer.unavailable")
          const lost = (yield* recording.named("events.consumer.lease")).filter(
            ({ metadata }) => metadata.outcome === "lost"
          )
          expect(unavailable.length + lost.length).toBeGreaterThan(0)
        }).pipe(
          Effect.provide(
            Layer.provideMerge(processAt(place), Layer.provideMerge(TelemetryRecording.layer, Telemetry.layer))
          )
        )
      }),
    patience
  )
})
