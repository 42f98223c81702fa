import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { dialectOf } from "./Dialect.js"
import { type SqlFailure, wrongSchema } from "./Failure.js"
import { failing, guarded } from "./Guard.js"

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
    const found = yield* guarded(versionIn(sql, dialect, options.table), options.deadline)
    if (found > newest) return yield* Effect.fail(newer(found, newest))
    if (found === newest) return
    const run = dialect === "pg" ? migratePostgres(sql, options) : migrateSqlite(sql, options)
    yield* guarded(Effect.provideService(run, SqlClient.SqlClient, sql), options.deadline)
    const reached = yield* guarded(versionIn(sql, dialect, options.table), options.deadline)
    if (reached > newest) return yield* Effect.fail(newer(reached, newest))
  })

const newer = (found: number, newest: number): SqlFailure =>
  wrongSchema(
    `the tables have schema ${found}, and this version knows schemas up to ${newest}: run the newer version that made them`
  )

/** The last step that was taken; 0 before the first. */
const versionIn = (sql: SqlClient.SqlClient, dialect: "sqlite" | "pg", table: string) =>
  Effect.gen(function* () {
    const there =
      dialect === "pg"
        ? yield* sql<{ there: boolean }>`select to_regclass(${table}) is not null as there`
        : yield* sql<{ there: number }>`select count(*) as there from sqlite_master where name = ${table}`
    if (!there[0]?.there) return 0
    const [row] = yield* sql<{ id: number | null }>`select max(migration_id) as id from ${sql(table)}`
    return Number(row?.id ?? 0)
  })

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
    .pipe(Effect.zipRight(migrator(options)), Effect.catchTag("MigrationError", Effect.die), failing)

/**
 * The Migrator takes a concurrent one for done, and starts with a read, which can come too late to write. So it runs in a
 * transaction that writes from the start, and those who find the file locked come again, within the deadline.
 */
const migrateSqlite = (sql: SqlClient.SqlClient, options: SchemaOptions) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const connection = yield* sql.reserve
      const statement = (text: string) => connection.executeUnprepared(text, [], undefined)
      yield* statement("BEGIN IMMEDIATE")
      yield* restore(migrator(options)).pipe(
        Effect.provideService(SqlClient.TransactionConnection, [connection, 0]),
        Effect.zipRight(statement("COMMIT")),
        Effect.onError(() => Effect.ignore(statement("ROLLBACK")))
      )
    }).pipe(Effect.scoped)
  ).pipe(
    Effect.catchTag("MigrationError", Effect.die),
    failing,
    Effect.retry({ while: ({ kind }) => kind === "locked", schedule: Schedule.jittered(Schedule.spaced("20 millis")) })
  )
