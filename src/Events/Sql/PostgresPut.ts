import type { Appended } from "../Backend.js"
import { type NewEvent, place } from "../Event.js"
import type { Batch } from "./Decide.js"
import { isInOrderOfJsonb } from "./KeyOrder.js"
import type { Notification } from "./PostgresCall.js"
import { isUnheard } from "./PostgresHearing.js"
import { fieldsOf } from "./Row.js"
import type { Statement, Tables } from "./Tables.js"

/** Who is told, and how long to wait for other transactions. */
export interface Manner extends Notification {
  readonly lockTimeout: string
}

/**
 * What stores batches in the common case, for less than `appendCall` takes; undefined where they are another. The texts are
 * made once, and with them what their names are found by.
 */
export const putting = (tables: Tables, manner: Manner): ((batches: ReadonlyArray<Batch>) => Statement | undefined) => {
  const one = putOne(tables, manner)
  const all = putAll(tables, manner)
  return (batches) => {
    const [first] = batches
    const [event] = first?.events ?? []
    if (batches.some(({ expectation }) => expectation !== undefined)) return undefined
    if (event !== undefined && first?.events.length === 1 && batches.length === 1) return one(event)
    return all(batches.flatMap(({ events }) => events))
  }
}

/** The text of a value is kept along with it where jsonb would change it. */
const putOne = (tables: Tables, { channel, lockTimeout, payload }: Manner) => {
  const inStream = `select ${tables.putOne}($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
  const inNone = insertOne(tables)
  return (event: NewEvent): Statement => ({
    text: event.stream === undefined ? inNone : inStream,
    params: [
      ...fieldsOf(event),
      !isInOrderOfJsonb(event.data),
      !isInOrderOfJsonb(event.metadata),
      channel,
      payload,
      lockTimeout
    ],
    keeps: true
  })
}

/**
 * What the function does for an event in no stream, as a statement: without the interpreter, a store takes an eighth less of
 * the server. What a case asks for comes before what it gives: so the position is taken under the lock of the floor.
 */
const insertOne = (tables: Tables): string => {
  const { events, position } = tables
  // The low 32 bits, as the function has them.
  const low = (number: string) => `((${number} << 32) >> 32)::int`
  const log = low(`'${position}'::regclass::oid::bigint`)
  const floor = low(`coalesce(pg_sequence_last_value('${position}'), 0)`)
  return `insert into ${events} (
      position, id, type, stream, timestamp, correlation_id, causation_id, data, metadata, data_text, metadata_text
    ) values (
      case when set_config('lock_timeout', $13::text, true) is not null
        and pg_advisory_xact_lock_shared(${log}, ${floor}) is not null then nextval('${position}') end,
      $1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb,
      case when $9::boolean then $7::text end, case when $10::boolean then $8::text end
    ) on conflict (id) do nothing
    returning position, case when ${isUnheard(tables)} then null else pg_notify($11::text, $12::text) end`
}

const putAll = ({ putAll }: Tables, { channel, lockTimeout, payload }: Manner) => {
  const text = `select ${putAll}($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
  return (events: ReadonlyArray<NewEvent>): Statement | undefined => {
    if (new Set(events.map(({ id }) => id)).size < events.length) return undefined
    const counts = new Map<string, number>()
    for (const { stream } of events) if (stream !== undefined) counts.set(stream, (counts.get(stream) ?? 0) + 1)
    return {
      text,
      params: [
        events.map(({ id }) => id),
        events.map(({ type }) => type),
        counts.size === 0 ? [] : events.map(({ stream }) => stream ?? null),
        events.map(({ timestamp }) => timestamp),
        events.map(({ correlationId }) => correlationId),
        events.map(({ causationId }) => causationId ?? null),
        JSON.stringify(events.map(({ data }) => data)),
        JSON.stringify(events.map(({ metadata }) => metadata)),
        events.map(({ data }) => !isInOrderOfJsonb(data)),
        events.map(({ metadata }) => !isInOrderOfJsonb(metadata)),
        [...counts.keys()],
        [...counts.values()],
        channel,
        payload,
        lockTimeout
      ],
      keeps: true
    }
  }
}

/** What came of each batch, or undefined where one of the ids was there. */
export const putOf = (batches: ReadonlyArray<Batch>, answer: unknown): ReadonlyArray<Appended> | undefined => {
  if (answer === null || answer === undefined) return undefined
  const [positions = [], versions = []] = String(answer)
    .split(";")
    .map((numbers) => numbers.split(","))
  let next = 0
  return batches.map(({ events }) => ({
    _tag: "Stored",
    events: events.map((event) => {
      const index = next++
      const version = versions[index]
      return place(event, Number(positions[index]), version ? Number(version) : undefined)
    })
  }))
}
