import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Schema, Scope, TestClock } from "effect"
import { Config } from "effect-foundation/Config"
import * as ConfigSql from "effect-foundation/Config/Sql"
import { Telemetry } from "effect-foundation/Telemetry"
import { settled } from "./sources.js"
import {
  configOn,
  type Database,
  engines,
  postgresDatabase,
  processOn,
  putRow,
  reaches,
  sqliteFile
} from "./sqlDatabases.js"

/** For crowds: the wait in line is within the deadline. */
const patient = { deadline: "20 seconds" } as const

const Count = Config.Key("count", Schema.Number, { default: 0 })
const Port = Config.Key("server.port", Schema.Int)

/** Somebody with a client of SQL and no configuration. */
const somebody = (database: Database) =>
  Effect.tap(database.client, (sql) => Effect.scoped(configOn(sql, { watch: false })))

const rowsOf = (sql: SqlClient) =>
  Effect.map(sql<{ key: string; value: unknown }>`select key, value from foundation_config order by key`, (rows) =>
    rows.map(({ key, value }) => [key, typeof value === "string" && key !== "text" ? JSON.parse(value) : value])
  )

for (const [engine, fresh] of engines) {
  describe(`a table of ${engine}`, () => {
    it.scopedLive("has what one process sets be what all have, and what somebody changes with SQL", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        // So long that on PostgreSQL only a notice can tell.
        const options = engine === "PostgreSQL" ? { pollInterval: "1 hour" as const } : {}
        const one = yield* processOn(database, options)
        const other = yield* processOn(database, options)
        const sql = yield* database.client
        yield* one.set("a", 1)
        yield* reaches(other, "a", 1)
        yield* other.set("a", { deep: true })
        yield* reaches(one, "a", { deep: true })
        yield* one.unset("a")
        yield* reaches(other, "a", undefined)
        yield* putRow(sql, "b.c", `"text"`)
        yield* Effect.all([reaches(one, "b.c", "text"), reaches(other, "b.c", "text")])
        yield* putRow(sql, "b.c", `["other"]`)
        yield* Effect.all([reaches(one, "b.c", ["other"]), reaches(other, "b.c", ["other"])])
        yield* sql`update foundation_config set key = ${"b.d"} where key = ${"b.c"}`
        yield* reaches(one, "b", { d: ["other"] })
        yield* sql`delete from foundation_config`
        yield* Effect.all([reaches(one, "b", undefined), reaches(other, "b", undefined)])
        expect(yield* one.origin("b")).toEqual(Option.none())
      })
    )

    it.scopedLive("gives each change a revision that never comes again, whoever makes it, and a time", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const config = yield* processOn(database)
        const sql = yield* database.client
        const seen: Array<number> = []
        const look = Effect.map(
          sql<{
            revision: unknown
            updated_at: unknown
          }>`select revision, updated_at from foundation_config where key = 'a'`,
          ([row]) => {
            seen.push(Number(row?.revision))
            expect(new Date(String(row?.updated_at)).getTime()).toBeGreaterThan(Date.now() - 60_000)
          }
        )
        for (const value of [1, 1, 2]) {
          yield* config.set("a", value)
          yield* look
          yield* putRow(sql, "a", String(value))
          yield* look
          yield* sql`delete from foundation_config`
          yield* config.reload
        }
        expect([...new Set(seen)].sort((one, other) => one - other)).toEqual(seen)
      })
    )

    it.scopedLive("refuses a set where another process came first, and has that value by then", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const one = yield* processOn(database, { watch: false })
        const other = yield* processOn(database, { watch: false })
        const sql = yield* database.client
        yield* one.set("a", 1)
        const before = yield* other.snapshot
        const error = yield* Effect.flip(other.set("a", 2))
        expect(error).toMatchObject({ reason: "conflict", path: "a", source: "foundation_config" })
        expect(error.message).toContain("set it again")
        expect(before.has("a")).toBe(false)
        expect(yield* other.get("a")).toBe(1)
        yield* other.set("a", 2)
        // Around it, beneath it, and gone.
        const intrusions: ReadonlyArray<readonly [path: string, intrusion: Effect.Effect<unknown, unknown>]> = [
          ["x.y", putRow(sql, "x", `{"z": 1}`)],
          ["b", putRow(sql, "b.c", "1")],
          ["a", sql`delete from foundation_config where key = 'a'`],
          ["q", Effect.zipRight(putRow(sql, "q", "1"), sql`delete from foundation_config where key = 'q'`)]
        ]
        for (const [path, intrusion] of intrusions) {
          yield* other.reload
          yield* intrusion
          const exit = yield* Effect.exit(other.set(path, 3))
          // What has come and gone again was never known, and is as it was.
          if (path === "q") expect(Exit.isSuccess(exit)).toBe(true)
          else expect(yield* Effect.flip(exit)).toMatchObject({ reason: "conflict", path })
          yield* other.set(path, 3)
          expect(yield* other.get(path)).toBe(3)
        }
        expect(yield* Effect.flip(one.unset("a"))).toMatchObject({ reason: "conflict" })
        yield* one.unset("a")
        yield* other.reload
        expect(yield* other.get("a")).toBeUndefined()
      })
    )

    it.scopedLive("does not mind that others set other keys meanwhile, and has them too", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const one = yield* processOn(database)
        const other = yield* processOn(database, { watch: false })
        yield* one.set("a.b", 1)
        yield* other.set("a.c", 2)
        yield* reaches(one, "a", { b: 1, c: 2 })
        expect(yield* other.get("a")).toEqual({ c: 2 })
        yield* other.reload
        expect(yield* other.get("a")).toEqual({ b: 1, c: 2 })
      })
    )

    it.scopedLive("loses no update of several processes", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const processes = yield* Effect.forEach(Array.from({ length: 4 }), () => processOn(database, patient))
        yield* Effect.forEach(
          processes,
          (config) => Effect.forEach(Array.from({ length: 25 }), () => config.update(Count, (n) => n + 1)),
          { concurrency: "unbounded" }
        )
        yield* Effect.forEach(processes, (config) => reaches(config, "count", 100))
      })
    )

    it.scopedLive("loses nothing that processes get, and set again since then", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const processes = yield* Effect.forEach(Array.from({ length: 3 }), () => processOn(database, patient))
        const increment = (config: Config.Service) =>
          Effect.gen(function* () {
            const since = yield* config.snapshot
            yield* config.set("count", ((since.get("count") as number | undefined) ?? 0) + 1, { since })
          }).pipe(Effect.retry({ while: ({ reason }) => reason === "conflict" }))
        yield* Effect.forEach(
          processes,
          (config) => Effect.forEach(Array.from({ length: 20 }), () => increment(config)),
          { concurrency: "unbounded" }
        )
        yield* Effect.forEach(processes, (config) => reaches(config, "count", 60))
      })
    )

    it.scopedLive("never states a path twice, however processes set sections and what is in them", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const processes = yield* Effect.forEach(Array.from({ length: 3 }), () => processOn(database, patient))
        const paths = ["a", "a.b", "a.b.c", "a.d"]
        yield* Effect.forEach(
          processes,
          (config, who) =>
            Effect.forEach(Array.from({ length: 16 }), (_, turn) =>
              config
                .set(paths[(who + turn) % paths.length] ?? "a", turn % 2 === 0 ? turn : { b: turn })
                .pipe(Effect.retry({ while: ({ reason }) => reason === "conflict" }))
            ),
          { concurrency: "unbounded" }
        )
        const end = yield* processOn(database)
        yield* Effect.forEach(processes, (config) =>
          Effect.flatMap(end.get("a"), (value) => reaches(config, "a", value))
        )
      })
    )

    it.scopedLive("writes what is set where it is writable only, to the last such table", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const sql = yield* database.client
        const config = yield* Config.make({
          sources: [
            ConfigSql.source({ prefix: "one", writable: true }),
            ConfigSql.source({ prefix: "two", writable: true }),
            ConfigSql.source({ prefix: "three" })
          ]
        }).pipe(Effect.provideService(SqlClient, sql), Effect.provide(Telemetry.layer))
        yield* config.set("a", 1)
        const counts = yield* Effect.forEach(["one", "two", "three"], (prefix) =>
          Effect.map(sql`select * from ${sql(`${prefix}_config`)}`, (rows) => rows.length)
        )
        expect(counts).toEqual([0, 1, 0])
        expect(yield* config.origin("a")).toEqual(Option.some("two_config"))

        const reader = yield* Config.make({ sources: [ConfigSql.source({ prefix: "two" })] }).pipe(
          Effect.provideService(SqlClient, sql),
          Effect.provide(Telemetry.layer)
        )
        yield* reader.set("a", 2)
        expect(yield* reader.origin("a")).toEqual(Option.some("set"))
        yield* reader.unset("a")
        expect(yield* reader.get("a")).toBe(1)
      })
    )

    it.scopedLive("has earlier sources show through, and refuses what a later one states", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const sql = yield* database.client
        const config = yield* configOn(
          sql,
          {},
          {
            before: [Config.object({ server: { port: 1, host: "h" } })],
            after: [Config.env({ env: { FOUNDATION__SERVER__MAX_REQUESTS: "8" } })]
          }
        )
        yield* config.set("server", { port: 2 })
        expect(yield* config.get("server")).toEqual({ port: 2, host: "h", maxRequests: "8" })
        for (const [path, value, named] of [
          ["server.maxRequests", 9, "server.maxRequests"],
          ["server.max_requests", 9, "server.maxRequests"],
          ["server", { port: 3, maxRequests: 9 }, "server.maxRequests"],
          ["server", 5, "server"],
          ["server.maxRequests.deeper", 5, "server.maxRequests"]
        ] as const) {
          expect(yield* Effect.flip(config.set(path, value)), path).toMatchObject({
            reason: "read_only",
            path: named,
            source: "env"
          })
        }
        expect(yield* rowsOf(sql)).toEqual([["server", { port: 2 }]])
        yield* config.unset("server")
        expect(yield* config.get("server")).toEqual({ port: 1, host: "h", maxRequests: "8" })
      })
    )

    it.scopedLive("is put right by a set where somebody has written what is refused", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const sql = yield* somebody(database)
        const config = yield* processOn(database)
        yield* config.set(Port, 1)
        yield* config.set("other", 1)
        yield* putRow(sql, "other", "2")
        yield* reaches(config, "other", 2)
        yield* sql.withTransaction(Effect.zipRight(putRow(sql, "server.port", `"x"`), putRow(sql, "count", "1")))
        expect(yield* Effect.flip(config.reload)).toMatchObject({ reason: "invalid_value", path: "server.port" })
        // What is read by nobody yet may not be built upon, as it is not in force.
        expect(yield* Effect.flip(config.update(Count, (n) => n + 1))).toMatchObject({ path: "server.port" })
        const since = yield* config.snapshot
        expect(yield* Effect.flip(config.set("count", 1, { since }))).toMatchObject({ path: "server.port" })
        // The value that a program has seen is not the one that stands there.
        expect(yield* Effect.flip(config.update(Port, (port) => port + 1))).toMatchObject({ path: "server.port" })
        expect(yield* Effect.flip(config.set(Port, 5, { since }))).toMatchObject({ path: "server.port" })
        yield* config.set(Port, 2)
        expect(yield* config.get(Port)).toBe(2)
        expect(yield* config.update(Count, (n) => n + 1)).toBe(2)
      })
    )

    it.scopedLive("refuses to set inside of a transaction, at once", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const sql = yield* database.client
        const config = yield* configOn(sql)
        const error = yield* Effect.flip(sql.withTransaction(config.set("a", 1)))
        expect(error).toMatchObject({ _tag: "ConfigError", reason: "read_only", source: "foundation_config" })
        yield* config.set("a", 1)
      })
    )

    it.scopedLive("goes on with a set whose caller was interrupted, so that what is written is in force", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const config = yield* processOn(database, { watch: false })
        for (let value = 0; value < 20; value++) {
          const fiber = yield* Effect.fork(config.set("a", value))
          yield* Effect.repeatN(Effect.yieldNow(), value)
          yield* Fiber.interrupt(fiber)
        }
        // Waits for its turn behind all of them.
        yield* config.set("b", 1)
        const inForce = yield* config.get("a")
        yield* config.reload
        expect(yield* config.get("a")).toBe(inForce)
      })
    )

    it.scopedLive("ends a set that waits when the scope of the configuration closes, and takes no other", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const scope = yield* Scope.make()
        const config = yield* Scope.extend(processOn(database), scope)
        const sql = yield* database.client
        const held = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(
          sql.withTransaction(
            putRow(sql, "b", "1").pipe(
              Effect.zipRight(Deferred.succeed(held, undefined)),
              Effect.zipRight(Effect.never)
            )
          )
        )
        yield* Deferred.await(held)
        const setting = yield* Effect.fork(Effect.flip(config.set("a", 1)))
        yield* Effect.sleep("50 millis")
        yield* Scope.close(scope, Exit.void)
        expect(yield* Fiber.join(setting)).toMatchObject({ reason: "source_unavailable" })
        yield* Fiber.interrupt(holder)
        expect(yield* Effect.flip(config.set("a", 1))).toMatchObject({ reason: "source_unavailable" })
        expect(yield* config.get("a")).toBeUndefined()
      })
    )

    it.scopedLive("keeps every value as it is, however hostile", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const one = yield* processOn(database, { watch: false })
        const values: Readonly<Record<string, unknown>> = {
          quotes: `'; drop table foundation_config; --"\\`,
          text: "1",
          empty: "",
          "with space": "$1 ? :a %s",
          "emoji-🦆": "ü\u2028\u{1F986}\t\n\r",
          number: 1e-300,
          large: Number.MAX_SAFE_INTEGER,
          negative: -0.5,
          none: null,
          no: false,
          list: [[], [1, ["a"]], { x: null }],
          nothing: {},
          [`long${"k".repeat(1000)}`]: "v".repeat(100_000),
          "a/b": 1,
          "a%": 1,
          a_: 1
        }
        for (const [path, value] of Object.entries(values)) yield* one.set(path, value)
        const other = yield* processOn(database, { watch: false })
        expect((yield* other.snapshot).toJSON()).toEqual({ ...values })
        expect((yield* other.snapshot).toJSON()).toEqual((yield* one.snapshot).toJSON())
        yield* one.unset("a")
        yield* one.set("a", { x: 1 })
        yield* one.set("a", { y: 1 })
        expect(yield* one.get("a/b")).toBe(1)
        let deep: unknown = 1
        for (let depth = 0; depth < 90; depth++) deep = [deep]
        yield* one.set("deep", deep)
        yield* other.reload
        expect(yield* other.get("deep")).toEqual(deep)
      })
    )

    it.scopedLive("refuses what JSON or the database cannot hold, before anything is written", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const sql = yield* database.client
        const config = yield* configOn(sql)
        for (const [path, value] of [
          ["a", "\u0000"],
          ["a", "\ud800"],
          ["a", Number.NaN],
          ["a", Number.POSITIVE_INFINITY],
          ["a", 5n],
          ["a", new Date(0)],
          ["a", [new URL("http://x")]],
          ["a", { "b\u0000": 1 }],
          ["a\u0000b", 1],
          ["a\ud800", 1],
          ["a", { b: [undefined] }],
          ["a", "v".repeat(5 * 1024 * 1024)]
        ] as const) {
          const error = yield* Effect.flip(config.set(path, value))
          expect(["invalid_value", "invalid_key"], JSON.stringify([path])).toContain(error.reason)
        }
        expect(yield* rowsOf(sql)).toEqual([])
        yield* putRow(sql, "ids", `{"id": 12345678901234567890, "name": "n"}`)
        yield* config.reload
        expect(yield* Effect.flip(config.set("ids.name", "m"))).toMatchObject({ reason: "invalid_value" })
        yield* config.set("ids.other", "m")
      })
    )

    it.scopedLive("that cannot be taken says which key is to blame, when it is built and when it is read again", () =>
      Effect.gen(function* () {
        const cases: ReadonlyArray<
          readonly [rows: ReadonlyArray<readonly [string, string]>, path: string, reason: string]
        > = [
          [[["a..b", "1"]], "a..b", "invalid_key"],
          [[["", "1"]], "", "invalid_key"],
          [[["__proto__.x", "1"]], "__proto__.x", "invalid_key"],
          [[["a", `{"__proto__": {"x": "hunter2"}}`]], "a.__proto__", "invalid_key"],
          [
            [
              ["a", `"hunter2"`],
              ["a.b", "1"]
            ],
            "a.b",
            "invalid_key"
          ],
          [
            [
              ["a", `{"b": "hunter2"}`],
              ["a.b", "1"]
            ],
            "a.b",
            "invalid_key"
          ]
        ]
        for (const [rows, path, reason] of cases) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const database = yield* fresh
              const sql = yield* somebody(database)
              const config = yield* processOn(database, { watch: false })
              yield* config.set("good", 1)
              yield* Effect.forEach(rows, ([key, value]) => putRow(sql, key, value))
              for (const error of [yield* Effect.flip(config.reload), yield* Effect.flip(processOn(database))]) {
                expect(error).toMatchObject({ _tag: "ConfigError", reason, source: "foundation_config" })
                expect(error.path ?? "").toBe(path)
                expect(JSON.stringify(error) + String(error)).not.toContain("hunter2")
              }
              expect((yield* config.snapshot).toJSON()).toEqual({ good: 1 })
              yield* Effect.forEach(rows, ([key]) => sql`delete from foundation_config where key = ${key}`)
              yield* config.reload
            })
          )
        }
      })
    )

    it.scopedLive("that is too large is refused before it fills the memory, and no set makes it so", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const sql = yield* somebody(database)
        const config = yield* processOn(database, { watch: false })
        const mebibytes = (count: number) => JSON.stringify("v".repeat(count * 1024 * 1024 - 100))
        for (let row = 0; row < 5; row++) yield* putRow(sql, `row${row}`, mebibytes(3))
        yield* config.reload
        const error = yield* Effect.flip(config.set("more", "v".repeat(2 * 1024 * 1024)))
        expect(error.message).toContain("16777216 bytes")
        expect(yield* config.get("more")).toBeUndefined()
        yield* config.reload
        yield* putRow(sql, "more", mebibytes(3))
        const refused = yield* Effect.flip(config.reload)
        expect(refused).toMatchObject({ reason: "source_unavailable", source: "foundation_config" })
        expect(refused.message).toContain("16777216 bytes")
        yield* sql`delete from foundation_config where key = 'more'`
        yield* config.reload
      })
    )

    it.scopedLive("of another shape, or of a newer schema, is refused", () =>
      Effect.gen(function* () {
        const foreign = yield* fresh
        const sql = yield* foreign.client
        yield* sql`create table foundation_config (name text)`
        const error = yield* Effect.flip(processOn(foreign))
        expect(error).toMatchObject({ reason: "source_unavailable", source: "foundation_config" })
        expect(error.message).toContain("tables of its own")

        const altered = yield* fresh
        const other = yield* somebody(altered)
        const config = yield* processOn(altered, { watch: false })
        yield* config.set("a", 1)
        yield* other`alter table foundation_config rename column value to val`
        for (const attempt of [config.reload, config.set("a", 2), processOn(altered)]) {
          expect(yield* Effect.flip(attempt)).toMatchObject({
            reason: "source_unavailable",
            context: { kind: "schema" }
          })
        }
        expect(yield* config.get("a")).toBe(1)

        const newer = yield* fresh
        const third = yield* somebody(newer)
        yield* third`insert into foundation_config_migrations (migration_id, name) values (99, 'later')`
        expect((yield* Effect.flip(processOn(newer))).message).toContain("newer version")
      })
    )

    it.scopedLive("is made once by many at once", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const configs = yield* Effect.forEach(Array.from({ length: 6 }), () => processOn(database), {
          concurrency: "unbounded"
        })
        yield* Effect.forEach(configs, (config) => config.update(Count, (n) => n + 1), { concurrency: "unbounded" })
        yield* Effect.forEach(configs, (config) => reaches(config, "count", 6))
      })
    )

    it.scopedLive("has names that no option can turn into another statement", () =>
      Effect.gen(function* () {
        const sql = yield* (yield* fresh).client
        for (const prefix of ["", "A", "x; drop table y", 'x"', "x'", "é", "1x", "x".repeat(32)]) {
          expect(yield* Effect.flip(configOn(sql, { prefix }))).toMatchObject({
            reason: "invalid_value",
            path: "prefix"
          })
        }
      })
    )

    it.scopedLive("has a writer that waits for another's lock give up at its deadline, with nothing changed", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const config = yield* processOn(database, { deadline: "300 millis", watch: false })
        yield* config.set("a", 1)
        const sql = yield* database.client
        const held = yield* Deferred.make<void>()
        const release = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(
          sql.withTransaction(
            Effect.zipRight(putRow(sql, "b", "1"), Deferred.succeed(held, undefined)).pipe(
              Effect.zipRight(Deferred.await(release))
            )
          )
        )
        yield* Deferred.await(held)
        const error = yield* Effect.flip(config.set("a", 2))
        expect(error).toMatchObject({ reason: "source_unavailable", path: "a", source: "foundation_config" })
        expect(yield* config.get("a")).toBe(1)
        // Nobody who only reads waits.
        yield* config.reload
        yield* Deferred.succeed(release, undefined)
        yield* Fiber.join(holder)
        yield* config.reload
        yield* config.set("a", 3)
        expect((yield* config.snapshot).toJSON()).toEqual({ a: 3, b: 1 })
      })
    )
  })
}

