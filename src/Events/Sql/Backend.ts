import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { ConfigError, type EventError } from "../../FoundationError.js"
import { dialectOf } from "../../internal/Sql/Dialect.js"
import { guarded } from "../../internal/Sql/Guard.js"
import { outside } from "../../internal/Sql/outside.js"
import { upToDate } from "../../internal/Sql/Schema.js"
import type { Telemetry } from "../../Telemetry.js"
import type { Backend } from "../Backend.js"
import type { Query } from "../Criteria.js"
import { makeChanges } from "./Changes.js"
import { sqlConsumers } from "./Consumers.js"
import type { Batch } from "./Decide.js"
import * as Failures from "./Failures.js"
import { Groups } from "./Groups.js"
import { makeHeldBack } from "./HeldBack.js"
import { migrations } from "./Migrations.js"
import { type Options, type Settings, settingsOf } from "./Options.js"
import { postgresStore } from "./Postgres.js"
import type { Notification } from "./PostgresCall.js"
import { attending } from "./PostgresHearing.js"
import { behind } from "./Select.js"
import { sqliteStore } from "./Sqlite.js"
import { type Tables, tablesOf } from "./Tables.js"

/** How many events `remove` takes in one transaction. */
const removedAtOnce = 500

/** The most bytes of data and metadata in one batch: it goes to the database as one text. */
const maxBatchBytes = 64 * 1024 * 1024

export const backend = (
  options: Options = {}
): Effect.Effect<Backend, EventError | ConfigError, SqlClient.SqlClient | Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const settings = settingsOf(options)
    if (settings instanceof ConfigError) return yield* settings
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const tables = tablesOf(settings.prefix)
    const { dialect, notification, store } = yield* Effect.mapError(opened(sql, tables, settings), Failures.notOpened)

    const changes = yield* makeChanges(sql, notification, settings.pollInterval)
    const consumers = yield* sqlConsumers({ ...settings, sql, dialect, tables, store, notification })
    const note = yield* makeHeldBack(store.head, changes.raise)
    const raise = Effect.sync(changes.raise)
    /** Raised where it failed too: the end of its transaction may be what a reader waits for. */
    const raising = <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.ensuring(work, raise)
    const millis = Duration.toMillis(settings.deadline)
    const groups = yield* Groups.make({
      deadline: millis,
      commit: (batches, within) => raising(store.commit(batches, within)),
      insist: (batch, within) => raising(store.insist(batch, within)),
      // Its driver is synchronous.
      ...(dialect === "sqlite" ? { atOnce: (batch: Batch) => raising(store.insist(batch, millis)) } : {})
    })

    const read = (query: Query) =>
      Effect.map(
        Effect.tap(store.read(query), ({ head }) => Effect.sync(() => note(head))),
        ({ events, head }) => ({
          events,
          head: head.safe
        })
      )

    return {
      append: (events, expectation) =>
        Effect.withFiberRuntime((fiber) => {
          const batch: Batch = { events, expectation }
          const bytes = events.reduce((sum, event) => sum + event.bytes, 0)
          if (bytes > maxBatchBytes) {
            return Effect.succeed({ _tag: "Full", bound: `${maxBatchBytes} bytes of data and metadata in one call` })
          }
          const stored = store.isJoined(fiber.currentContext)
            ? // Where the connection is the only one, a subscriber reads when the transaction has ended.
              Effect.zipLeft(store.join(batch), raise)
            : groups.append(batch)
          return Effect.mapError(stored, Failures.notStored)
        }),
      read: (query) => Effect.mapError(read(query), Failures.notRead),
      remove: (query) => {
        const remove = (rest: Query): Effect.Effect<number, EventError> =>
          rest.limit <= 0
            ? Effect.succeed(0)
            : Effect.flatMap(
                Effect.mapError(store.removeSome(rest, Math.min(rest.limit, removedAtOnce)), Failures.notRemoved),
                ({ count, last }) =>
                  last === undefined
                    ? Effect.succeed(count)
                    : Effect.map(remove({ ...behind(rest, last), limit: rest.limit - count }), (more) => count + more)
              )
        // What is stored meanwhile is left.
        return Effect.flatMap(Effect.mapError(store.head, Failures.notRemoved), ({ taken }) =>
          remove({ ...query, beforePosition: Math.min(query.beforePosition, taken + 1) })
        )
      },
      changes: Effect.mapError(changes.listen, Failures.notRead),
      consumers
    } satisfies Backend
  }).pipe(outside)

/**
 * Has the pages in the WAL copied to the file, which waits for the disk, at each 4,000 and not at each 1,000: stores write
 * the same pages again and again, and took a third less time. The WAL grows to 16 MB. A program that has set another number
 * keeps it.
 */
const checkpointsApart = (sql: SqlClient.SqlClient) =>
  Effect.flatMap(
    sql.unsafe<{ wal_autocheckpoint: number }>("PRAGMA wal_autocheckpoint"),
    ([row]): Effect.Effect<unknown, SqlError> =>
      row?.wal_autocheckpoint === 1000 ? sql.unsafe("PRAGMA wal_autocheckpoint = 4000") : Effect.void
  )

/** The tables brought up to date, and the log in them. */
const opened = (sql: SqlClient.SqlClient, tables: Tables, { deadline, durability }: Settings) =>
  Effect.gen(function* () {
    const dialect = yield* dialectOf(sql)
    yield* upToDate({ table: tables.migrations, migrations: migrations(dialect, tables), deadline }).pipe(
      Effect.provideService(SqlClient.SqlClient, sql)
    )
    const payload = crypto.randomUUID()
    if (dialect === "sqlite") {
      yield* guarded(sql.unsafe(`PRAGMA synchronous = ${durability === "power" ? "FULL" : "NORMAL"}`), deadline)
      yield* guarded(checkpointsApart(sql), deadline)
      const notification: Notification = { channel: tables.events, payload }
      return { dialect, notification, store: yield* sqliteStore(sql, tables, deadline) }
    }
    // Named by the number of a thing of the log's own: LISTEN is of the whole database, with all its schemas.
    const log = sql.unsafe<{ id: unknown }>(`select '${tables.position}'::regclass::oid::text as id`)
    const [row] = yield* guarded(log, deadline)
    const id = String(row?.id)
    const notification: Notification = { channel: `${tables.events}_${id}`, payload, attending: attending(id) }
    return { dialect, notification, store: postgresStore(sql, tables, deadline, notification) }
  })
