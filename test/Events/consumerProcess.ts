import { SqlClient } from "@effect/sql"
import { Effect, Layer } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"

// What a test and its children share: nothing of the test runner.

/** Where a database is: the path of a file, or a URL. */
export type Place = string

export const clientAt = (place: Place) =>
  place.startsWith("postgres") ? postgresClient({ url: place, maxConnections: 6 }) : sqliteClient({ filename: place })

/** One more process at the place, as far as its connections go. */
export const processAt = (place: Place, options: EventsSql.Options = {}) =>
  Layer.provideMerge(EventsSql.layer(options), clientAt(place))

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
