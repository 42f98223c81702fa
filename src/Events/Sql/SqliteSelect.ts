import type { Pattern, Query } from "../Criteria.js"
import { type Fragment, joined, part, text } from "./Fragment.js"
import { columns, eventsOfPage } from "./Row.js"
import {
  boundsOf,
  type Criterion,
  column,
  hasPatterns,
  hasTimes,
  isNarrow,
  leading,
  type Pages,
  type Select,
  typeOf
} from "./Select.js"
import type { Tables } from "./Tables.js"
import { type Part, termOf } from "./Terms.js"

/**
 * SQLite knows little of what its tables hold, so the texts say which index to use. An index has the position behind its
 * column: what is found by one value is in order of position already. A column with a plus takes part in no choice.
 */

type Followed = Criterion | "term"

/** The ends of the names of the indexes. */
const indexed = {
  ids: "id",
  type: "type",
  stream: "stream",
  correlationId: "correlation",
  causationId: "causation",
  times: "timestamp"
} as const

export const sqliteSelect = (tables: Tables): Select => {
  const events = text(tables.events)
  const terms = text(tables.terms)
  const selected = (alias: string) => text(columns.map((column) => `${alias}.${column} AS ${column}`).join(", "))
  const index = (name: keyof typeof indexed) => text(`${tables.events} e INDEXED BY ${tables.events}_${indexed[name]}`)

  /** The entries that a walk follows: what to read them from, and the condition on them. */
  const followed = (query: Query, by: Followed): { readonly from: Fragment; readonly where?: Fragment } => {
    switch (by) {
      case "ids":
        return { from: part`json_each(${list(query.ids)}) w CROSS JOIN ${index("ids")}`, where: part`e.id = w.value` }
      case "stream":
      case "correlationId":
      case "causationId":
        return { from: index(by), where: part`e.${text(column[by])} = ${query[by]}` }
      case "type":
        return { from: index(by), where: part`e.type = ${typeOf(query)}` }
      case "types":
        return { from: index("type"), where: part`e.type = w.value` }
      case "term":
        return {
          from: part`${terms} t CROSS JOIN ${events} e ON e.position = t.position`,
          where: part`t.term = ${termsIn(query)[0]}`
        }
      case "position":
        return { from: part`${events} e NOT INDEXED` }
    }
  }

  /** What the query asks for besides what the index answers. */
  const conditions = (query: Query, by: Followed | "times"): ReadonlyArray<Fragment> => {
    const { after, afterPosition, before, beforePosition } = boundsOf(query)
    const position = text(by === "term" ? "t.position" : by === "times" ? "+e.position" : "e.position")
    const all = [part`${position} > ${afterPosition}`, part`${position} < ${beforePosition}`]
    if (query.ids !== undefined && by !== "ids") {
      all.push(part`+e.id IN (SELECT value FROM json_each(${list(query.ids)}))`)
    }
    if (query.types !== undefined && by !== "type" && by !== "types") {
      all.push(part`+e.type IN (SELECT value FROM json_each(${list(query.types)}))`)
    }
    for (const name of ["stream", "correlationId", "causationId"] as const) {
      if (query[name] !== undefined && by !== name) all.push(part`+e.${text(column[name])} = ${query[name]}`)
    }
    if (hasTimes(query)) {
      const timestamp = text(by === "times" ? "e.timestamp" : "+e.timestamp")
      all.push(part`${timestamp} > ${after}`, part`${timestamp} < ${before}`)
    }
    const others = termsIn(query).slice(by === "term" ? 1 : 0)
    if (others.length > 0) {
      all.push(
        part`NOT EXISTS (SELECT 1 FROM json_each(${JSON.stringify(others)}) o WHERE NOT EXISTS (SELECT 1 FROM ${terms} h WHERE h.term = o.value AND h.position = e.position))`
      )
    }
    return all
  }

  /** A limit that is a parameter alone would be a part of the plan, and the statement prepared anew for each: 40 µs. */
  const ordered = (query: Query, position: string, limit: number) =>
    part`ORDER BY ${text(`${position} ${query.order}`)} LIMIT ${limit} + 0`

  return {
    walk: (query, limit) => {
      const by = followedFirst(query)
      const { from, where } = followed(query, by)
      const all = joined([...(where === undefined ? [] : [where]), ...conditions(query, by)], " AND ")
      if (by !== "types") {
        const order = ordered(query, by === "term" ? "t.position" : "e.position", limit)
        return part`SELECT ${selected("e")} FROM ${from} WHERE ${all} ${order}`.sqlite()
      }
      // The first of each type, of which the first of all are.
      const firsts = part`SELECT e.position FROM ${from} WHERE ${all} ${ordered(query, "e.position", limit)}`
      return part`SELECT ${selected("a")} FROM json_each(${list(query.types)}) w CROSS JOIN ${events} a ON a.position IN (${firsts}) ${ordered(query, "a.position", limit)}`.sqlite()
    },

    edge: (query, limit) => {
      const by = followedFirst(query)
      const position = text(by === "term" ? "t.position" : "e.position")
      const { from, where } = followed(query, by === "types" ? "position" : by)
      const { afterPosition, beforePosition } = boundsOf(query)
      const range = [part`${position} > ${afterPosition}`, part`${position} < ${beforePosition}`]
      const all = joined([...(where === undefined ? [] : [where]), ...range], " AND ")
      const last = text(query.order === "asc" ? "max" : "min")
      return part`SELECT count(*), ${last}(position) FROM (SELECT ${position} AS position FROM ${
        by === "term" ? part`${terms} t` : from
      } WHERE ${all} ${ordered(query, "position", limit)})`.sqlite()
    },

    gather: (query, limit) => {
      const all = joined(conditions(query, "times"), " AND ")
      return part`SELECT ${selected("e")} FROM ${index("times")} WHERE ${all} ${ordered(query, "+e.position", limit)}`.sqlite()
    },

    pages
  }
}

/** Columns of whole numbers, and of what is JSON already: nothing in them is to be escaped. */
const plain: ReadonlySet<string> = new Set(["position", "timestamp", "data", "metadata"])

const page = columns
  .map((column) => (plain.has(column) ? `'[' || group_concat(${column}) || ']'` : `json_group_array(${column})`))
  .join(", ")

const pages: Pages = {
  // The data of so many events, of 1 MiB each, are just below the longest text that V8 has.
  most: 500,
  of: ({ params, text }) => ({ text: `SELECT ${page} FROM (${text})`, params }),
  eventsOf: eventsOfPage
}

/** A field with its value leads before a type, and after what is about a single thing. */
const followedFirst = (query: Query): Followed => (hasPatterns(query) && !isNarrow(query) ? "term" : leading(query))

const termsIn = (query: Query): ReadonlyArray<number> => [
  ...termsOfPattern("data", query.data),
  ...termsOfPattern("metadata", query.metadata)
]

const termsOfPattern = (part: Part, pattern: Pattern = []): ReadonlyArray<number> =>
  pattern.map(([field, value]) => termOf(part, field, value))

const list = (values: Iterable<string> = []): string => JSON.stringify([...values])
