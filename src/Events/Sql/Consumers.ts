import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EventError } from "../../FoundationError.js"
import type { Dialect } from "../../internal/Sql/Dialect.js"
import { insisting } from "../../internal/Sql/Guard.js"
import { outside } from "../../internal/Sql/outside.js"
import type { DeadLetter } from "../Consumer/DeadLetter.js"
import type { Claimed, ConsumerStore, Lease, Positions } from "../Consumer/Store.js"
import { makeChanges } from "./Changes.js"
import { consumerTablesOf } from "./ConsumerTables.js"
import { transactionsOf } from "./ConsumerTransaction.js"
import { unavailable } from "./Failures.js"
import type { Notification } from "./PostgresCall.js"
import { postgresSelect } from "./PostgresSelect.js"
import { hasPatterns, hasTimes, isNarrow } from "./Select.js"
import { sqliteSelect } from "./SqliteSelect.js"
import type { Store } from "./Store.js"
import type { Tables } from "./Tables.js"

export interface ConsumersOptions {
  readonly sql: SqlClient
  readonly dialect: Dialect
  readonly tables: Tables
  readonly store: Store
  /** What the events are notified by: consumers are told of one another by a channel beside it. */
  readonly notification: Notification
  readonly deadline: Duration.Duration
  readonly pollInterval: Duration.Duration
}

