import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { guarded, whileLocked } from "../../internal/Sql/Guard.js"
import { outside } from "../../internal/Sql/outside.js"
import type { Query } from "../Criteria.js"
import type { Batch } from "./Decide.js"
import { find, type Plan } from "./Find.js"
import { appendCall, appendedOf, type Notification } from "./PostgresCall.js"
import { postgresSelect } from "./PostgresSelect.js"
import { hasPatterns, hasTimes, isNarrow } from "./Select.js"
import { answerOf, type Head, Held, type Store, transactionIn } from "./Store.js"
import type { Statement, Tables } from "./Tables.js"

/** After a deadlock or a failed serialization. */
const again = Schedule.jittered(Schedule.exponential("5 millis"))

/** For how long a group waits for another transaction: longer than one takes that only stores. */
const lockTimeout = "250ms"

/** The lock was not there within the timeout. */
const isHeld = ({ code }: SqlFailure): boolean => code === "55P03"

/** A log in PostgreSQL, where every transaction may store. */
export const postgresStore = (
  sql: SqlClient,
  tables: Tables,
  deadline: Duration.Duration,
  notification: Notification
): Store => {
  const select = postgresSelect(tables)

  const isJoined: Store["isJoined"] = (context) => {
    const connection = transactionIn(context)
    // The connections of a driver of another database have no client of PostgreSQL.
    return connection !== undefined && "pg" in connection
  }

  /** Without the transaction of another database, which the fiber may be in. */
  const here = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiberRuntime((fiber) => (isJoined(fiber.currentContext) ? effect : outside(effect)))

  const run = ({ params, text }: Statement): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> =>
    here(sql.unsafe(text, params).values)

  const append = (batches: ReadonlyArray<Batch>, payload: string, lockTimeout?: string) =>
    Effect.map(run(appendCall(tables, batches, { ...notification, payload }, lockTimeout)), ([row]) =>
      appendedOf(batches, String(row?.[0]))
    )

  const headText = `select safe, taken from ${tables.head}()`
  const head: Effect.Effect<Head, SqlError> = Effect.map(run({ text: headText, params: [] }), ([row]) => ({
    safe: Number(row?.[0]),
    taken: Number(row?.[1])
  }))

  /** The rows are asked for after the head, so that they are seen as of a later moment. */
  const upToHead = <A>(query: Query, ask: (query: Query) => Effect.Effect<A, SqlError>) =>
    Effect.flatMap(head, (head) => {
      const beforePosition = Math.min(query.beforePosition, head.safe + 1)
      return Effect.map(ask(isInOrder(query) ? query : { ...query, beforePosition }), (answer) => ({ answer, head }))
    })

  const found = (query: Query) => find({ select, run, plan: planOf(query) }, query)

  return {
    isJoined,
    commit: (batches, within) =>
      guarded(
        whileLocked(append(batches, notification.payload, lockTimeout), {
          while: (failure) => failure.kind === "locked" && !isHeld(failure),
          schedule: again
        }),
        within
      ).pipe(Effect.mapError((failure) => (isHeld(failure) ? new Held() : failure))),
    insist: (batch, within) =>
      guarded(whileLocked(append([batch], notification.payload), { schedule: again }), within).pipe(
        Effect.flatMap(answerOf)
      ),
    join: (batch) => guarded(Effect.flatMap(append([batch], ""), answerOf), deadline),
    head: guarded(head, deadline),
    read: (query) =>
      guarded(
        query.limit === 0
          ? Effect.map(head, (head) => ({ events: [], head }))
          : Effect.map(upToHead(query, found), ({ answer, head }) => ({ events: answer, head })),
        deadline
      ),
    count: (query) =>
      guarded(
        Effect.map(upToHead(query, found), ({ answer }) => answer.length),
        deadline
      ),
    removeSome: (query, limit) =>
      guarded(
        Effect.flatMap(upToHead({ ...query, limit }, found), ({ answer }) => {
          const positions = answer.map(({ position }) => position)
          if (positions.length === 0) return Effect.succeed({ count: 0, last: undefined })
          const text = `with gone as (delete from ${tables.events} where position = any($1::bigint[]) returning 1) select count(*) from gone`
          return Effect.map(run({ text, params: [positions] }), ([row]) => ({
            count: Number(row?.[0]),
            last: positions.length < limit ? undefined : positions.at(-1)
          }))
        }),
        deadline
      )
  }
}

/**
 * Whether what the query finds is committed in the order of its positions anyway, and can be answered at once: a stream
 * takes events from one transaction after the other, and one id has one event.
 */
const isInOrder = ({ ids, stream }: Query): boolean => stream !== undefined || ids?.size === 1

/**
 * Times and patterns have indexes of their own, in no order of positions. A pattern is told to be rare, unless a page before
 * has found it: the first read finds it by its index, and those behind go on from where it was.
 */
export const planOf =
  (asked: Query) =>
  (query: Query): Plan => {
    if (isNarrow(query)) return "walk"
    const inTheMiddle =
      asked.order === "asc" ? asked.afterPosition > 0 : asked.beforePosition < Number.POSITIVE_INFINITY
    if (hasPatterns(query)) return inTheMiddle ? "probe" : "gather"
    return hasTimes(query) ? "probe" : "walk"
  }
