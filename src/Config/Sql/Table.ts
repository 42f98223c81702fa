import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Json } from "../../internal/json.js"
import type { Dialect } from "../../internal/Sql/Dialect.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { whileLocked } from "../../internal/Sql/Guard.js"
import { immediately } from "../../internal/Sql/Immediate.js"
import { Problem } from "../Problem.js"
import { maxValues } from "../Tree.js"
import { around, type Edit } from "./Rows.js"

/** What a table may hold, keys and values in UTF-8. */
export const maxBytes = 16 * 1024 * 1024

/** A table of configuration. Every change of it makes its revision another, whoever makes it: triggers see to that. */
export interface Table {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  /** `foundation_config` */
  readonly name: string
}

export interface Row {
  readonly key: string
  /** As text, which may be no JSON. */
  readonly value: string
  readonly revision: string
}

/** All rows at one moment. */
export interface Contents {
  readonly revision: string
  readonly rows: ReadonlyArray<Row>
}

const counterOf = ({ name, sql }: Table) => sql(`${name}_revision`)

/** The bytes of the text. */
const bytesOf = ({ dialect, sql }: Table, expression: string) =>
  sql.literal(dialect === "pg" ? `octet_length((${expression})::text)` : `length(cast(${expression} as blob))`)

/** The revision of the last change. */
export const revision = (table: Table): Effect.Effect<string, SqlError> =>
  table.sql<{ revision: string }>`select cast(revision as text) as revision from ${counterOf(table)}`.pipe(
    Effect.map(([row]) => row?.revision ?? "")
  )

/** Everything that the table holds; or its size, where that is too large. One statement reads all of one moment. */
export const contents = (table: Table): Effect.Effect<Contents, SqlError | SqlFailure> => {
  const { name, sql } = table
  const text = table.dialect === "pg" ? sql.literal("t.value::text") : sql.literal("t.value")
  return sql<{
    readonly latest: string
    readonly n: unknown
    readonly bytes: unknown
    readonly key: string | null
    readonly value: string
    readonly revision: string
  }>`
    with size as (
      select count(*) as n, coalesce(sum(${bytesOf(table, "key")} + ${bytesOf(table, "value")}), 0) as bytes
      from ${sql(name)}
    )
    select cast((select revision from ${counterOf(table)}) as text) as latest, size.n as n, size.bytes as bytes,
      t.key as key, ${text} as value, cast(t.revision as text) as revision
    from size left join ${sql(name)} t on size.n <= ${maxValues} and size.bytes <= ${maxBytes}
    order by t.key`.pipe(
    Effect.flatMap((rows) => {
      const [first] = rows
      if (Number(first?.n) > maxValues || Number(first?.bytes) > maxBytes) return Effect.fail(tooLarge)
      return Effect.succeed({
        revision: first?.latest ?? "",
        rows: rows.filter((row): row is typeof row & Row => row.key !== null)
      })
    })
  )
}

export const tooLarge: SqlFailure = {
  kind: "full",
  message: `the table holds more than ${maxBytes} bytes or ${maxValues} rows, the most that is read: remove some`,
  code: undefined,
  detail: undefined,
  transient: false
}

/** A row is another than it was when it was read. */
export class Changed {
  constructor(readonly key: string) {}
}

/** What came of an edit: the revision before it and after it, and those of the rows that were put. */
export interface Written {
  readonly edits: Edit
  readonly before: string
  readonly after: string
  readonly revisions: ReadonlyMap<string, string>
}

/** An edit of what is at, around and beneath the path, and the revisions that all of it must have. */
export interface Plan {
  readonly path: string
  readonly edits: Edit
  readonly expected: ReadonlyMap<string, string>
}

/**
 * Makes the edit that is planned, if the rows have the expected revisions. Who writes waits for the others at the revision
 * of the table, and so does who writes with SQL of his own, through the triggers: from the planning on nobody changes it.
 */
export const write = (
  table: Table,
  planned: (revision: string) => Effect.Effect<Plan | Problem, SqlError | SqlFailure>
): Effect.Effect<Written | Changed | Problem, SqlFailure> => {
  const { dialect, name, sql } = table
  const lock = sql.literal(dialect === "pg" ? "for update" : "")
  return inTransaction(
    table,
    Effect.gen(function* () {
      const [counter] = yield* sql<{ revision: string }>`
        select cast(revision as text) as revision from ${counterOf(table)} ${lock}`
      const before = counter?.revision ?? ""
      const plan = yield* planned(before)
      if (plan instanceof Problem) return plan
      const { edits, expected, path } = plan
      const { put, remove } = edits
      const beneath = sql`key >= ${`${path}.`} and key < ${`${path}/`}` // a slash comes after the dot
      const found = yield* sql<{ key: string; revision: string }>`
        select key, cast(revision as text) as revision from ${sql(name)}
        where key in ${sql.in(around(path))} or (${beneath})`
      for (const { key, revision } of found) if (expected.get(key) !== revision) return new Changed(key)
      if (found.length !== expected.size) {
        const keys = new Set(found.map(({ key }) => key))
        return new Changed([...expected.keys()].find((key) => !keys.has(key)) ?? path)
      }
      const above = remove.filter((key) => !key.startsWith(`${path}.`))
      if (above.length < remove.length) yield* sql`delete from ${sql(name)} where ${beneath}`
      if (above.length > 0) yield* sql`delete from ${sql(name)} where key in ${sql.in(above)}`
      for (const [key, value] of put) yield* upsert(table, key, value)
      const [size] = yield* sql<{ n: unknown; bytes: unknown }>`
        select count(*) as n, coalesce(sum(${bytesOf(table, "key")} + ${bytesOf(table, "value")}), 0) as bytes
        from ${sql(name)}`
      if (Number(size?.n) > maxValues || Number(size?.bytes) > maxBytes) return yield* Effect.fail(tooLarge)
      const rows =
        put.size === 0
          ? []
          : yield* sql<{ key: string; revision: string }>`
              select key, cast(revision as text) as revision from ${sql(name)} where key in ${sql.in([...put.keys()])}`
      return {
        edits,
        before,
        after: yield* revision(table),
        revisions: new Map(rows.map(({ key, revision }) => [key, revision]))
      }
    })
  )
}

const upsert = ({ dialect, name, sql }: Table, key: string, value: Json) => {
  const type = sql.literal(dialect === "pg" ? "::jsonb" : "")
  return sql`insert into ${sql(name)} (key, value) values (${key}, ${JSON.stringify(value)}${type})
    on conflict (key) do update set value = excluded.value`
}

/** Comes again where another holds the lock, or was preferred, until it is interrupted. */
const inTransaction = <A>(table: Table, work: Effect.Effect<A, SqlError | SqlFailure>): Effect.Effect<A, SqlFailure> =>
  whileLocked(table.dialect === "pg" ? table.sql.withTransaction(work) : immediately(table.sql, work))
