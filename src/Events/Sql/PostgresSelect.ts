import type { Query } from "../Criteria.js"
import { type Fragment, joined, part, text } from "./Fragment.js"
import { columns } from "./Row.js"
import { boundsOf, type Criterion, column, hasTimes, leading, type Select, typeOf } from "./Select.js"
import type { Tables } from "./Tables.js"

/**
 * PostgreSQL chooses the index by what it guesses of the table, and a limit has it bet on the order of positions, which
 * leads it past every event until enough are found. So a walk asks for an order and for bounds that only the one index has.
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

  /** The entries that a walk follows: the conditions on them, and the columns that they are in order of. */
  const followed = (query: Query, by: Criterion): { readonly where: Fragment; readonly order: string } => {
    const { afterPosition, beforePosition } = boundsOf(query)
    const between = (column: string, value: Fragment) => ({
      where: part`(e.${text(column)}, e.position) > (${value}, ${afterPosition}::bigint) and (e.${text(column)}, e.position) < (${value}, ${beforePosition}::bigint) and e.${text(column)} is not null`,
      order: column
    })
    switch (by) {
      case "stream":
      case "correlationId":
      case "causationId":
        return between(column[by], part`${query[by]}::text`)
      case "type":
        return between(column.type, part`${typeOf(query)}::text`)
      case "types":
        return between(column.type, text("w.type"))
      case "ids":
      case "position": {
        const range = part`e.position > ${afterPosition}::bigint and e.position < ${beforePosition}::bigint`
        return { where: range, order: "" }
      }
    }
  }

  /** What the query asks for besides what the walk follows. */
  const conditions = (query: Query, by: Criterion): ReadonlyArray<Fragment> => {
    const { after, before } = boundsOf(query)
    const all: Array<Fragment> = []
    if (query.ids !== undefined) all.push(part`e.id = any(${[...query.ids]}::text[])`)
    if (query.types !== undefined && by !== "type" && by !== "types") {
      all.push(
        query.types.size === 1 ? part`e.type = ${typeOf(query)}::text` : part`e.type = any(${[...query.types]}::text[])`
      )
    }
    for (const name of ["stream", "correlationId", "causationId"] as const) {
      if (query[name] !== undefined && by !== name) all.push(part`e.${text(column[name])} = ${query[name]}::text`)
    }
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
        part`not exists (select 1 from jsonb_each(${wanted}) f where (${column} -> f.key) is distinct from f.value)`
      )
    }
    return all
  }

  const ordered = ({ order }: Query, by: string, limit: number) =>
    part`order by ${text(by === "" ? "" : `e.${by} ${order}, `)}e.position ${text(order)} limit ${limit}::bigint`

  const sorted = ({ order }: Query, position: string, limit: number) =>
    part`order by ${text(`${position} ${order}`)} limit ${limit}::bigint`

  return {
    walk: (query, limit) => {
      const by = leading(query)
      const { order, where } = followed(query, by)
      const others = conditions(query, by)
      const all = joined([where, ...others], " and ")
      // Where nothing else is asked for, there is one index to follow, whatever the parameters are.
      const keeps = others.length === 0
      if (by === "ids") {
        return part`select ${selected("e")} from ${events} e where ${all} ${sorted(query, "e.position + 0", limit)}`.postgres()
      }
      if (by !== "types") {
        const text = part`select ${selected("e")} from ${events} e where ${all} ${ordered(query, order, limit)}`
        return { ...text.postgres(), keeps }
      }
      // The first of each type, of which the first of all are.
      const firsts = part`select e.* from ${events} e where ${all} ${ordered(query, order, limit)}`
      return part`select ${selected("a")} from unnest(${[...(query.types ?? [])]}::text[]) as w(type) cross join lateral (${firsts}) a ${sorted(query, "a.position", limit)}`.postgres()
    },

    edge: (query, limit) => {
      const leader = leading(query)
      const by = leader === "types" || leader === "ids" ? "position" : leader
      const { order, where } = followed(query, by)
      const last = text(query.order === "asc" ? "max" : "min")
      const entries = part`select e.position from ${events} e where ${where} ${ordered(query, order, limit)}`
      return part`select count(*), ${last}(position) from (${entries}) w`.postgres()
    },

    gather: (query, limit) => {
      const all = joined([followed(query, "position").where, ...conditions(query, "position")], " and ")
      return part`select ${selected("e")} from ${events} e where ${all} ${sorted(query, "e.position + 0", limit)}`.postgres()
    }
  }
}
