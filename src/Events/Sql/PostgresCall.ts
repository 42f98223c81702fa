import type { Appended } from "../Backend.js"
import { place } from "../Event.js"
import type { Batch } from "./Decide.js"
import { isInOrderOfJsonb } from "./KeyOrder.js"
import { eventOf, type Row } from "./Row.js"
import type { Statement, Tables } from "./Tables.js"

/** What is notified when events were stored. */
export interface Notification {
  readonly channel: string
  readonly payload: string
  /** What a session that listens executes besides, to be notified. */
  readonly attending?: string
}

/** The call of the function that stores; `lockTimeout` bounds its waits for other transactions. */
export const appendCall = (
  { append }: Tables,
  batches: ReadonlyArray<Batch>,
  { channel, payload }: Notification,
  lockTimeout?: string
): Statement => {
  const events: Array<unknown> = []
  const ids: Array<string> = []
  const streams = new Map<string, number>()
  for (const batch of batches) {
    if (batch.expectation !== undefined) add(streams, batch.expectation.stream, 0)
    for (const event of batch.events) {
      ids.push(event.id)
      if (event.stream !== undefined) add(streams, event.stream, 1)
      events.push({
        id: event.id,
        t: event.type,
        s: event.stream ?? null,
        at: event.timestamp,
        r: event.correlationId,
        c: event.causationId ?? null,
        d: event.data,
        m: event.metadata,
        dt: !isInOrderOfJsonb(event.data),
        mt: !isInOrderOfJsonb(event.metadata)
      })
    }
  }
  const expected = batches.some(({ expectation }) => expectation !== undefined)
    ? JSON.stringify(batches.map(({ expectation }) => expectation ?? null))
    : null
  const call = `${append}($1::json, $2::text[], $3::int[], $4::json, $5::text[], $6::int[], $7::boolean, $8::text, $9::text)::text`
  return {
    text: `select ${call}${lockTimeout === undefined ? "" : " from set_config('lock_timeout', $10::text, true)"}`,
    params: [
      JSON.stringify(events),
      ids,
      batches.map(({ events }) => events.length),
      expected,
      [...streams.keys()],
      [...streams.values()],
      new Set(ids).size === ids.length,
      channel,
      payload,
      ...(lockTimeout === undefined ? [] : [lockTimeout])
    ],
    keeps: true
  }
}

const add = (counts: Map<string, number>, name: string, count: number): void => {
  counts.set(name, (counts.get(name) ?? 0) + count)
}

/** What the function answers. */
type Answer =
  | { readonly positions: ReadonlyArray<number>; readonly versions: ReadonlyArray<number | null> | null }
  | ReadonlyArray<
      { readonly duplicate: number } | { readonly conflict: number } | { readonly events: ReadonlyArray<Row> }
    >

/** What came of each batch. */
export const appendedOf = (batches: ReadonlyArray<Batch>, text: string): ReadonlyArray<Appended> => {
  const answer: Answer = JSON.parse(text)
  if ("positions" in answer) {
    const { positions, versions } = answer
    let next = 0
    return batches.map(({ events }) => ({
      _tag: "Stored",
      events: events.map((event) => {
        const index = next++
        return place(event, positions[index] ?? 0, versions?.[index] ?? undefined)
      })
    }))
  }
  return answer.map((end): Appended => {
    if ("duplicate" in end) return { _tag: "Duplicate", index: end.duplicate }
    if ("conflict" in end) return { _tag: "Conflict", actual: end.conflict }
    return { _tag: "Stored", events: end.events.map(eventOf) }
  })
}
