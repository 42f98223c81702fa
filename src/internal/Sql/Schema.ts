import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Dialect, dialectOf } from "./Dialect.js"
import { type SqlFailure, wrongSchema } from "./Failure.js"
import { insisting } from "./Guard.js"
import { immediately } from "./Immediate.js"
import { outside } from "./outside.js"

/** One step of a schema: never changed once it is released, only followed by another. */
export type Migration = readonly [id: number, name: string, run: Effect.Effect<unknown, SqlError, SqlClient.SqlClient>]

export interface SchemaOptions {
  /** The table that keeps which steps were taken: `foundation_events_migrations`. Its name is valid already. */
  readonly table: string
  readonly migrations: ReadonlyArray<Migration>
  readonly deadline?: Duration.DurationInput
}

/**
 * Brings the tables of one component up to date with @effect/sql's Migrator. Any number of processes may do so at once:
 * one takes the steps, the others wait for it. Where the schema is up to date it only reads, so that it needs no right
 * to create tables. A schema that is newer than the last step is refused.
 */
export const upToDate = (options: SchemaOptions): Effect.Effect<void, SqlFailure, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const dialect = yield* dialectOf(sql)
    const newest = options.migrations.reduce((newest, [id]) => Math.max(newest, id), 0)
    const found = yield* versionIn(sql, dialect, options.table)
    if (found > newest) return yield* Effect.fail(newer(found, newest))
    if (found === newest) return
    const run = dialect === "pg" ? migratePostgres(sql, options) : immediately(sql, migrator(options))
    // What the Migrator complains of carries the error of the database.
    yield* Effect.provideService(Effect.catchTag(run, "MigrationError", Effect.die), SqlClient.SqlClient, sql)
    const reached = yield* versionIn(sql, dialect, options.table)
    if (reached > newest) return yield* Effect.fail(newer(reached, newest))
  }).pipe(outside, (work) => insisting(work, options.deadline))

const newer = (found: number, newest: number): SqlFailure =>
  wrongSchema(
    `the tables have schema ${found}, and this version knows schemas up to ${newest}: run the newer version that made them`
  )

/** The last step that was taken; 0 before the first. */
const versionIn = (sql: SqlClient.SqlClient, dialect: Dialect, table: string) =>
  Effect.gen(function* () {
    const there =
      dialect === "pg"
        ? yield* sql<{ there: boolean }>`select to_regclass(${table}) is not null as there`
        : yield* sql<{ there: number }>`select count(*) as there from sqlite_master where name = ${table}`
    if (!there[0]?.there) return 0
    const [row] = yield* sql<{ id: number | null }>`select max(migration_id) as id from ${sql(table)}`
    return Number(row?.id ?? 0)
  })

/** It takes a concurrent one for done, and starts with a read: on SQLite it must be in a transaction that writes. */
const migrator = ({ migrations, table }: SchemaOptions) =>
  Migrator.make({})({
    loader: Effect.succeed(migrations.map(([id, name, run]) => [id, name, Effect.succeed(run)])),
    table
  })

/** The Migrator's own check for its table may run twice at once, and only one can then create it: so it finds it there. */
const migratePostgres = (sql: SqlClient.SqlClient, options: SchemaOptions) =>
  sql
    .withTransaction(
      Effect.zipRight(
        sql`select pg_advisory_xact_lock(hashtextextended(${options.table}, 0))`,
        sql`create table if not exists ${sql(options.table)} (
          migration_id integer primary key,
          created_at timestamp with time zone not null default now(),
          name text not null
        )`
      )
    )
    .pipe(Effect.zipRight(migrator(options)))
