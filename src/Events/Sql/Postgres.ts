import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { deadline as inTime } from "../../internal/deadline.js"
import { clockOf, monotonicMicros } from "../../internal/monotonic.js"
import { type SqlFailure, timedOut } from "../../internal/Sql/Failure.js"
import { failing, guarded, whileLocked } from "../../internal/Sql/Guard.js"
import { outside } from "../../internal/Sql/outside.js"
import { prepared, type Rows } from "../../internal/Sql/Postgres/Prepared.js"
import type { Appended } from "../Backend.js"
import type { Query } from "../Criteria.js"
import type { Batch } from "./Decide.js"
import { find, type Plan } from "./Find.js"
import { appendCall, appendedOf, type Notification } from "./PostgresCall.js"
import { putOf, putting } from "./PostgresPut.js"
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

/** Another transaction has stored the id meanwhile. */
const isTaken = ({ code }: SqlFailure): boolean => code === "23505"

type Run = (statement: Statement) => Effect.Effect<Rows, SqlFailure>

/** A log in PostgreSQL, where every transaction may store. */
export const postgresStore = (
  sql: SqlClient,
  tables: Tables,
  deadline: Duration.Duration,
  notification: Notification
): Store => {
  const select = postgresSelect(tables)
  const millis = Duration.toMillis(deadline)
  const put = putting(tables, { ...notification, lockTimeout })

  const isJoined: Store["isJoined"] = (context) => {
    const connection = transactionIn(context)
    // The connections of a driver of another database have no client of PostgreSQL.
    return connection !== undefined && "pg" in connection
  }

  /** Without the transaction of another database, which the fiber may be in. */
  const here = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiberRuntime((fiber) => (isJoined(fiber.currentContext) ? effect : outside(effect)))

  const ask = ({ params, text }: Statement): Effect.Effect<Rows, SqlError> => here(sql.unsafe(text, params).values)
  const joined: Run = (statement) => failing(ask(statement))
  const alone = prepared(sql, ask)

  /** What the statements do, in the transaction of the fiber or each by itself, within so many milliseconds. */
  const within = <A, E>(
    millis: number,
    work: (run: Run, left: () => number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | SqlFailure> =>
    Effect.withFiberRuntime((fiber) => {
      if (isJoined(fiber.currentContext)) {
        const whole = work(joined, () => millis)
        return inTime(whole, millis, timedOut)
      }
      const clock = clockOf(fiber)
      const end = monotonicMicros(clock) + millis * 1000
      const left = () => (end - monotonicMicros(clock)) / 1000
      return work((statement) => Effect.suspend(() => alone(statement, left())), left)
    })

  const append = (run: Run, batches: ReadonlyArray<Batch>, payload: string, lockTimeout?: string) =>
    Effect.map(run(appendCall(tables, batches, { ...notification, payload }, lockTimeout)), ([row]) =>
      appendedOf(batches, String(row?.[0]))
    )

  /** However the batches have to be stored. */
  const store = (run: Run, batches: ReadonlyArray<Batch>, left: () => number) =>
    Effect.suspend(() =>
      guarded(
        whileLocked(append(run, batches, notification.payload, lockTimeout), { while: isDeadlock, schedule: again }),
        left()
      )
    )

  const headStatement: Statement = { text: `select safe, taken from ${tables.head}()`, params: [], keeps: true }
  const head = (run: Run): Effect.Effect<Head, SqlFailure> =>
    Effect.map(run(headStatement), ([row]) => ({ safe: Number(row?.[0]), taken: Number(row?.[1]) }))

  /** What is found up to the head. The rows are asked for after it, so that they are seen as of a later moment. */
  const upToHead = (run: Run, query: Query) =>
    Effect.flatMap(head(run), (head) => {
      if (query.limit === 0) return Effect.succeed({ events: [], head })
      const beforePosition = Math.min(query.beforePosition, head.safe + 1)
      const seen = isInOrder(query) ? query : { ...query, beforePosition }
      return Effect.map(find({ select, run, plan: planOf(seen) }, seen), (events) => ({ events, head }))
    })

  return {
    isJoined,
    // Never in a transaction of a caller.
    commit: (batches, millis) =>
      Effect.withFiberRuntime((fiber) => {
        const clock = clockOf(fiber)
        const began = monotonicMicros(clock)
        const all = Effect.suspend(() =>
          within(millis - (monotonicMicros(clock) - began) / 1000, (run, left) =>
            Effect.mapError(store(run, batches, left), heldOr)
          )
        )
        const call = put(batches)
        if (call === undefined) return all
        // Nearly all are stored so.
        return Effect.matchEffect(alone(call, millis), {
          onFailure: (failure) => (isTaken(failure) || isDeadlock(failure) ? all : Effect.fail(heldOr(failure))),
          onSuccess: ([row]): Effect.Effect<ReadonlyArray<Appended>, SqlFailure | Held> => {
            const appended = row === undefined ? undefined : putOf(batches, row[0])
            return appended === undefined ? all : Effect.succeed(appended)
          }
        })
      }),
    insist: (batch, millis) =>
      within(millis, (run, left) =>
        Effect.flatMap(
          guarded(whileLocked(append(run, [batch], notification.payload), { schedule: again }), left()),
          answerOf
        )
      ),
    join: (batch) => guarded(Effect.flatMap(append(joined, [batch], ""), answerOf), deadline),
    head: within(millis, head),
    read: (query) => within(millis, (run) => upToHead(run, query)),
    count: (query) => within(millis, (run) => Effect.map(upToHead(run, query), ({ events }) => events.length)),
    removeSome: (query, limit) =>
      within(millis, (run) =>
        Effect.flatMap(upToHead(run, { ...query, limit }), ({ events }) => {
          const positions = events.map(({ position }) => position)
          if (positions.length === 0) return Effect.succeed({ count: 0, last: undefined })
          const text = `with gone as (delete from ${tables.events} where position = any($1::bigint[]) returning 1) select count(*) from gone`
          return Effect.map(run({ text, params: [positions] }), ([row]) => ({
            count: Number(row?.[0]),
            last: positions.length < limit ? undefined : positions.at(-1)
          }))
        })
      )
  }
}

const heldOr = (failure: SqlFailure): SqlFailure | Held => (isHeld(failure) ? new Held() : failure)

/** A deadlock or a failed serialization. */
const isDeadlock = (failure: SqlFailure): boolean => failure.kind === "locked" && !isHeld(failure)

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