/** The state of consumers beside the log. The time of leases is that of the database. */
export const sqlConsumers = ({
  deadline,
  dialect,
  notification,
  pollInterval,
  sql,
  store,
  tables
}: ConsumersOptions): Effect.Effect<ConsumerStore, never, Scope.Scope> =>
  Effect.gen(function* () {
    const names = consumerTablesOf(tables.events)
    const select = dialect === "pg" ? postgresSelect(tables) : sqliteSelect(tables)
    const consumers = sql.literal(names.consumers)
    const letters = sql.literal(names.letters)
    const channel = `${notification.channel}_c`
    const changes = yield* makeChanges(sql, { ...notification, channel }, pollInterval)
    const { inEvent, transact } = transactionsOf(sql, dialect, deadline)

    // Not of the transaction, which may have begun long ago.
    const now = sql.literal(
      dialect === "pg"
        ? "(extract(epoch from clock_timestamp()) * 1000)::bigint"
        : "cast(unixepoch('now', 'subsec') * 1000 as integer)"
    )
    const later = (position: number) =>
      dialect === "pg" ? sql`greatest(position, ${position})` : sql`max(position, ${position})`

    /** In no transaction of the caller's, for as long as the deadline lets it. */
    const asked = <A>(what: string, work: Effect.Effect<A, SqlError>): Effect.Effect<A, EventError> =>
      Effect.mapError(outside(insisting(work, deadline)), (failure) => unavailable(what, failure))

    const headOf = (what: string) => Effect.mapError(outside(store.head), (failure) => unavailable(what, failure))

    const notKept = "The state of the consumer cannot be kept"
    const notRead = "The state of the consumers cannot be read"

    /** What the consumer is while this lease is in force. */
    const held = ({ name, owner, token }: Lease) =>
      sql`name = ${name} AND token = ${token} AND owner = ${owner} AND until > ${now}`

    const replays = (name: string) =>
      sql`EXISTS (SELECT 1 FROM ${letters} WHERE consumer = ${name} AND replaying = 1) AS replays`

    const kept = (lease: Lease, position: number) =>
      Effect.map(
        sql<{ replays: unknown }>`
          UPDATE ${consumers} SET position = ${later(position)}, until = ${now} + ${lease.lease}
          WHERE ${held(lease)} RETURNING ${replays(lease.name)}`,
        ([row]) => (row === undefined ? undefined : { replays: isTrue(row.replays) })
      )

    /** Takes the consumer for a change that belongs to it, and makes it where nobody has fenced it. */
    const whileHeld = (lease: Lease, position: number, change: Effect.Effect<unknown, SqlError>) =>
      Effect.flatMap(
        sql`UPDATE ${consumers} SET position = ${later(position)} WHERE ${held(lease)} RETURNING name`,
        ([row]) => (row === undefined ? Effect.succeed(false) : Effect.as(change, true))
      )

    const buried = (letter: DeadLetter) => {
      const { attempts, consumer, error, failedAt, id, position, type } = letter
      return sql`
        INSERT INTO ${letters} (consumer, position, id, type, error, attempts, failed_at, replaying)
        VALUES (${consumer}, ${position}, ${id}, ${type}, ${error}, ${attempts}, ${failedAt}, 0)
        ON CONFLICT (consumer, position) DO UPDATE SET id = excluded.id, type = excluded.type, error = excluded.error,
          attempts = excluded.attempts, failed_at = excluded.failed_at, replaying = 0`
    }

    const settled = (lease: Lease, position: number, letter: DeadLetter | undefined) =>
      whileHeld(
        lease,
        0,
        letter === undefined
          ? sql`DELETE FROM ${letters} WHERE consumer = ${lease.name} AND position = ${position}`
          : sql`UPDATE ${letters} SET error = ${letter.error}, attempts = ${letter.attempts},
              failed_at = ${letter.failedAt}, replaying = 0
              WHERE consumer = ${lease.name} AND position = ${position}`
      )

    const chosen = (name: string, positions: Positions): Fragment =>
      positions === "all"
        ? sql`consumer = ${name}`
        : sql`consumer = ${name} AND ${sql.in("position", [...new Set(positions)])}`

    /** Tells the others, in this process and in others: those who do not hear of it look by themselves. */
    const tell = Effect.zipRight(
      Effect.sync(changes.raise),
      dialect === "pg"
        ? Effect.ignore(asked("", sql`SELECT pg_notify(${channel}, ${notification.payload})`))
        : Effect.void
    )

    /** How many rows a statement without rows has changed. */
    const changed = (statement: { readonly raw: Effect.Effect<unknown, SqlError> }) =>
      Effect.map(statement.raw, countOf)

    const stateOf = (name: string) =>
      sql<{ criteria: string; owner: string | null; remaining: unknown }>`
        SELECT criteria, owner, until - ${now} AS remaining FROM ${consumers} WHERE name = ${name}`

    const consumerStore: ConsumerStore = {
      claim: ({ criteria, lease, name, owner, startAfter }) => {
        /** Who waits looks often, and need not write. */
        const look = Effect.map(stateOf(name), ([row]): Claimed | undefined => {
          if (row === undefined) return undefined
          if (row.criteria !== criteria) return { _tag: "OtherCriteria", criteria: row.criteria }
          const remaining = Number(row.remaining)
          if (row.owner === null || row.owner === owner || remaining <= 0) return undefined
          return { _tag: "Standby", remaining }
        })
        const take = Effect.map(
          sql<{ position: unknown; replays: unknown; token: unknown }>`
            INSERT INTO ${consumers} AS c (name, criteria, position, token, owner, until)
            VALUES (${name}, ${criteria}, ${startAfter}, 1, ${owner}, ${now} + ${lease})
            ON CONFLICT (name) DO UPDATE SET token = c.token + 1, owner = excluded.owner, until = ${now} + ${lease}
            WHERE c.criteria = excluded.criteria
              AND (c.owner IS NULL OR c.until <= ${now} OR c.owner = excluded.owner)
            RETURNING token, position, ${replays(name)}`,
          ([row]): Claimed | undefined =>
            row === undefined
              ? undefined
              : {
                  _tag: "Active",
                  token: Number(row.token),
                  position: Number(row.position),
                  replays: isTrue(row.replays)
                }
        )
        const claimed = Effect.gen(function* () {
          const found = (yield* look) ?? (yield* take) ?? (yield* look)
          // Another came first, and is gone again.
          return found ?? ({ _tag: "Standby", remaining: 0 } satisfies Claimed)
        })
        return asked("The consumer cannot become active", claimed)
      },

      keep: (lease, position) => inEvent(kept(lease, position), asked(notKept, kept(lease, position))),

      bury: (lease, letter) => asked(notKept, sql.withTransaction(whileHeld(lease, letter.position, buried(letter)))),

      settle: (lease, position, letter) =>
        inEvent(
          settled(lease, position, letter),
          asked(notKept, sql.withTransaction(settled(lease, position, letter)))
        ),

      nextReplay: (name) =>
        Effect.map(
          asked(
            notRead,
            sql<LetterRow>`SELECT * FROM ${letters} WHERE consumer = ${name} AND replaying = 1 ORDER BY position LIMIT 1`
          ),
          ([row]) => (row === undefined ? undefined : letterOf(row))
        ),

      release: (name, owner, position) =>
        Effect.zipRight(
          asked(
            notKept,
            sql`UPDATE ${consumers} SET position = ${later(position)}, owner = NULL WHERE name = ${name} AND owner = ${owner}`
          ),
          tell
        ),

      count: (query) => {
        const failed = "The events cannot be counted"
        // Where an index leads to them in order, they need not be fetched.
        if (hasPatterns(query) || (hasTimes(query) && !isNarrow(query))) {
          return Effect.mapError(outside(store.count(query)), (failure) => unavailable(failed, failure))
        }
        return Effect.flatMap(headOf(failed), ({ safe }) => {
          const upToHead = { ...query, beforePosition: Math.min(query.beforePosition, safe + 1) }
          if (upToHead.afterPosition + 1 >= upToHead.beforePosition) return Effect.succeed(0)
          const { params, text } = select.walk(upToHead, Math.min(query.limit, Number.MAX_SAFE_INTEGER))
          const counted = sql.unsafe<{ n: unknown }>(`SELECT count(*) AS n FROM (${text}) AS found`, params)
          return Effect.map(asked(failed, counted), ([row]) => Number(row?.n ?? 0))
        })
      },

      changes: () => Effect.mapError(changes.listen, (failure) => unavailable(notRead, failure)),

      transact,
      outside,

      deadLetters: (name, after, limit) =>
        Effect.map(
          asked(
            notRead,
            sql<LetterRow>`SELECT * FROM ${letters} WHERE consumer = ${name} AND position > ${after}
              ORDER BY position LIMIT ${limit}`
          ),
          (rows) => rows.map(letterOf)
        ),

      replay: (name, positions) =>
        positions.length === 0
          ? Effect.succeed(0)
          : Effect.zipLeft(
              asked(
                "The dead letters cannot be replayed",
                changed(sql`UPDATE ${letters} SET replaying = 1 WHERE ${chosen(name, positions)}`)
              ),
              tell
            ),

      removeDeadLetters: (name, positions) =>
        positions.length === 0
          ? Effect.succeed(0)
          : asked(
              "The dead letters cannot be removed",
              changed(sql`DELETE FROM ${letters} WHERE ${chosen(name, positions)}`)
            ),

      list: Effect.zipWith(
        asked(
          notRead,
          sql<ConsumerRow>`
            SELECT name, criteria, position, token, CASE WHEN until > ${now} THEN owner END AS owner,
              (SELECT count(*) FROM ${letters} WHERE consumer = name) AS letters
            FROM ${consumers} ORDER BY name`
        ),
        headOf(notRead),
        (rows, { safe }) =>
          rows.map(({ criteria, letters, name, owner, position, token }) => ({
            name,
            position: Number(position),
            behind: Math.max(0, safe - Number(position)),
            owner: owner ?? undefined,
            token: Number(token),
            deadLetters: Number(letters),
            criteria
          }))
      ),

      forget: (name) =>
        asked(
          "The consumer cannot be forgotten",
          sql.withTransaction(
            Effect.gen(function* () {
              const [gone] = yield* sql`
                DELETE FROM ${consumers} WHERE name = ${name} AND (owner IS NULL OR until <= ${now}) RETURNING name`
              if (gone === undefined) return (yield* stateOf(name)).length === 0 ? "unknown" : "active"
              yield* sql`DELETE FROM ${letters} WHERE consumer = ${name}`
              return "forgotten"
            })
          )
        )
    }
    return consumerStore
  })

/** A driver may answer a bigint as text. */
interface LetterRow {
  readonly consumer: string
  readonly position: unknown
  readonly id: string
  readonly type: string
  readonly error: string
  readonly attempts: unknown
  readonly failed_at: unknown
  readonly replaying: unknown
}

interface ConsumerRow {
  readonly name: string
  readonly criteria: string
  readonly position: unknown
  readonly token: unknown
  readonly owner: string | null
  readonly letters: unknown
}

const letterOf = (row: LetterRow): DeadLetter => ({
  consumer: row.consumer,
  position: Number(row.position),
  id: row.id,
  type: row.type,
  error: row.error,
  attempts: Number(row.attempts),
  failedAt: Number(row.failed_at),
  replaying: Number(row.replaying) === 1
})

const isTrue = (value: unknown): boolean => value === true || Number(value) === 1

/** `changes` is what SQLite answers, `rowCount` what PostgreSQL does. */
const countOf = (answer: unknown): number => {
  if (typeof answer !== "object" || answer === null) return 0
  if ("changes" in answer) return Number(answer.changes)
  return "rowCount" in answer ? Number(answer.rowCount) : 0
}
