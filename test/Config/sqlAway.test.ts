import { NodeFileSystem } from "@effect/platform-node"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Redacted, Schema, Stream } from "effect"
import { Config } from "effect-foundation/Config"
import * as ConfigSql from "effect-foundation/Config/Sql"
import type { ConfigError } from "effect-foundation/FoundationError"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { Telemetry } from "effect-foundation/Telemetry"
import { startPostgres } from "../../examples/servers/Postgres.js"
import { freshDatabase, sharedPostgres } from "../support/postgres.js"
import { makeProxy } from "../support/proxy.js"
import { configOn, databaseAt, postgresDatabase, processOn, putRow, reaches, sqliteFile } from "./sqlDatabases.js"

const nothing = (error: ConfigError, ...secrets: ReadonlyArray<string>) => {
  const text = JSON.stringify(error) + String(error) + String(error.stack) + String(error.cause)
  for (const secret of secrets) expect(text).not.toContain(secret)
}

const reloadsOf = (config: Config.Service) => config.reload.pipe(Effect.flip, Effect.timeout("20 seconds"))

describe("while PostgreSQL is away", () => {
  it.scopedLive(
    "the last good configuration stays, calls fail within the deadline, and all goes on when it is back",
    () =>
      Effect.gen(function* () {
        const server = yield* startPostgres()
        const database = databaseAt(Redacted.value(server.url))
        const config = yield* processOn(database, { deadline: "1 second" })
        const other = yield* processOn(database, { deadline: "1 second" })
        yield* config.set("a", 0)
        yield* reaches(other, "a", 0)
        let value = 0
        const outages: ReadonlyArray<
          readonly [name: string, begin: Effect.Effect<void>, end: Effect.Effect<unknown, unknown>]
        > = [
          ["stopped", server.stop, server.start],
          ["frozen", server.freeze, server.thaw],
          ["killed", server.kill, server.start]
        ]
        for (const [name, begin, end] of outages) {
          const before = yield* other.snapshot
          yield* begin
          expect(yield* reloadsOf(other), name).toMatchObject({
            reason: "source_unavailable",
            source: "foundation_config"
          })
          const refused = yield* Effect.flip(other.set("b", name))
          expect(refused, name).toMatchObject({ reason: "source_unavailable", path: "b", source: "foundation_config" })
          expect(yield* Effect.flip(other.update("b", () => name)), name).toMatchObject({
            reason: "source_unavailable"
          })
          // What was not written in time holds up nobody.
          expect(yield* reloadsOf(other), name).toMatchObject({ reason: "source_unavailable" })
          expect(yield* other.snapshot, name).toBe(before)
          nothing(refused, Redacted.value(server.url), new URL(Redacted.value(server.url)).password)
          yield* end
          value++
          const set = config.set("a", value)
          yield* Effect.retry(set, { while: ({ reason }) => reason === "source_unavailable" || reason === "conflict" })
          // Nobody asks the other to reload.
          yield* reaches(other, "a", value)
        }
        yield* other.reload
      }),
    90_000
  )

  it.scopedLive("a configuration is not built, and says so within the deadline", () =>
    Effect.gen(function* () {
      const server = yield* startPostgres()
      const client = yield* databaseAt(Redacted.value(server.url)).client
      yield* server.freeze
      const error = yield* Effect.flip(configOn(client, { deadline: "500 millis" })).pipe(Effect.timeout("10 seconds"))
      expect(error).toMatchObject({ _tag: "ConfigError", reason: "source_unavailable", context: { kind: "timeout" } })
      yield* server.stop
      const other = yield* Effect.flip(configOn(client, { deadline: "500 millis" }))
      expect(other).toMatchObject({ reason: "source_unavailable", source: "foundation_config" })
      nothing(error, new URL(Redacted.value(server.url)).password)
      yield* server.start
      yield* Effect.retry(configOn(client), { times: 20 })
    })
  )

  it.scopedLive("what others set is seen by polling where the listening connection alone is cut off", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const proxy = yield* makeProxy(Number(new URL(Redacted.value(yield* sharedPostgres)).port))
      const database = databaseAt(Redacted.value(url))
      const here = yield* Layer.build(postgresClient({ url: proxy.through(url) }))
      const config = yield* Effect.flatMap(SqlClient, (sql) => configOn(sql, { pollInterval: "50 millis" })).pipe(
        Effect.provide(here)
      )
      const other = yield* processOn(database)
      yield* other.set("a", 1)
      yield* reaches(config, "a", 1)
      yield* proxy.cut
      yield* other.set("a", 2)
      yield* reaches(config, "a", 2)
      yield* proxy.refuse
      yield* other.set("a", 3)
      yield* proxy.heal
      yield* reaches(config, "a", 3)
      yield* proxy.blackhole
      yield* other.set("a", 4)
      yield* proxy.cut
      yield* proxy.heal
      yield* reaches(config, "a", 4)
    })
  )

  it.scopedLive("a write that the network has swallowed holds up nobody", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const proxy = yield* makeProxy(Number(new URL(Redacted.value(yield* sharedPostgres)).port))
      const sql = Context.get(yield* Layer.build(postgresClient({ url: proxy.through(url) })), SqlClient)
      const config = yield* configOn(sql, { deadline: "300 millis", watch: false })
      // Connections that stand already, so that the write gets as far as its transaction.
      yield* Effect.all(
        Array.from({ length: 8 }, () => sql`select pg_sleep(0.1)`),
        { concurrency: "unbounded" }
      )
      yield* proxy.blackhole
      expect(yield* Effect.flip(config.set("a", 1))).toMatchObject({ reason: "source_unavailable", path: "a" })
      expect(yield* reloadsOf(config)).toMatchObject({ reason: "source_unavailable" })
      expect(yield* Effect.flip(config.set("a", 1))).toMatchObject({ reason: "source_unavailable", path: "a" })
      yield* proxy.cut
      yield* proxy.heal
      yield* Effect.retry(config.reload, { times: 20 })
      yield* config.set("b", 2)
    })
  )

  it.scopedLive("nobody can listen through a pooler of transactions, and changes come by polling", () =>
    Effect.gen(function* () {
      const database = yield* postgresDatabase
      const sql = yield* database.client
      const config = yield* configOn(sql, { pollInterval: "50 millis" })
      const other = yield* processOn(database)
      // Nobody hears of it: as if the notice had been swallowed.
      yield* sql`alter table foundation_config disable trigger changes`
      yield* putRow(sql, "a", "1")
      yield* sql`update foundation_config_revision set revision = revision + 1`
      yield* sql`alter table foundation_config enable trigger changes`
      yield* sql`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name like ${"%(listening)"} and datname = current_database()`
      yield* Effect.all([reaches(config, "a", 1), reaches(other, "a", 1)])
    })
  )
})

