import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Events } from "effect-foundation/Events"
import { decodeCriteria, type Query } from "effect-foundation/Events/Criteria"
import { find, type Plan } from "effect-foundation/Events/Sql/Find"
import * as Postgres from "effect-foundation/Events/Sql/Postgres"
import { postgresSelect } from "effect-foundation/Events/Sql/PostgresSelect"
import type { Select } from "effect-foundation/Events/Sql/Select"
import * as Sqlite from "effect-foundation/Events/Sql/Sqlite"
import { sqliteSelect } from "effect-foundation/Events/Sql/SqliteSelect"
import { type Statement, tablesOf } from "effect-foundation/Events/Sql/Tables"
import { Refused } from "effect-foundation/internal/json"
import { as, databases } from "./sqlFixtures.js"

const tables = tablesOf("foundation")

/** Of so many events: half are of one type, a hundredth of another; five are of each request, ten of each stream. */
const count = 30_000
const eventAt = (n: number) => ({
  type: n % 2 === 0 ? "common" : n % 101 === 0 ? "rare" : "other",
  stream: n % 3 === 0 ? `s${n % (count / 10)}` : undefined,
  correlationId: `r${Math.floor(n / 5)}`,
  causationId: n % 3 === 0 ? undefined : `c${Math.floor(n / 5)}`,
  data: { orderId: n, status: n % 2 === 0 ? "ok" : "late", lines: [{ sku: `k${n % 100}` }] },
  metadata: { tenant: `t${n % 300}` }
})

const last = count - 10
/** Criteria that leave some three hundred events at most. */
const criteria = (first: number): ReadonlyArray<Events.Criteria> => [
  { id: `id${last}` },
  { id: Array.from({ length: 50 }, (_, index) => `id${index * 100}`) },
  { stream: "s600" },
  { correlationId: "r77" },
  { causationId: "c78" },
  { type: "rare" },
  { type: ["rare", "none"] },
  { data: { orderId: last } },
  { data: { lines: [{ sku: "k7" }] } },
  { metadata: { tenant: "t7" } },
  { after: first + last - 290 },
  { before: first + 290 },
  { after: first + 15_000, before: first + 15_290 },
  { afterPosition: count - 290 },
  { beforePosition: 290 },
  // Each with one that leaves half of all.
  { type: "common", data: { orderId: last } },
  { type: "common", metadata: { tenant: "t8" } },
  { type: "common", after: first + last - 290 },
  { type: ["common", "other"], before: first + 290 },
  { type: "common", correlationId: "r77" },
  { type: "common", causationId: "c78" },
  { type: "common", stream: "s600" },
  { type: "common", id: `id${last}` },
  { type: "rare", data: { status: "late" } },
  { data: { status: "ok" }, metadata: { tenant: "t8" } },
  { data: { status: "ok", orderId: last } },
  { data: { orderId: last }, after: first },
  { data: { orderId: last }, afterPosition: 10 },
  { stream: "s600", after: first + 10 },
  { correlationId: "r77", data: { status: "ok" } }
]

/** Criteria that match half of all events, which a page is full of at once. */
const dense: ReadonlyArray<Events.Criteria> = [{}, { type: "common" }, { type: ["common", "other"] }, { after: 0 }]

const queryOf = (criteria: Events.Criteria): Query => {
  const query = decodeCriteria({ limit: 256, ...criteria })
  if (query instanceof Refused) throw new Error(String(query))
  return query
}

/** Runs the statements by which the criteria are answered, each past `look` first. */
const answer = (
  select: Select,
  plan: (query: Query) => Plan,
  query: Query,
  look: (statement: Statement) => Effect.Effect<void, unknown>
) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    find(
      {
        select,
        plan,
        run: (statement) => Effect.zipRight(look(statement), sql.unsafe(statement.text, statement.params).values)
      },
      query
    )
  )

const both = (criteria: Events.Criteria): ReadonlyArray<Events.Criteria> => [criteria, { ...criteria, order: "desc" }]

/** The events, and when the first of them was stored: one in each millisecond. */
const filled = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  for (let from = 0; from < count; from += 1000) {
    yield* Events.storeAll(
      Array.from({ length: 1000 }, (_, index) => {
        const { causationId, stream, ...event } = eventAt(from + index)
        return {
          id: `id${from + index}`,
          ...event,
          ...(stream === undefined ? {} : { stream }),
          ...(causationId === undefined ? {} : { causationId })
        }
      })
    )
  }
  const first = 1_700_000_000_000
  yield* sql.unsafe(`UPDATE foundation_events SET timestamp = ${first} + position`)
  yield* sql.unsafe("ANALYZE")
  return first
})

