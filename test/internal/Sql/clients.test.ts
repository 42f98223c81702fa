import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule } from "effect"
import { ConfigError } from "effect-foundation/FoundationError"
import { listen } from "effect-foundation/internal/Sql/Notices"
import { type PostgresOptions, postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { startPostgres } from "../../../examples/servers/Postgres.js"
import { sharedPostgres } from "../../support/postgres.js"
import { makeProxy } from "../../support/proxy.js"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "clients-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const silent = { notified: () => undefined, resync: () => undefined, lost: () => undefined }

const failureOf = <A>(layer: Layer.Layer<A, ConfigError>) =>
  Effect.map(Effect.flip(Effect.scoped(Layer.build(layer))), (error) => {
    expect(error).toBeInstanceOf(ConfigError)
    return error
  })

describe("a client of SQLite", () => {
  it.scopedLive("opens a file in WAL mode, and waits little for the locks of others", () =>
    Effect.gen(function* () {
      const filename = join(yield* directory, "new.db")
      const settings = Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        return [yield* sql`PRAGMA journal_mode`, yield* sql`PRAGMA busy_timeout`]
      })
      expect(yield* Effect.provide(settings, sqliteClient({ filename }))).toEqual([
        [{ journal_mode: "wal" }],
        [{ timeout: 20 }]
      ])
    })
  )

  it.scopedLive("says of a file that it cannot open what to do", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const damaged = join(path, "damaged.db")
      writeFileSync(damaged, "this is no database, however long it is ".repeat(100))
      chmodSync(damaged, 0o600)
      expect(yield* failureOf(sqliteClient({ filename: damaged }))).toMatchObject({
        reason: "source_unavailable",
        path: "sqlite.filename",
        context: { kind: "corrupt", code: "SQLITE_NOTADB" }
      })
      const nowhere = yield* failureOf(sqliteClient({ filename: join(path, "missing", "x.db") }))
      expect(nowhere.message).toContain("see that its directory exists")
    })
  )

  it.effect("refuses what is no name of a file, which the driver would take for one that is gone at the end", () =>
    Effect.gen(function* () {
      for (const filename of ["", "  ", undefined as unknown as string]) {
        expect(yield* failureOf(sqliteClient({ filename }))).toMatchObject({
          reason: "invalid_value",
          path: "sqlite.filename"
        })
      }
    })
  )

  it.effect("refuses a deadline that is none", () =>
    Effect.gen(function* () {
      for (const deadline of [Number.NaN, 0, -1, Number.POSITIVE_INFINITY, "soon" as "1 second"]) {
        expect(yield* failureOf(sqliteClient({ filename: ":memory:", deadline }))).toMatchObject({
          reason: "invalid_value",
          path: "sqlite.deadline"
        })
      }
    })
  )

  it.scopedLive("is opened by many at once, where the file is new", () =>
    Effect.gen(function* () {
      const filename = join(yield* directory, "new.db")
      const layers = Array.from({ length: 8 }, () => sqliteClient({ filename }))
      yield* Effect.forEach(layers, Layer.build, { concurrency: "unbounded" })
    })
  )
})

describe("a client of SQLite and a file that another holds locked", () => {
  /** Holds the file, in the mode before WAL, until it is let go. */
  const locked = Effect.gen(function* () {
    const filename = join(yield* directory, "locked.db")
    const holder = yield* Effect.provide(
      SqlClient.SqlClient,
      yield* Layer.build(SqliteClient.layer({ filename, disableWAL: true }))
    )
    yield* holder`create table things (name text)`
    yield* holder`begin exclusive`
    return { filename, letGo: holder`commit` }
  })

  it.scopedLive("lets others run while it waits, and opens the file when it is free", () =>
    Effect.gen(function* () {
      const { filename, letGo } = yield* locked
      // Both in this process: whoever stopped it to wait would wait in vain.
      yield* Effect.all(
        [Layer.build(sqliteClient({ filename, deadline: "4 seconds" })), Effect.delay(letGo, "50 millis")],
        {
          concurrency: "unbounded"
        }
      )
    })
  )

  it.scopedLive("says in time that it is locked", () =>
    Effect.gen(function* () {
      const { filename } = yield* locked
      expect(yield* failureOf(sqliteClient({ filename, deadline: "100 millis" }))).toMatchObject({
        reason: "source_unavailable",
        context: { kind: "locked", code: "SQLITE_BUSY" }
      })
    })
  )
})

