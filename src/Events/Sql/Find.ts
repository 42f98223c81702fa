import * as Effect from "effect/Effect"
import { matches, type Query } from "../Criteria.js"
import type { StoredEvent } from "../Event.js"
import { eventOf, type Row } from "./Row.js"
import { behind, hasPatterns, type Select, upTo } from "./Select.js"
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
  /** An index may find more than what matches: where that used up the limit, it goes on behind it. */
  const taking = (
    statement: (query: Query, limit: number) => Statement,
    query: Query
  ): Effect.Effect<ReadonlyArray<StoredEvent>, E> => {
    if (query.limit <= 0 || query.afterPosition + 1 >= query.beforePosition) return Effect.succeed([])
    return Effect.flatMap(run(statement(query, Math.min(query.limit, Number.MAX_SAFE_INTEGER))), (rows) => {
      const found = rows.map(eventOf)
      if (!hasPatterns(query)) return Effect.succeed(found)
      const matching = found.filter((event) => matches(query, event))
      const last = found.at(-1)
      if (matching.length === found.length || last === undefined || found.length < query.limit) {
        return Effect.succeed(matching)
      }
      const rest = { ...behind(query, last.position), limit: query.limit - matching.length }
      return Effect.map(taking(statement, rest), (more) => [...matching, ...more])
    })
  }

  switch (plan(query)) {
    case "walk":
      return taking(select.walk, query)
    case "gather":
      return taking(select.gather, query)
    case "probe":
      return Effect.flatMap(run(select.edge(query, probed)), ([edge = []]) => {
        const [entries, last] = edge
        if (Number(entries) === 0) return Effect.succeed([])
        const position = Number(last)
        return Effect.flatMap(taking(select.walk, upTo(query, position)), (near) => {
          if (Number(entries) < probed || near.length >= query.limit) return Effect.succeed(near)
          const rest = { ...behind(query, position), limit: query.limit - near.length }
          return Effect.map(taking(select.gather, rest), (far) => [...near, ...far])
        })
      })
  }
}
