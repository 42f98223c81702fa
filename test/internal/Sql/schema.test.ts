import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, type Scope } from "effect"
import type { ConfigError } from "effect-foundation/FoundationError"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { type Migration, upToDate } from "effect-foundation/internal/Sql/Schema"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { freshDatabase } from "../../support/postgres.js"

type Client = Layer.Layer<SqlClient.SqlClient, ConfigError>

/** A new database, and a client of it for each process that is to use it. */
const databases = {
  SQLite: Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "schema-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  ).pipe(Effect.map((path) => () => sqliteClient({ filename: join(path, "foundation.db") }))),
  PostgreSQL: Effect.map(freshDatabase, (url) => () => postgresClient({ url, maxConnections: 1 }))
} satisfies Record<string, Effect.Effect<() => Client, never, Scope.Scope>>

const table = "things_migrations"
const step = (id: number, statement: string): Migration => [
  id,
  `step_${id}`,
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement))
]
const migrations = [
  step(1, "create table things (name text primary key)"),
  step(2, "insert into things values ('first')"),
  step(3, "alter table things add column size integer")
]
const things = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select * from things`)

describe.each(Object.entries(databases))("a schema on %s", (_, database) => {
  it.scopedLive("is made once by many that start at the same time, and each finds it whole", () =>
    Effect.gen(function* () {
      const client = yield* database
      const process = Effect.zipRight(upToDate({ table, migrations }), things)
      const found = yield* Effect.forEach(Array.from({ length: 12 }), () => Effect.provide(process, client()), {
        concurrency: "unbounded"
      })
      for (const rows of found) expect(rows).toEqual([{ name: "first", size: null }])
    })
  )

  it.scopedLive("goes on from the step that it has reached", () =>
    Effect.gen(function* () {
      const client = yield* database
      yield* Effect.provide(upToDate({ table, migrations: migrations.slice(0, 2) }), client())
      const after = Effect.zipRight(upToDate({ table, migrations }), things)
      expect(yield* Effect.provide(after, client())).toEqual([{ name: "first", size: null }])
    })
  )

  it.scopedLive("is refused where a newer version has made it", () =>
    Effect.gen(function* () {
      const client = yield* database
      yield* Effect.provide(upToDate({ table, migrations }), client())
      const older = upToDate({ table, migrations: migrations.slice(0, 2) })
      expect(yield* Effect.flip(Effect.provide(older, client()))).toMatchObject({
        kind: "schema",
        message: expect.stringContaining("schema 3, and this version knows schemas up to 2")
      })
    })
  )

  it.scopedLive("is left as it was by a step that fails, which says why", () =>
    Effect.gen(function* () {
      const client = yield* database
      yield* Effect.provide(upToDate({ table, migrations: migrations.slice(0, 1) }), client())
      const broken = upToDate({ table, migrations: [...migrations, step(4, "insert into nothing values (1)")] })
      expect(yield* Effect.flip(Effect.provide(broken, client()))).toMatchObject({
        kind: "schema",
        detail: expect.stringContaining("nothing")
      })
      expect(yield* Effect.provide(things, client())).toEqual([])
      const mended = Effect.zipRight(upToDate({ table, migrations }), things)
      expect(yield* Effect.provide(mended, client())).toEqual([{ name: "first", size: null }])
    })
  )
})

describe("a schema on SQLite whose connection another fiber has", () => {
  it.scopedLive("is given up at the deadline, and not made behind the back of who gave up", () =>
    Effect.gen(function* () {
      const client = yield* Effect.flatMap(databases.SQLite, (client) => Layer.build(client()))
      const sql = Context.get(client, SqlClient.SqlClient)
      const held = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(
        sql.withTransaction(Effect.zipRight(Deferred.succeed(held, undefined), Deferred.await(release)))
      )
      yield* Deferred.await(held)
      const made = Effect.provide(upToDate({ table, migrations, deadline: "50 millis" }), client)
      expect(yield* Effect.flip(made)).toMatchObject({ kind: "timeout" })
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(holder)
      // In the connection's own turn: whoever waited for it before has had it.
      expect(yield* sql`select name from sqlite_master`).toEqual([])
    })
  )
})
