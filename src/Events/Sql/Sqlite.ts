import type * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Json } from "../../internal/json.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { failing, guarded } from "../../internal/Sql/Guard.js"
import type { Appended } from "../Backend.js"
import type { Query } from "../Criteria.js"
import type { StoredEvent } from "../Event.js"
import { type Batch, decide, type Known } from "./Decide.js"
import { find, type Plan } from "./Find.js"
import { eventOf } from "./Row.js"
import { hasTimes, isNarrow } from "./Select.js"
import { sqliteSelect } from "./SqliteSelect.js"
import { inParts, sqliteTexts } from "./SqliteTexts.js"
import { type Store, transactionIn } from "./Store.js"
import type { Tables } from "./Tables.js"
import { termsOf } from "./Terms.js"

/** Between attempts while another process has the file locked. */
const again = Schedule.jittered(Schedule.spaced("10 millis"))

/** A log in a SQLite file. Its one connection does one thing at a time, and positions are given in order of commit. */
export const sqliteStore = (
  sql: SqlClient.SqlClient,
  tables: Tables,
  deadline: Duration.Duration
): Effect.Effect<Store, SqlFailure> =>
  Effect.map(
    // The connection is always the same one, and tells a transaction of this client from that of another.
    guarded(Effect.scoped(sql.reserve), deadline),
    (own) => {
      const texts = sqliteTexts(tables)
      const select = sqliteSelect(tables)

      const isJoined: Store["isJoined"] = (context) => transactionIn(context) === own

      /** Has the connection to itself, or is in the transaction of the fiber, which has it. */
      const connected = <A, E>(use: (connection: Connection) => Effect.Effect<A, E | SqlError>) =>
        Effect.withFiberRuntime<A, E | SqlError>((fiber) =>
          isJoined(fiber.currentContext)
            ? use(own)
            : Effect.scoped(
                Effect.zipRight(
                  sql.reserve,
                  Effect.suspend(() => use(own))
                )
              )
        )

      const retried = <A>(work: Effect.Effect<A, SqlError | SqlFailure>, within: Duration.DurationInput = deadline) =>
        guarded(Effect.retry(failing(work), { while: ({ kind }) => kind === "locked", schedule: again }), within)

      const run = (connection: Connection, text: string, params: ReadonlyArray<unknown> = []) =>
        connection.executeValues(text, params)

      const write = (connection: Connection, text: string, params: ReadonlyArray<unknown> = []) =>
        Effect.asVoid(connection.executeRaw(text, params))

      const known = (connection: Connection, batches: ReadonlyArray<Batch>): Effect.Effect<Known, SqlError> =>
        Effect.gen(function* () {
          const ids: Array<string> = []
          const streams = new Set<string>()
          for (const { events, expectation } of batches) {
            if (expectation !== undefined) streams.add(expectation.stream)
            for (const { id, stream } of events) {
              ids.push(id)
              if (stream !== undefined) streams.add(stream)
            }
          }
          let last = 0
          const byId = new Map<string, StoredEvent>()
          for (const row of yield* run(connection, texts.known, [JSON.stringify(ids)])) {
            if (row[1] === null) last = Number(row[0])
            else byId.set(String(row[1]), eventOf(row))
          }
          const versions = new Map<string, number>()
          if (streams.size > 0) {
            for (const [name, version] of yield* run(connection, texts.versions, [JSON.stringify([...streams])])) {
              versions.set(String(name), Number(version))
            }
          }
          return { last, byId, versions }
        })

      const store = (connection: Connection, batches: ReadonlyArray<Batch>) =>
        Effect.gen(function* () {
          const { appended, fresh, versions } = decide(batches, yield* known(connection, batches))
          for (const part of inParts(fresh)) {
            yield* write(connection, texts.insertEvents(part.length), part.flatMap(paramsOf))
          }
          for (const part of inParts(fresh.flatMap(entriesOf))) {
            yield* write(connection, texts.insertTerms(part.length), part.flat())
          }
          for (const part of inParts([...versions])) {
            yield* write(connection, texts.moveStreams(part.length), part.flat())
          }
          return appended
        })

      /** A transaction that writes from its start, so that none can come between what it reads and what it writes. */
      const immediately = <A>(body: Effect.Effect<A, SqlError>) =>
        Effect.uninterruptible(
          write(own, "BEGIN IMMEDIATE").pipe(
            Effect.zipRight(
              Effect.zipLeft(body, write(own, "COMMIT")).pipe(
                // SQLite may have rolled back by itself, as where the disk is full.
                Effect.onError(() => Effect.ignore(write(own, "ROLLBACK")))
              )
            )
          )
        )

      /**
       * SQLite rolls a whole transaction back by itself when the disk is full, and what its program still does would be
       * committed without what it did before. So the program gets a transaction to end, in which nothing can be written.
       */
      const lost = Effect.zipRight(
        Effect.all([write(own, "BEGIN"), write(own, "PRAGMA query_only = 1")], { discard: true }),
        Effect.forkDaemon(
          Effect.scoped(Effect.zipRight(sql.reserve, Effect.ignore(write(own, "PRAGMA query_only = 0"))))
        )
      )

      /** A part of the caller's transaction that leaves nothing behind where it fails. */
      const savepoint = <A>(body: Effect.Effect<A, SqlError>) =>
        Effect.uninterruptible(
          write(own, "SAVEPOINT foundation_events").pipe(
            Effect.zipRight(
              Effect.zipLeft(body, write(own, "RELEASE foundation_events")).pipe(
                Effect.onError(() =>
                  write(own, "ROLLBACK TO foundation_events").pipe(
                    Effect.zipRight(write(own, "RELEASE foundation_events")),
                    Effect.catchAll(() => lost),
                    Effect.ignore
                  )
                )
              )
            )
          )
        )

      const transaction = <A>(body: Effect.Effect<A, SqlError>) =>
        Effect.withFiberRuntime<A, SqlError>((fiber) =>
          isJoined(fiber.currentContext)
            ? savepoint(body)
            : Effect.scoped(Effect.zipRight(sql.reserve, immediately(body)))
        )

      const head = connected((connection) =>
        Effect.map(run(connection, texts.head), ([row]) => {
          const last = Number(row?.[0] ?? 0)
          return { safe: last, taken: last }
        })
      )

      const found = (connection: Connection, query: Query) =>
        find({ select, plan: planOf, run: ({ params, text }) => run(connection, text, params) }, query)

      return {
        isJoined,
        commit: (batches, within) => retried(transaction(store(own, batches)), within),
        join: (batch) =>
          guarded(
            Effect.flatMap(savepoint(store(own, [batch])), ([appended]) =>
              appended === undefined ? Effect.dieMessage("no answer for the batch") : Effect.succeed<Appended>(appended)
            ),
            deadline
          ),
        head: retried(head),
        read: (query) =>
          retried(
            connected((connection) =>
              Effect.gen(function* () {
                const [row] = yield* run(connection, texts.head)
                const head = Number(row?.[0] ?? 0)
                const whole = { safe: head, taken: head }
                if (query.limit === 0) return { events: [], head: whole }
                const beforePosition = Math.min(query.beforePosition, head + 1)
                return { events: yield* found(connection, { ...query, beforePosition }), head: whole }
              })
            )
          ),
        count: (query) =>
          retried(connected((connection) => Effect.map(found(connection, query), (events) => events.length))),
        removeSome: (query, limit) =>
          retried(
            transaction(
              Effect.gen(function* () {
                const events = yield* found(own, { ...query, limit })
                for (const part of inParts(events.flatMap(entriesOf))) {
                  yield* write(own, texts.deleteTerms(part.length), part.flat())
                }
                const positions = events.map(({ position }) => position)
                yield* write(own, texts.deleteEvents, [JSON.stringify(positions)])
                const last = events.length < limit ? undefined : positions.at(-1)
                return { count: events.length, last }
              })
            )
          )
      }
    }
  )

export const planOf = (query: Query): Plan => (hasTimes(query) && !isNarrow(query) ? "probe" : "walk")

const paramsOf = (event: StoredEvent): ReadonlyArray<unknown> => [
  event.position,
  event.id,
  event.type,
  event.stream ?? null,
  event.version ?? null,
  event.timestamp,
  event.correlationId,
  event.causationId ?? null,
  JSON.stringify(event.data),
  JSON.stringify(event.metadata)
]

const entriesOf = ({ data, metadata, position }: StoredEvent): ReadonlyArray<readonly [number, number]> =>
  [...termsOf("data", data as Json), ...termsOf("metadata", metadata as Json)].map((term) => [term, position] as const)
