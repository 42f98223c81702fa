import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { EventError } from "../FoundationError.js"
import type { Backend } from "./Backend.js"
import type { Query } from "./Criteria.js"
import type { StoredEvent } from "./Event.js"

/** How many events a stream or a subscription reads, and so holds, at a time. */
export const pageSize = 256

/** Every event that matches when the stream starts, a page at a time. */
export const paged = (backend: Backend, query: Query): Stream.Stream<StoredEvent, EventError> =>
  Stream.paginateChunkEffect(query, (rest: Query) =>
    Effect.map(backend.read({ ...rest, limit: Math.min(rest.limit, pageSize) }), ({ events, head }) => {
      const last = events.at(-1)
      const left = rest.limit - events.length
      const more = last !== undefined && events.length === pageSize && left > 0
      return [
        Chunk.unsafeFromArray(events),
        more ? Option.some(remainder(rest, last.position, left, head)) : Option.none()
      ]
    })
  )

/**
 * What is left of the query after the event at the position. What comes later than the first page's head is left out. A
 * page that goes beyond its head, as one of a stream may, says nothing of where to end: the next one does.
 */
const remainder = (query: Query, position: number, limit: number, head: number): Query =>
  query.order === "desc"
    ? { ...query, limit, beforePosition: position }
    : {
        ...query,
        limit,
        afterPosition: position,
        beforePosition: position > head ? query.beforePosition : Math.min(query.beforePosition, head + 1)
      }

/**
 * Every event that matches, and then each new one. It reads by position, and only waits when a read has found the end;
 * it listens from before its first read, so nothing can be stored in between unheard. What is stored while it is busy
 * stays in the store until it reads on.
 */
export const subscribed = (backend: Backend, query: Query): Stream.Stream<StoredEvent, EventError> =>
  Stream.unwrapScoped(
    Effect.map(backend.changes, (change) => {
      let position = query.afterPosition
      const next: Effect.Effect<Chunk.Chunk<StoredEvent>, EventError> = Effect.suspend(() =>
        Effect.flatMap(backend.read({ ...query, afterPosition: position, limit: pageSize }), ({ events, head }) => {
          // A full page says nothing of what is behind it. One that is not full says that there is no more up to the
          // head: the next read need not look there again.
          const seen = events.at(-1)?.position ?? position
          position = events.length === pageSize ? seen : Math.max(seen, head)
          return events.length > 0 ? Effect.succeed(Chunk.unsafeFromArray(events)) : Effect.zipRight(change, next)
        })
      )
      return Stream.repeatEffectChunk(next)
    })
  )
