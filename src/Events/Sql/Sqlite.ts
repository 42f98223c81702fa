import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Json } from "../../internal/json.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import type { Appended } from "../Backend.js"
import type { Query } from "../Criteria.js"
import { type NewEvent, noMetadata, place, type StoredEvent } from "../Event.js"
import { type Batch, decide, type Known } from "./Decide.js"
import { find, type Plan } from "./Find.js"
import { eventOf, fieldsOf } from "./Row.js"
import { hasTimes, isNarrow } from "./Select.js"
import { type Attempt, sqliteConnection } from "./SqliteConnection.js"
import { sqliteSelect } from "./SqliteSelect.js"
import { inParts, sqliteTexts } from "./SqliteTexts.js"
import { answerOf, type Store } from "./Store.js"
import type { Tables } from "./Tables.js"
import { termsOf } from "./Terms.js"

/** A log in a SQLite file. Its one connection does one thing at a time, and positions are given in order of commit. */
export const sqliteStore = (
  sql: SqlClient.SqlClient,
  tables: Tables,
  deadline: Duration.Duration
): Effect.Effect<Store, SqlFailure> =>
  Effect.map(sqliteConnection(sql, deadline), (connection) => {
    const { connected, isJoined, records, retried, rows, savepoint, snapshot, transaction, write } = connection
    const texts = sqliteTexts(tables)
    const select = sqliteSelect(tables)
    const pageSize = select.pages?.most ?? Number.POSITIVE_INFINITY

    const known = (batches: ReadonlyArray<Batch>): Effect.Effect<Known, SqlError> =>
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
        for (const row of yield* rows(texts.known, [JSON.stringify(ids)])) {
          if (row[1] === null) last = Number(row[0])
          else byId.set(String(row[1]), eventOf(row))
        }
        const versions = new Map<string, number>()
        if (streams.size > 0) {
          for (const [name, version] of yield* rows(texts.versions, [JSON.stringify([...streams])])) {
            versions.set(String(name), Number(version))
          }
        }
        return { last, byId, versions }
      })

    const store = (batches: ReadonlyArray<Batch>, insert: (rows: number) => string) =>
      Effect.flatMap(known(batches), (known) => {
        const { appended, fresh } = decide(batches, known)
        const inserted = Effect.forEach(inParts(fresh), (part) => write(insert(part.length), part.flatMap(paramsOf)), {
          discard: true
        })
        return Effect.as(inserted, appended)
      })

    const storeAll = (batches: ReadonlyArray<Batch>) => transaction(store(batches, texts.insertOrFail))

    /** One event alone takes one statement, where its id is not there yet. */
    const storeOne = (event: NewEvent, batches: ReadonlyArray<Batch>): Attempt<ReadonlyArray<Appended>> => {
      const inserted = connected(
        event.stream === undefined
          ? Effect.map(write(texts.insertOne, paramsOfOne(event)), (result) => placed(event, positionOf(result)))
          : Effect.map(records(texts.insertOneInStream, [event.stream, ...paramsOfOne(event)]), ([row]) =>
              placed(event, row?.position, row?.version)
            )
      )
      const known = storeAll(batches)
      return (millis) =>
        Effect.flatMap(inserted(millis), (answer) => (answer === undefined ? known(millis) : Effect.succeed(answer)))
    }

    const head = Effect.map(records(texts.head, []), ([row]) => {
      const last = Number(row?.last ?? 0)
      return { safe: last, taken: last }
    })

    const found = (query: Query) => find({ select, plan: planOf, run: ({ params, text }) => rows(text, params) }, query)

    const commit = (batches: ReadonlyArray<Batch>, within: number) => {
      const [only, ...others] = batches
      const [event, ...more] = only?.events ?? []
      const alone = others.length === 0 && more.length === 0 && only?.expectation === undefined
      return retried(alone && event !== undefined ? storeOne(event, batches) : storeAll(batches), within)
    }

    return {
      isJoined,
      commit,
      // A lock is one on the whole file, which no batch waits for alone.
      insist: (batch, within) => Effect.flatMap(commit([batch], within), answerOf),
      join: (batch) => {
        const joined = Effect.flatMap(savepoint(store([batch], texts.insert)), answerOf)
        return retried(() => joined)
      },
      head: retried(connected(head)),
      read: (query) => {
        const read = Effect.flatMap(head, (head) => {
          if (query.limit === 0) return Effect.succeed({ events: [], head })
          const beforePosition = Math.min(query.beforePosition, head.safe + 1)
          return Effect.map(found({ ...query, beforePosition }), (events) => ({ events, head }))
        })
        return retried((query.limit <= pageSize ? connected : snapshot)(read))
      },
      count: (query) => retried(snapshot(Effect.map(found(query), (events) => events.length))),
      removeSome: (query, limit) =>
        retried(
          transaction(
            Effect.flatMap(found({ ...query, limit }), (events) => {
              const positions = events.map(({ position }) => position)
              return Effect.as(write(texts.remove, [JSON.stringify(positions)]), {
                count: events.length,
                last: events.length < limit ? undefined : positions.at(-1)
              })
            })
          )
        )
    }
  })

/** The answer to the one who stored an event alone, where it was stored. */
const placed = (event: NewEvent, position: unknown, version?: unknown): ReadonlyArray<Appended> | undefined =>
  position === undefined
    ? undefined
    : [
        {
          _tag: "Stored",
          events: [place(event, Number(position), version === undefined ? undefined : Number(version))]
        }
      ]

/** The position that a statement without rows has given, as the driver tells it: RETURNING costs a tenth more. */
const positionOf = (result: unknown): unknown => {
  if (typeof result !== "object" || result === null || !("changes" in result && "lastInsertRowid" in result)) return
  return Number(result.changes) === 1 ? result.lastInsertRowid : undefined
}

export const planOf = (query: Query): Plan => (hasTimes(query) && !isNarrow(query) ? "probe" : "walk")

const paramsOf = (event: StoredEvent): ReadonlyArray<unknown> => [
  event.position,
  event.version ?? null,
  ...paramsOfOne(event)
]

const paramsOfOne = (event: NewEvent | StoredEvent): ReadonlyArray<unknown> => [
  ...fieldsOf(event),
  // They come from an event that was checked.
  terms(event.data as Json, event.metadata as Json)
]

const terms = (data: Json, metadata: Json): string =>
  metadata === noMetadata.value
    ? `[${termsOf("data", data)}]`
    : `[${[...termsOf("data", data), ...termsOf("metadata", metadata)]}]`
