import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Dialect } from "../../internal/Sql/Dialect.js"
import type { Migration } from "../../internal/Sql/Schema.js"
import { consumerSchema, consumerTablesOf } from "./ConsumerTables.js"
import { postgresPending } from "./PostgresPendingSchema.js"
import { postgresPut, postgresPutHeard } from "./PostgresPutSchema.js"
import { postgresTables } from "./PostgresSchema.js"
import { sqliteTables, sqliteTriggers } from "./SqliteSchema.js"
import type { Tables } from "./Tables.js"

/** The steps that bring the tables of a log up to date. */
export const migrations = (dialect: Dialect, tables: Tables): ReadonlyArray<Migration> => {
  const consumers: Migration = [2, "consumers", running(consumerSchema(dialect, consumerTablesOf(tables.events)))]
  return dialect === "pg"
    ? [
        [1, "events", running(postgresTables(tables))],
        consumers,
        [3, "put", running(postgresPut(tables))],
        [4, "pending", running(postgresPending(tables))],
        [5, "heard", running(postgresPutHeard(tables))]
      ]
    : [[1, "events", running(sqliteTables(tables))], consumers, [3, "triggers", running(sqliteTriggers(tables))]]
}

const running = (statements: ReadonlyArray<string>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
  )