describe("a user of PostgreSQL", () => {
  const role = (name: string) =>
    Effect.gen(function* () {
      const admin = yield* postgresDatabase
      const sql = yield* admin.client
      const user = `${name}_${Math.floor(Number(process.hrtime.bigint() % 1_000_000_000n))}`
      yield* sql.unsafe(`create role ${user} login password 'hunter2-password'`)
      yield* Effect.addFinalizer(() =>
        Effect.ignore(Effect.zipRight(sql.unsafe(`drop owned by ${user}`), sql.unsafe(`drop role ${user}`)))
      )
      const url = new URL(admin.address)
      url.username = user
      url.password = "hunter2-password"
      return { admin, sql, user, database: databaseAt(url.href) }
    })

  it.scopedLive("who may not create the table, or not read it, is told so without the password", () =>
    Effect.gen(function* () {
      const { admin, database, sql, user } = yield* role("stranger")
      for (const prepare of [
        Effect.void,
        Effect.scoped(processOn(admin)),
        sql.unsafe(`grant select on foundation_config_migrations to ${user}`)
      ]) {
        yield* prepare
        const error = yield* Effect.flip(processOn(database, { writable: false }))
        expect(error).toMatchObject({ reason: "source_unavailable", context: { kind: "denied" } })
        expect(error.message).toContain("grant it")
        nothing(error, "hunter2")
      }
    })
  )

  it.scopedLive("who may only read has the table as a source, and not as one that is written to", () =>
    Effect.gen(function* () {
      const { admin, database, sql, user } = yield* role("reader")
      const writer = yield* processOn(admin)
      yield* sql.unsafe(
        `grant select on foundation_config, foundation_config_revision, foundation_config_migrations to ${user}`
      )
      const error = yield* Effect.flip(processOn(database))
      expect(error).toMatchObject({ reason: "read_only", source: "foundation_config" })
      expect(error.message).toContain("grant INSERT, UPDATE and DELETE on foundation_config")
      const reader = yield* processOn(database, { writable: false })
      yield* writer.set("a", 1)
      yield* reaches(reader, "a", 1)
    })
  )

  it.scopedLive("who may write may, until the right is taken away; then a set changes nothing", () =>
    Effect.gen(function* () {
      const { admin, database, sql, user } = yield* role("writer")
      const owner = yield* processOn(admin)
      yield* sql.unsafe(
        `grant select on foundation_config, foundation_config_revision, foundation_config_migrations to ${user}`
      )
      yield* sql.unsafe(`grant insert, update, delete on foundation_config to ${user}`)
      expect((yield* Effect.flip(processOn(database))).message).toContain("UPDATE on foundation_config_revision")
      yield* sql.unsafe(`grant update on foundation_config_revision to ${user}`)
      const config = yield* processOn(database)
      yield* config.set("a", 1)
      yield* reaches(owner, "a", 1)
      yield* sql.unsafe(`revoke insert, update on foundation_config from ${user}`)
      const error = yield* Effect.flip(config.set("a", 2))
      expect(error).toMatchObject({ reason: "read_only", path: "a", source: "foundation_config" })
      nothing(error, "hunter2")
      expect(yield* config.get("a")).toBe(1)
      expect(yield* owner.get("a")).toBe(1)
    })
  )
})