describe("a file of SQLite that this process itself holds locked", () => {
  it.scopedLive("takes a set at its deadline for refused, and after the transaction again", () =>
    Effect.gen(function* () {
      const database = yield* sqliteFile
      const sql = yield* database.client
      const config = yield* configOn(sql, { deadline: "200 millis", watch: false })
      const held = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(
        sql.withTransaction(Effect.zipRight(Deferred.succeed(held, undefined), Deferred.await(release)))
      )
      yield* Deferred.await(held)
      for (const attempt of [config.set("a", 1), config.update("a", () => 1), config.reload]) {
        expect(yield* Effect.flip(attempt)).toMatchObject({ reason: "source_unavailable", source: "foundation_config" })
      }
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(holder)
      yield* config.set("a", 2)
      expect(yield* config.get("a")).toBe(2)
    })
  )
})

describe("a database whose transactions are serializable", () => {
  it.scopedLive("loses no update, and refuses none", () =>
    Effect.gen(function* () {
      const database = yield* postgresDatabase
      const sql = yield* database.client
      const name = new URL(database.address).pathname.slice(1)
      yield* sql.unsafe(`alter database ${name} set default_transaction_isolation = 'serializable'`)
      const processes = yield* Effect.forEach(Array.from({ length: 3 }), () => processOn(database, patient))
      yield* Effect.forEach(
        processes,
        (config) => Effect.forEach(Array.from({ length: 10 }), () => config.update(Count, (n) => n + 1)),
        { concurrency: "unbounded" }
      )
      yield* Effect.forEach(processes, (config) => reaches(config, "count", 30))
    })
  )
})

