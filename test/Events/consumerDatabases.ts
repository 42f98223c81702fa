import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SqlClient } from "@effect/sql"
import { Effect, Layer, Redacted } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { freshDatabase } from "../support/postgres.js"

/** Where a database is: the path of a file, or a URL. */
export type Place = string

export const clientAt = (place: Place) =>
  place.startsWith("postgres") ? postgresClient({ url: place, maxConnections: 6 }) : sqliteClient({ filename: place })

/** One more process at the place, as far as its connections go. */
export const processAt = (place: Place, options: EventsSql.Options = {}) =>
  Layer.provideMerge(EventsSql.layerWith(options), clientAt(place))

const file = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "consumers-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
).pipe(Effect.map((directory): Place => join(directory, "events.db")))

const database = Effect.map(freshDatabase, (url): Place => Redacted.value(url))

/** A place of its own on each engine. */
export const places = { SQLite: file, PostgreSQL: database } as const

/** A table of what a handler did: each row is one event that it has handled. */
export const makeDone = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`CREATE TABLE done (position BIGINT NOT NULL, worker TEXT NOT NULL)`
)

export const doneRows = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(sql<{ position: unknown; worker: string }>`SELECT position, worker FROM done ORDER BY position`, (rows) =>
    rows.map(({ position, worker }) => ({ position: Number(position), worker }))
  )
)

export const writeDone = (position: number, worker: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO done (position, worker) VALUES (${position}, ${worker})`)