describe("a table in a schema", () => {
  it.scopedLive("is changed by who names the schema, and wakes nobody of another one", () =>
    Effect.gen(function* () {
      const database = yield* postgresDatabase
      const admin = yield* database.client
      const inSchema = (name: string) =>
        Effect.gen(function* () {
          yield* admin.unsafe(`create schema ${name}`)
          return databaseAt(`${database.address}?options=-c%20search_path%3D${name}`)
        })
      const one = yield* processOn(yield* inSchema("one"), { pollInterval: "1 hour" })
      const two = yield* processOn(yield* inSchema("two"), { pollInterval: "1 hour" })
      const heard: Array<string> = []
      const fiber = yield* Effect.fork(Stream.runForEach(two.changes, ({ key }) => Effect.sync(() => heard.push(key))))
      yield* admin`insert into one.foundation_config (key, value) values ('a', '1')`
      yield* reaches(one, "a", 1)
      yield* one.set("b", 1)
      yield* two.set("c", 1)
      expect(heard).toEqual(["c"])
      yield* admin`truncate one.foundation_config`
      yield* reaches(one, "a", undefined)
      expect(yield* two.get("c")).toBe(1)
      yield* Fiber.interrupt(fiber)
    })
  )
})

describe("a file of SQLite", () => {
  it.scopedLive("with values that are no JSON says which key, and never the value", () =>
    Effect.gen(function* () {
      const database = yield* sqliteFile
      const sql = yield* database.client
      const config = yield* processOn(database, { pollInterval: "20 millis" })
      yield* config.set("good", 1)
      expect((yield* Effect.flip(putRow(sql, "db.password", "hunter2")))._tag).toBe("SqlError")
      yield* sql`PRAGMA ignore_check_constraints = on`
      yield* putRow(sql, "db.password", "hunter2")
      for (const error of [yield* Effect.flip(config.reload), yield* Effect.flip(processOn(database))]) {
        expect(error).toMatchObject({ reason: "invalid_value", path: "db.password", source: "foundation_config" })
        expect(error.message).toContain("not JSON")
        nothing(error, "hunter2")
      }
      yield* config.set("other", 2).pipe(Effect.flip)
      yield* config.set("db.password", "hunter2")
      yield* config.set("other", 2)
      expect((yield* config.snapshot).toJSON()).toEqual({ db: { password: "<redacted>" }, good: 1, other: 2 })
    })
  )

  it.scopedLive("that may only be read can be a source, and says so where it is written to", () =>
    Effect.gen(function* () {
      const database = yield* sqliteFile
      const Port = Config.Key("port", Schema.Number)
      const writer = yield* processOn(database)
      yield* writer.set(Port, 1)
      const sql = yield* database.client
      yield* sql`PRAGMA query_only = on`
      const config = yield* configOn(sql)
      expect(yield* config.get(Port)).toBe(1)
      expect(yield* Effect.flip(config.set(Port, 2))).toMatchObject({ reason: "read_only", path: "port" })
      expect(yield* config.get(Port)).toBe(1)
    })
  )
})

describe("a disk that is full", () => {
  it.scopedLive("refuses a set and changes nothing, until there is room", () =>
    Effect.gen(function* () {
      const database = yield* sqliteFile
      const sql = yield* database.client
      const config = yield* configOn(sql)
      yield* config.set("a", 1)
      yield* sql`PRAGMA max_page_count = 20`
      const error = yield* Effect.flip(config.set("large", "v".repeat(1_000_000)))
      expect(error).toMatchObject({ reason: "source_unavailable", path: "large", context: { kind: "full" } })
      expect((yield* config.snapshot).toJSON()).toEqual({ a: 1 })
      yield* sql`PRAGMA max_page_count = 10000`
      yield* config.set("large", "v".repeat(1_000_000))
      yield* config.set("a", 2)
      yield* config.reload
      expect(yield* config.get("a")).toBe(2)
    })
  )
})

describe("the default sources with a table", () => {
  it.scopedLive("are a file, the table and the environment, in this order", () =>
    Effect.gen(function* () {
      const config = yield* Config
      yield* config.set("a", 1)
      expect(yield* config.get("a")).toBe(1)
    }).pipe(
      Effect.provide(ConfigSql.layer({ writable: true })),
      Effect.provide(Telemetry.layer),
      Effect.provideServiceEffect(
        SqlClient,
        Effect.flatMap(sqliteFile, ({ client }) => client)
      ),
      Effect.provide(NodeFileSystem.layer)
    )
  )
})
