import { execFileSync } from "node:child_process"
import { chmodSync, copyFileSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import * as EventsSql from "effect-foundation/Events/Sql"
import { ConfigError, EventError } from "effect-foundation/FoundationError"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { Telemetry } from "effect-foundation/Telemetry"
import { as, directory, onFile } from "./sqlFixtures.js"

const file = Effect.map(directory, (path) => join(path, "events.db"))

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const started = Date.now()
    const result = yield* effect
    return { result, took: Date.now() - started }
  })

/** A file system of a few megabytes, where this process may mount one. */
const smallDisk = Effect.acquireRelease(
  Effect.map(directory, (path) => {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", path], { stdio: "ignore" })
    return path
  }),
  (path) => Effect.sync(() => execFileSync("umount", ["-l", path], { stdio: "ignore" }))
)
const mayMount = Exit.isSuccess(Effect.runSyncExit(Effect.scoped(smallDisk)))

describe("Events on SQLite, where something is wrong", () => {
  it.scopedLive("say that the disk is full, keep what was stored, and go on when there is space", () =>
    Effect.gen(function* () {
      const process = yield* onFile(yield* file)
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const kept = yield* Events.store({ type: "t", id: "kept", data: { a: 1 } })
        const [pages] = yield* sql<{ page_count: number }>`PRAGMA page_count`
        yield* sql.unsafe(`PRAGMA max_page_count = ${Number(pages?.page_count) + 3}`)
        const large = { type: "t", data: "x".repeat(100_000) }
        const results = yield* Effect.forEach([large, large, large], (event) => Effect.either(Events.store(event)), {
          concurrency: "unbounded"
        })
        for (const result of results) {
          expect(result).toMatchObject({ left: { reason: "storage_full", context: { code: "SQLITE_FULL" } } })
        }
        yield* sql`CREATE TABLE own (a)`
        const inTransaction = yield* Effect.flip(
          sql.withTransaction(Effect.zipRight(sql`INSERT INTO own VALUES (1)`, Events.store(large)))
        )
        expect(inTransaction).toMatchObject({ reason: "storage_full" })
        // Who goes on all the same commits what came before too, or nothing, as SQLite may have given it up.
        const onward = yield* Effect.exit(
          sql.withTransaction(
            sql`INSERT INTO own VALUES (2)`.pipe(
              Effect.zipRight(Effect.ignore(Events.store(large))),
              Effect.zipRight(sql`INSERT INTO own VALUES (3)`)
            )
          )
        )
        expect(yield* sql`SELECT a FROM own`).toStrictEqual(Exit.isFailure(onward) ? [] : [{ a: 2 }, { a: 3 }])
        expect(yield* Events.get()).toStrictEqual([kept])
        yield* sql`PRAGMA max_page_count = 1000000`
        const stored = yield* Events.store(large)
        expect(stored.position).toBe(2)
        expect(yield* sql`PRAGMA integrity_check`).toStrictEqual([{ integrity_check: "ok" }])
      }).pipe(as(process))
    })
  )

  // Where no disk can be mounted, the bound on pages above stands for a full one.
  if (mayMount) {
    it.scopedLive("keep all that was confirmed on a disk that is full, and go on when it is not", () =>
      Effect.gen(function* () {
        const path = yield* smallDisk
        const ballast = join(path, "ballast")
        writeFileSync(ballast, Buffer.alloc(1024 * 1024))
        const process = yield* onFile(join(path, "events.db"))
        yield* Effect.gen(function* () {
          const confirmed: Array<string> = []
          const store = Effect.tap(Events.store({ type: "t", data: "x".repeat(50_000) }), ({ id }) =>
            Effect.sync(() => confirmed.push(id))
          )
          const error = yield* Effect.flip(Effect.forever(store))
          expect(error).toMatchObject({ reason: "storage_full" })
          expect(error.message).toContain("free some space")
          expect((yield* Events.get()).map(({ id }) => id)).toStrictEqual(confirmed)
          rmSync(ballast)
          yield* store
          expect((yield* Events.get()).map(({ id }) => id)).toStrictEqual(confirmed)
          const sql = yield* SqlClient.SqlClient
          expect(yield* sql`PRAGMA integrity_check`).toStrictEqual([{ integrity_check: "ok" }])
        }).pipe(as(process))
      })
    )
  }

  it.scopedLive("wait for another process that has the file locked, and say so when the deadline is over", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const process = yield* onFile(filename, { deadline: "400 millis" })
      const other = yield* onFile(filename)
      const lock = (statement: string) =>
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(as(other))
      yield* lock("BEGIN IMMEDIATE")
      let turns = 0
      const ticking = yield* Effect.fork(
        Effect.forever(
          Effect.delay(
            Effect.sync(() => turns++),
            "1 millis"
          )
        )
      )
      const { result, took } = yield* timed(Effect.flip(Events.store({ type: "t" }))).pipe(as(process))
      yield* Fiber.interrupt(ticking)
      expect(result).toMatchObject({
        reason: "storage_unavailable",
        context: { kind: "locked" }
      })
      expect(took).toBeGreaterThan(300)
      expect(took).toBeLessThan(2000)
      // Others have run meanwhile.
      expect(turns).toBeGreaterThan(3)
      // Readers are not locked out.
      expect(yield* Events.get().pipe(as(process))).toStrictEqual([])
      const waiting = yield* Effect.fork(Events.store({ type: "t", id: "1" }).pipe(as(process)))
      yield* Effect.sleep("50 millis")
      yield* lock("COMMIT")
      expect(yield* Fiber.join(waiting)).toMatchObject({ position: 1 })
    })
  )

  it.scopedLive("say that the file is read-only, and still read", () =>
    Effect.gen(function* () {
      const process = yield* onFile(yield* file)
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const kept = yield* Events.store({ type: "t" })
        yield* sql`PRAGMA query_only = 1`
        const error = yield* Effect.flip(Events.store({ type: "t" }))
        expect(error).toMatchObject({ reason: "storage_unavailable", context: { kind: "read_only" } })
        expect(error.message).toContain("writable")
        expect(yield* Effect.flip(Events.prune({ type: "t" }))).toMatchObject({ context: { kind: "read_only" } })
        expect(yield* Events.get()).toStrictEqual([kept])
        yield* sql`PRAGMA query_only = 0`
        yield* Events.store({ type: "t" })
      }).pipe(as(process))
    })
  )

  it.scopedLive("say that the file is damaged", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const filename = join(path, "events.db")
      yield* Effect.scoped(
        Effect.flatMap(onFile(filename), (process) =>
          Effect.gen(function* () {
            yield* Events.storeAll(Array.from({ length: 2000 }, (_, n) => ({ type: "t", data: { n } })))
            yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql`PRAGMA wal_checkpoint(TRUNCATE)`)
          }).pipe(as(process))
        )
      )
      const damaged = join(path, "damaged.db")
      copyFileSync(filename, damaged)
      chmodSync(damaged, 0o600)
      // The pages behind the first few: the schema can still be read.
      const descriptor = openSync(damaged, "r+")
      for (let page = 12; page < 60; page++) writeSync(descriptor, Buffer.alloc(4096, 0xaa), 0, 4096, page * 4096)
      const process = yield* onFile(damaged)
      const error = yield* Effect.flip(Stream.runDrain(Events.stream()).pipe(as(process)))
      expect(error).toMatchObject({ reason: "storage_unavailable", context: { kind: "corrupt" } })
      expect(error.message).toContain("restore it from a backup")
    })
  )

  it.scopedLive("refuse a file of a newer schema, and tables of another shape", () =>
    Effect.gen(function* () {
      const filename = yield* file
      yield* Effect.scoped(
        Effect.flatMap(onFile(filename), (process) =>
          Effect.flatMap(
            SqlClient.SqlClient,
            (sql) => sql`INSERT INTO foundation_events_migrations (migration_id, name) VALUES (999, 'later')`
          ).pipe(as(process))
        )
      )
      const newer = yield* Effect.flip(Effect.scoped(onFile(filename)))
      expect(newer).toBeInstanceOf(EventError)
      expect(newer).toMatchObject({ reason: "storage_unavailable", context: { kind: "schema" } })
      expect(newer.message).toContain("newer version")

      const other = yield* file
      yield* Effect.scoped(
        Effect.flatMap(onFile(other, { prefix: "mine" }), (process) =>
          Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE TABLE foundation_events (id INTEGER)`).pipe(
            as(process)
          )
        )
      )
      const shape = yield* Effect.flip(Effect.scoped(onFile(other)))
      expect(shape).toMatchObject({ reason: "storage_unavailable", context: { kind: "schema" } })
    })
  )

  it.scopedLive("cannot be opened in a directory that is not there", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(onFile(join(yield* directory, "missing", "events.db"))))
      expect(error).toBeInstanceOf(ConfigError)
    })
  )

  it.scopedLive("end each call within the deadline while a transaction of the program has the connection", () =>
    Effect.gen(function* () {
      const process = yield* onFile(yield* file, { deadline: "300 millis" })
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const holding = yield* Effect.fork(sql.withTransaction(Effect.sleep("2 seconds")))
        yield* Effect.sleep("20 millis")
        const { result, took } = yield* timed(
          Effect.all(
            [
              Effect.exit(Events.store({ type: "t" })),
              Effect.exit(Events.get()),
              Effect.exit(Events.prune({ type: "t" }))
            ],
            { concurrency: "unbounded" }
          )
        )
        expect(result.map((exit) => exit._tag)).toStrictEqual(["Failure", "Failure", "Failure"])
        expect(took).toBeLessThan(1500)
        yield* Fiber.join(holding)
        expect(yield* Events.store({ type: "t" })).toMatchObject({ position: 1 })
      }).pipe(as(process))
    })
  )

  it.scopedLive("say at once that a transaction which read what has changed since can never write", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const [one, other] = [yield* onFile(filename), yield* onFile(filename)]
      const sql = yield* SqlClient.SqlClient.pipe(as(one))
      const { result, took } = yield* timed(
        sql
          .withTransaction(
            Effect.gen(function* () {
              yield* Events.get()
              yield* Effect.promise(() => Effect.runPromise(Events.store({ type: "t" }).pipe(as(other))))
              yield* Events.store({ type: "t" })
            })
          )
          .pipe(as(one), Effect.flip)
      )
      expect(result).toMatchObject({ reason: "storage_unavailable", context: { code: "SQLITE_BUSY_SNAPSHOT" } })
      expect(took).toBeLessThan(2500)
    })
  )

  it.scopedLive("set what a commit waits for by their durability", () =>
    Effect.gen(function* () {
      for (const [durability, synchronous] of [
        ["process", 1],
        ["power", 2]
      ] as const) {
        const process = yield* onFile(yield* file, { durability })
        const sql = yield* SqlClient.SqlClient.pipe(as(process))
        expect(yield* sql`PRAGMA synchronous`).toStrictEqual([{ synchronous }])
      }
    })
  )

  it.scopedLive("set checkpoints apart, but for a program that has set them itself", () =>
    Effect.gen(function* () {
      for (const [set, kept] of [
        [1000, 4000],
        [500, 500],
        [0, 0]
      ] as const) {
        const client = Layer.tap(sqliteClient({ filename: yield* file }), (context) =>
          Context.get(context, SqlClient.SqlClient).unsafe(`PRAGMA wal_autocheckpoint = ${set}`)
        )
        const layer = EventsSql.layer().pipe(Layer.provideMerge(client), Layer.provide(Telemetry.layer))
        const sql = Context.get(yield* Layer.build(layer), SqlClient.SqlClient)
        expect(yield* sql`PRAGMA wal_autocheckpoint`).toStrictEqual([{ wal_autocheckpoint: kept }])
      }
    })
  )
})
