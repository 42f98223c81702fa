import type { Query } from "../Criteria.js"
import { type Fragment, joined, part, text } from "./Fragment.js"
import { columns } from "./Row.js"
import { boundsOf, hasTimes, isNarrow, type Select } from "./Select.js"
import type { Tables } from "./Tables.js"

/**
 * PostgreSQL chooses the index itself, by what it knows of the table. Where it is not to follow the order of positions,
 * which may have it look at every event until enough are found, the texts sort by a sum.
 */

/** JSON as it was given where that was kept, else as jsonb has it. */
const selected = (alias: string) =>
  text(
    columns
      .map((column) =>
        column === "data" || column === "metadata"
          ? `coalesce(${alias}.${column}_text, ${alias}.${column}::text)`
          : `${alias}.${column}`
      )
      .join(", ")
  )

export const postgresSelect = (tables: Tables): Select => {
  const events = text(tables.events)

  const conditions = (query: Query): Fragment => {
    const { after, afterPosition, before, beforePosition } = boundsOf(query)
    const all = [part`e.position > ${afterPosition}::bigint`, part`e.position < ${beforePosition}::bigint`]
    if (query.ids !== undefined) all.push(part`e.id = any(${[...query.ids]}::text[])`)
    if (query.types !== undefined) {
      const [one] = query.types
      all.push(query.types.size === 1 ? part`e.type = ${one}::text` : part`e.type = any(${[...query.types]}::text[])`)
    }
    if (query.stream !== undefined) all.push(part`e.stream = ${query.stream}::text`)
    if (query.correlationId !== undefined) all.push(part`e.correlation_id = ${query.correlationId}::text`)
    if (query.causationId !== undefined) all.push(part`e.causation_id = ${query.causationId}::text`)
    if (hasTimes(query)) {
      all.push(part`e.timestamp > ${after}::bigint`, part`e.timestamp < ${before}::bigint`)
    }
    for (const name of ["data", "metadata"] as const) {
      const pattern = query[name]
      if (pattern === undefined) continue
      const wanted = part`${JSON.stringify(Object.fromEntries(pattern))}::jsonb`
      const column = text(`e.${name}`)
      // The index finds what contains the fields, which may hold more inside; each field must be the same.
      all.push(
        part`${column} @> ${wanted}`,
        part`not exists (select 1 from jsonb_each(${wanted}) w where (${column} -> w.key) is distinct from w.value)`
      )
    }
    return joined(all, " and ")
  }

  const ordered = (query: Query, position: string, limit: number) =>
    part`order by ${text(`${position} ${query.order}`)} limit ${limit}::bigint`

  return {
    walk: (query, limit) => {
      if (query.types === undefined || query.types.size === 1 || isNarrow(query)) {
        return part`select ${selected("e")} from ${events} e where ${conditions(query)} ${ordered(query, "e.position", limit)}`.postgres()
      }
      // The first of each type, of which the first of all are.
      const others = conditions({ ...query, types: undefined })
      const firsts = part`select e.* from ${events} e where e.type = w.type and ${others} ${ordered(query, "e.position", limit)}`
      return part`select ${selected("a")} from unnest(${[...query.types]}::text[]) as w(type) cross join lateral (${firsts}) a ${ordered(query, "a.position", limit)}`.postgres()
    },

    edge: (query, limit) => {
      const followed = {
        ...query,
        types: query.types?.size === 1 ? query.types : undefined,
        after: Number.NEGATIVE_INFINITY,
        before: Number.POSITIVE_INFINITY,
        data: undefined,
        metadata: undefined
      }
      const entries = part`select e.position from ${events} e where ${conditions(followed)} ${ordered(query, "e.position", limit)}`
      const last = text(query.order === "asc" ? "max" : "min")
      return part`select count(*), ${last}(position) from (${entries}) w`.postgres()
    },

    gather: (query, limit) =>
      part`select ${selected("e")} from ${events} e where ${conditions(query)} ${ordered(query, "e.position + 0", limit)}`.postgres()
  }
}