const expected = (first: number, wanted: Events.Criteria) => {
  const all = Array.from({ length: count }, (_, n) => ({ n, ...eventAt(n), id: `id${n}`, at: first + n + 1 }))
  const among = (value: string, wanted: string | ReadonlyArray<string> | undefined) =>
    wanted === undefined || [wanted].flat().includes(value)
  const found = all.filter(
    (event) =>
      among(event.id, wanted.id) &&
      among(event.type, wanted.type) &&
      among(event.stream ?? "", wanted.stream) &&
      among(event.correlationId, wanted.correlationId) &&
      among(event.causationId ?? "", wanted.causationId) &&
      (wanted.after === undefined || event.at > Number(wanted.after)) &&
      (wanted.before === undefined || event.at < Number(wanted.before)) &&
      event.n + 1 > (wanted.afterPosition ?? 0) &&
      event.n + 1 < (wanted.beforePosition ?? Number.POSITIVE_INFINITY) &&
      Object.entries({ ...wanted.data }).every(
        ([field, value]) => JSON.stringify(Reflect.get(event.data, field)) === JSON.stringify(value)
      ) &&
      among(event.metadata.tenant, wanted.metadata?.tenant as string | undefined)
  )
  if (wanted.order === "desc") found.reverse()
  return found.slice(0, 256).map(({ id }) => id)
}

/** A node of a plan, as `EXPLAIN (FORMAT JSON)` gives it. */
interface Node {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Actual Rows": number
  readonly "Actual Loops": number
  readonly "Rows Removed by Filter"?: number
  readonly "Rows Removed by Index Recheck"?: number
  readonly Plans?: ReadonlyArray<Node>
}

describe("every criterion is served by an index", () => {
  it.scopedLive(
    "on SQLite: no statement scans a table",
    () =>
      Effect.gen(function* () {
        const process = yield* (yield* databases.SQLite)()
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const first = yield* filled
          const select = sqliteSelect(tables)
          for (const wanted of [...criteria(first), ...dense].flatMap(both)) {
            const steps: Array<string> = []
            const found = yield* answer(select, Sqlite.planOf, queryOf(wanted), ({ params, text }) =>
              Effect.map(sql.unsafe<{ detail: string }>(`EXPLAIN QUERY PLAN ${text}`, params), (rows) => {
                steps.push(...rows.map(({ detail }) => detail))
              })
            )
            expect({ wanted, ids: found.map(({ id }) => id) }).toStrictEqual({ wanted, ids: expected(first, wanted) })
            const scans = steps.filter((step) => /^SCAN/.test(step) && !/VIRTUAL TABLE|subquery/i.test(step))
            expect({ wanted, scans }).toStrictEqual({ wanted, scans: [] })
            // A walk along the positions alone is for the criteria that are about positions, and a bounded probe.
            const alone = steps.some((step) => /SEARCH e USING INTEGER PRIMARY KEY \(rowid[<>]/.test(step))
            const names = Object.keys(wanted).filter((name) => name !== "order")
            if (alone) expect(names.every((name) => /Position|after|before|type/.test(name))).toBe(true)
          }
        }).pipe(as(process))
      }),
    60_000
  )

  it.scopedLive(
    "on PostgreSQL: no statement looks at many more events than it finds",
    () =>
      Effect.gen(function* () {
        const process = yield* (yield* databases.PostgreSQL)()
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const first = yield* filled
          const select = postgresSelect(tables)
          const looked = (node: Node): number =>
            (node["Relation Name"] === tables.events
              ? (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)) * node["Actual Loops"] +
                (node["Rows Removed by Index Recheck"] ?? 0)
              : 0) + (node.Plans ?? []).reduce((sum, plan) => sum + looked(plan), 0)
          for (const wanted of [...criteria(first), ...dense].flatMap(both)) {
            let events = 0
            const plans: Array<unknown> = []
            const query = queryOf(wanted)
            const found = yield* answer(select, Postgres.planOf(query), query, ({ params, text }) =>
              Effect.map(
                sql.unsafe<Record<string, ReadonlyArray<{ Plan: Node }>>>(
                  `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
                  params
                ),
                ([row]) => {
                  const plan = row?.["QUERY PLAN"]?.[0]?.Plan
                  plans.push(plan)
                  events += plan === undefined ? Number.NaN : looked(plan)
                  expect({ wanted, seq: JSON.stringify(plan).includes('"Seq Scan"') }).toStrictEqual({
                    wanted,
                    seq: false
                  })
                }
              )
            )
            expect({ wanted, ids: found.map(({ id }) => id) }).toStrictEqual({ wanted, ids: expected(first, wanted) })
            // A probe counts 2,000 entries at most, and looks at those; a page that is full of matches looks at these.
            if (events > 2 * 2000 + 300 + 512)
              throw new Error(`${JSON.stringify(wanted)} looked at ${events}: ${JSON.stringify(plans, null, 1)}`)
          }
        }).pipe(as(process))
      }),
    60_000
  )
})
