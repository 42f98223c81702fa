import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { ConfigError } from "effect-foundation/FoundationError"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { sharedPostgres } from "../../support/postgres.js"
import { makeProxy } from "../../support/proxy.js"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "clients-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

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

  it.scopedLive("is opened by many at once, where the file is new", () =>
    Effect.gen(function* () {
      const filename = join(yield* directory, "new.db")
      const layers = Array.from({ length: 8 }, () => sqliteClient({ filename }))
      yield* Effect.forEach(layers, Layer.build, { concurrency: "unbounded" })
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
      for (const url of ["", "host/db", "mysql://root:hunter2@host/db", "postgres://u:hunter2@ho st/db"]) {
        const error = yield* failureOf(postgresClient({ url: Redacted.make(url) }))
        expect(error).toMatchObject({ reason: "invalid_value", path: "postgres.url" })
        expect(JSON.stringify(error)).not.toContain("hunter2")
      }
    })
  )
})