describe("a table that is looked at", () => {
  it.scoped("is read again within a second of a change, and not where nothing has changed", () =>
    Effect.gen(function* () {
      const database = yield* sqliteFile
      const reloads: Array<unknown> = []
      const telemetry = yield* Telemetry
      yield* telemetry.attach("test", "config.reload", (event) => {
        reloads.push(event.metadata.outcome)
      })
      const sql = yield* database.client
      const config = yield* Config.make({ sources: [ConfigSql.source({ writable: true })] }).pipe(
        Effect.provideService(SqlClient, sql)
      )
      const other = yield* database.client
      yield* settled
      yield* config.set("a", 1)
      yield* TestClock.adjust("5 seconds")
      expect(reloads).toEqual(["unchanged"])
      yield* putRow(other, "a", "2")
      yield* TestClock.adjust("1 second")
      expect(yield* config.get("a")).toBe(2)
      yield* putRow(other, "a", `"x"`)
      yield* TestClock.adjust("1 second")
      expect(yield* config.get("a")).toBe("x")
      yield* putRow(other, "b", "1")
      yield* config.set("c", 1)
      expect(yield* config.get("b")).toBeUndefined()
      yield* TestClock.adjust("1 second")
      expect(yield* config.get("b")).toBe(1)
      // Over the very connection that the configuration has.
      yield* sql`delete from foundation_config`
      yield* TestClock.adjust("1 second")
      expect(yield* config.get("a")).toBeUndefined()
      yield* TestClock.adjust("5 seconds")
      expect(reloads).toEqual(["unchanged", "changed", "changed", "changed", "changed"])
    }).pipe(Effect.provide(Telemetry.layer))
  )
})
