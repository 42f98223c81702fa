import * as Effect from "effect/Effect"
import { matches, type Query } from "../Criteria.js"
import type { StoredEvent } from "../Event.js"
import { eventOf, type Row } from "./Row.js"
import { behind, hasPatterns, type Pages, type Select, upTo } from "./Select.js"
import type { Statement } from "./Tables.js"

/** How many entries of an index a probe looks at. */
const probed = 2000

export interface FindOptions<E> {
  readonly select: Select
  readonly run: (statement: Statement) => Effect.Effect<ReadonlyArray<Row>, E>
  /** How the query is to be answered. */
  readonly plan: (query: Query) => Plan
}

/**
 * - `walk`: follow an index in order of position until enough is found.
 * - `probe`: try that for a bounded number of entries, for matches may lie dense; then `gather`.
 * - `gather`: find all matches, and sort them.
 */
export type Plan = "walk" | "probe" | "gather"

/** The events that match, in the order of the query, up to its limit. */
export const find = <E>(
  { plan, run, select }: FindOptions<E>,
  query: Query
): Effect.Effect<ReadonlyArray<StoredEvent>, E> => {
  const { pages = rowByRow } = select

  /** An index may find more than what matches, and a page may hold less than what is asked for: it goes on behind it. */
  const taking = (
    statement: (query: Query, limit: number) => Statement,
    { eventsOf, most, of }: Pages,
    query: Query
  ): Effect.Effect<ReadonlyArray<StoredEvent>, E> =>
    Effect.suspend(() => {
      const taken: Array<StoredEvent> = []
      const next = (query: Query): Effect.Effect<ReadonlyArray<StoredEvent>, E> => {
        if (query.limit <= 0 || query.afterPosition + 1 >= query.beforePosition) return Effect.succeed(taken)
        const limit = Math.min(query.limit, most)
        return Effect.flatMap(run(of(statement(query, limit))), (rows) => {
          const found = eventsOf(rows)
          const before = taken.length
          for (const event of found) if (!hasPatterns(query) || matches(query, event)) taken.push(event)
          const last = found.at(-1)
          if (last === undefined || found.length < limit) return Effect.succeed(taken)
          return next({ ...behind(query, last.position), limit: query.limit - (taken.length - before) })
        })
      }
      return next(query)
    })

  switch (plan(query)) {
    case "walk":
      return taking(select.walk, pages, query)
    case "gather":
      return taking(select.gather, rowByRow, query)
    case "probe":
      return Effect.flatMap(run(select.edge(query, probed)), ([edge = []]) => {
        const [entries, last] = edge
        if (Number(entries) === 0) return Effect.succeed([])
        const position = Number(last)
        return Effect.flatMap(taking(select.walk, pages, upTo(query, position)), (near) => {
          if (Number(entries) < probed || near.length >= query.limit) return Effect.succeed(near)
          const rest = { ...behind(query, position), limit: query.limit - near.length }
          return Effect.map(taking(select.gather, rowByRow, rest), (far) => [...near, ...far])
        })
      })
  }
}

/** Also for what is sorted, which would be found anew for each page. */
const rowByRow: Pages = { most: Number.MAX_SAFE_INTEGER, of: (rows) => rows, eventsOf: (rows) => rows.map(eventOf) }
