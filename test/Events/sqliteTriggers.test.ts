import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Events } from "effect-foundation/Events"
import { sqliteTables } from "effect-foundation/Events/Sql/SqliteSchema"
import { tablesOf } from "effect-foundation/Events/Sql/Tables"
import { as, directory, onFile } from "./sqlFixtures.js"

const file = Effect.map(directory, (path) => join(path, "events.db"))

const stored = (count: number, event: (at: number) => Events.Input) =>
  Effect.forEach(
    Array.from({ length: count }, (_, at) => event(at)),
    Events.store,
    { concurrency: "unbounded" }
  )

describe("the triggers of a log on SQLite", () => {
  it.scopedLive("replace those of an older version, with what is in it", () =>
    Effect.gen(function* () {
      const filename = yield* file
      yield* Effect.scoped(
        Effect.gen(function* () {
          const process = yield* onFile(filename)
          yield* Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            yield* sql`DROP TRIGGER foundation_events_moves`
            yield* sql`DROP TRIGGER foundation_events_found`
            const older = sqliteTables(tablesOf("foundation")).filter((text) => /TRIGGER \w+_(moves|found)/.test(text))
            expect(older).toHaveLength(2)
            for (const text of older) yield* sql.unsafe(text)
            yield* sql`DELETE FROM foundation_events_migrations WHERE migration_id > 2`
            yield* Events.store({ type: "t", stream: "s", data: { a: 1 } })
          }).pipe(as(process))
        })
      )
      yield* Effect.gen(function* () {
        yield* Events.store({ type: "t", stream: "s", data: { a: 1 } })
        yield* stored(20, (at) => ({ type: "t", stream: at % 2 === 0 ? "s" : "other", data: { a: at % 4 } }))
        const versions = (yield* Events.get({ stream: "s" })).map(({ version }) => version)
        expect(versions).toStrictEqual(Array.from({ length: 12 }, (_, at) => at + 1))
        expect(yield* Events.get({ stream: "other" })).toHaveLength(10)
        expect(yield* Events.get({ data: { a: 1 } })).toHaveLength(7)
        expect(yield* Events.prune({ data: { a: 1 } })).toBe(7)
        const sql = yield* SqlClient.SqlClient
        expect(yield* sql`SELECT count(*) AS count FROM foundation_events_terms`).toStrictEqual([{ count: 15 }])
      }).pipe(as(yield* onFile(filename)))
    })
  )

  it.scopedLive("take a field and another with the same term, however the event is inserted", () =>
    Effect.gen(function* () {
      const process = yield* onFile(yield* file)
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        for (const [at, or] of ["", "OR ABORT", "OR FAIL"].entries()) {
          yield* sql.unsafe(
            `INSERT ${or} INTO foundation_events (id, type, timestamp, correlation_id, data, metadata, terms) VALUES ('${at}', 't', 0, 'c', 'null', '{}', '[7,7,8]')`
          )
        }
        const terms = sql`SELECT term, position FROM foundation_events_terms ORDER BY position, term`
        expect((yield* terms).map(Object.values)).toStrictEqual([
          [7, 1],
          [8, 1],
          [7, 2],
          [8, 2],
          [7, 3],
          [8, 3]
        ])
        yield* Events.prune({ afterPosition: 1 })
        expect(yield* terms).toHaveLength(2)
      }).pipe(as(process))
    })
  )

  it.scopedLive(
    "leave nothing of a batch that the database refuses halfway, and of a transaction what came before it",
    () =>
      Effect.gen(function* () {
        const process = yield* onFile(yield* file)
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql.unsafe(
            "CREATE TRIGGER refusing BEFORE INSERT ON foundation_events WHEN new.type = 'refused' BEGIN SELECT RAISE(FAIL, 'no'); END"
          )
          const events = Array.from({ length: 20 }, (_, at) => ({
            type: at === 18 ? "refused" : "t",
            stream: `${at % 3}`,
            data: { at }
          }))
          yield* Effect.flip(Events.storeAll(events))
          const nothing = sql`SELECT (SELECT count(*) FROM foundation_events) + (SELECT count(*) FROM foundation_events_terms) + (SELECT count(*) FROM foundation_events_streams) AS count`
          expect(yield* nothing).toStrictEqual([{ count: 0 }])
          yield* sql`CREATE TABLE own (a)`
          yield* sql.withTransaction(
            sql`INSERT INTO own VALUES (1)`.pipe(
              Effect.zipRight(Effect.flip(Events.storeAll(events))),
              Effect.zipRight(Events.store({ type: "t", stream: "0" }))
            )
          )
          expect(yield* sql`SELECT a FROM own`).toStrictEqual([{ a: 1 }])
          expect((yield* Events.get()).map(({ position, version }) => [position, version])).toStrictEqual([[1, 1]])
        }).pipe(as(process))
      })
  )
})