describe("a client of PostgreSQL", () => {
  it.scopedLive("says of a server that it cannot use what to do, and never the password", () =>
    Effect.gen(function* () {
      const url = new URL(Redacted.value(yield* sharedPostgres))
      const { password } = url
      const cases: ReadonlyArray<readonly [change: (url: URL) => void, kind: string, advice: RegExp]> = [
        [(url) => (url.password = "not-the-password"), "denied", /user or the password/],
        [(url) => (url.pathname = "/not_there"), "schema", /no such database/],
        [(url) => (url.port = "1"), "unreachable", /see that it runs/],
        [(url) => (url.hostname = "host.invalid"), "unreachable", /correct its name|looked up/]
      ]
      for (const [change, kind, advice] of cases) {
        const wrong = new URL(url)
        change(wrong)
        const error = yield* failureOf(postgresClient({ url: wrong.href, connectTimeout: "3 seconds" }))
        expect(error).toMatchObject({ reason: "source_unavailable", path: "postgres.url", context: { kind } })
        expect(error.message).toMatch(advice)
        for (const secret of [password, "not-the-password"]) {
          expect(JSON.stringify(error) + String(error.stack) + String(error.cause)).not.toContain(secret)
        }
      }
    })
  )

  it.scopedLive("gives up a connection that has swallowed a statement, and takes another", () =>
    Effect.gen(function* () {
      const proxy = yield* makeProxy(Number(new URL(Redacted.value(yield* sharedPostgres)).port))
      const url = proxy.through(yield* sharedPostgres)
      const context = yield* Layer.build(postgresClient({ url, maxConnections: 1, silence: "200 millis" }))
      const answer = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select 1 as one`).pipe(Effect.provide(context))
      yield* proxy.blackhole
      expect(yield* Effect.flip(answer)).toMatchObject({ _tag: "SqlError" })
      yield* proxy.cut
      yield* proxy.heal
      expect(yield* answer).toEqual([{ one: 1 }])
    })
  )

  it.scopedLive("keeps a connection that is silent because nothing was asked", () =>
    Effect.gen(function* () {
      const url = yield* sharedPostgres
      const context = yield* Layer.build(postgresClient({ url, maxConnections: 1, silence: "50 millis" }))
      const backend = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select pg_backend_pid() as pid`).pipe(
        Effect.provide(context)
      )
      const before = yield* backend
      yield* Effect.sleep("200 millis")
      expect(yield* backend).toEqual(before)
    })
  )

  it.effect("refuses what is no URL of PostgreSQL, without quoting it", () =>
    Effect.gen(function* () {
      for (const url of [
        "",
        "host/db",
        "mysql://root:hunter2@host/db",
        "postgres://u:hunter2@ho st/db",
        "postgres://u:hunter2%ff@host/db",
        "postgres://u:hunter2@host/db?sslrootcert=/not/there.pem"
      ]) {
        const error = yield* failureOf(postgresClient({ url: Redacted.make(url) }))
        expect(error).toMatchObject({ reason: "invalid_value", path: "postgres.url" })
        expect(JSON.stringify(error)).not.toContain("hunter2")
      }
    })
  )

  it.effect("refuses options that are none", () =>
    Effect.gen(function* () {
      const url = "postgres://localhost:1/x"
      const cases: ReadonlyArray<Partial<PostgresOptions>> = [
        ...[0, -1, 1.5, Number.NaN].map((maxConnections) => ({ maxConnections })),
        ...[0, Number.NaN, Number.POSITIVE_INFINITY, "soon" as "1 second"].map((connectTimeout) => ({
          connectTimeout
        })),
        ...[0, Number.NaN, Number.POSITIVE_INFINITY, "soon" as "1 second"].map((silence) => ({ silence }))
      ]
      for (const options of cases) {
        const [name] = Object.keys(options)
        expect(yield* failureOf(postgresClient({ url, ...options })), JSON.stringify(options)).toMatchObject({
          reason: "invalid_value",
          path: `postgres.${name}`
        })
      }
    })
  )

  it.scopedLive(
    "leaves no connection behind where the server is frozen",
    () =>
      Effect.gen(function* () {
        const server = yield* startPostgres()
        const sockets = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length
        const before = sockets()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const context = yield* Layer.build(postgresClient({ url: server.url }))
            const sql = yield* Effect.provide(SqlClient.SqlClient, context)
            yield* listen(sql, { channel: "things", pollInterval: "1 second" }, silent)
            expect(sockets()).toBeGreaterThan(before)
            yield* server.freeze
            yield* Effect.forkDaemon(Effect.exit(sql`select 1`))
            yield* Effect.sleep("10 millis")
          })
        )
        yield* Effect.repeat(Effect.sync(sockets), {
          until: (open) => open <= before,
          schedule: Schedule.spaced("20 millis")
        }).pipe(Effect.timeout("10 seconds"), Effect.ensuring(server.thaw))
      }),
    30_000
  )
})
