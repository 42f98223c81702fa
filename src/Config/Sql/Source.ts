import * as SqlClient from "@effect/sql/SqlClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { ConfigError } from "../../FoundationError.js"
import type { Json } from "../../internal/json.js"
import { jsonSafeRecord } from "../../internal/jsonSafe.js"
import { dialectOf } from "../../internal/Sql/Dialect.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { defaultDeadline, guarded } from "../../internal/Sql/Guard.js"
import { acceptPrefix } from "../../internal/Sql/Names.js"
import { upToDate } from "../../internal/Sql/Schema.js"
import { failure } from "../Failure.js"
import { abridged } from "../Path.js"
import { Problem } from "../Problem.js"
import type { Source, Store } from "../Source.js"
import { type Edit, edit, edited, isInexact, isRelated } from "./Rows.js"
import { migrations } from "./Schema.js"
import { Changed, contents, revision, type Table, write } from "./Table.js"
import { watchTable } from "./Watch.js"

export interface TableOptions {
  /** What the name of the table begins with: `foundation`, for `foundation_config`. */
  readonly prefix?: string
  /** Whether what is set is written to this table: it is not. */
  readonly writable?: boolean
  /** Whether the table is read again when somebody has changed it: it is. */
  readonly watch?: boolean
  /** How often the table is looked at where the database does not tell of changes, and while it cannot: 1 second. */
  readonly pollInterval?: Duration.DurationInput
  /** How long a call of the database may take: 5 seconds. */
  readonly deadline?: Duration.DurationInput
  /** What errors, changes and origins call it: the name of the table. */
  readonly name?: string
  /** Paths, beneath which every value is secret. */
  readonly secrets?: ReadonlyArray<string>
}

/** The table as it was read last. A value that is no JSON is a Problem. */
interface Known {
  readonly revision: string
  readonly values: ReadonlyMap<string, Json | Problem>
  readonly revisions: ReadonlyMap<string, string>
}

/** The table, made ready for one configuration. */
export const openTable = (client: SqlClient.SqlClient, options: TableOptions): Effect.Effect<Source, ConfigError> =>
  Effect.gen(function* () {
    const prefix = acceptPrefix(options.prefix)
    if (typeof prefix !== "string") return yield* prefix
    const { deadline = defaultDeadline, pollInterval = "1 second", writable = false } = options
    const name = options.name ?? `${prefix}_config`
    const unusable = unusableAs(name)
    const table = yield* Effect.mapError(opening(client, `${prefix}_config`, deadline), unusable)
    const place = yield* Effect.mapError(guarded(lookedUp(table), deadline), unusable)
    if (writable && !place.writable) return yield* missingRights(name, table.name)

    let known: Known = { revision: "", values: new Map(), revisions: new Map() }
    let seen: string | undefined
    const read = guarded(contents(table), deadline).pipe(
      Effect.tapBoth({
        onFailure: () => Effect.sync(() => (seen = undefined)),
        onSuccess: ({ revision, rows }) =>
          Effect.sync(() => {
            seen = revision
            known = {
              revision,
              values: new Map(rows.map(({ key, value }) => [key, parse(key, value)])),
              revisions: new Map(rows.map(({ key, revision }) => [key, revision]))
            }
          })
      }),
      Effect.mapError(unusable),
      Effect.flatMap(() => {
        const record = recordOf(known.values)
        return record instanceof Problem ? failure(record.in(name)) : Effect.succeed(record)
      })
    )

    const store: Store = {
      deadline,
      admits: outsideOfTransactions(name),
      stage: (path, value) => {
        const edits = editOf(known.values, path, value)
        if (edits instanceof Problem) return edits.in(name)
        const values = edited(known.values, edits)
        const record = recordOf(values)
        if (record instanceof Problem) return record.in(name)
        const expected = new Map(Array.from(known.revisions).filter(([key]) => isRelated(key, path)))
        const commit = write(table, path, expected, edits).pipe(
          Effect.mapError(unwritable(name, path)),
          Effect.flatMap((written) => {
            if (written instanceof Changed) return failure(conflict(path, written.key, name))
            const revisions = new Map(known.revisions)
            for (const key of edits.remove) revisions.delete(key)
            for (const [key, revision] of written.revisions) revisions.set(key, revision)
            // Where others wrote in between, what they wrote is still to be read.
            const revision = written.before === known.revision ? written.after : known.revision
            if (seen === known.revision) seen = revision
            known = { revision, values, revisions }
            return Effect.void
          })
        )
        return { record, commit: edits.put.size + edits.remove.length === 0 ? Effect.void : commit }
      }
    }
    const watch = watchTable(client, {
      channel: place.channel,
      revision: guarded(revision(table), deadline),
      seen: () => seen,
      pollInterval
    })
    return {
      name,
      read,
      secrets: options.secrets ?? [],
      ...(writable ? { store } : {}),
      ...(options.watch === false ? {} : { watch })
    }
  })

/** The table, made where there is none. */
const opening = (client: SqlClient.SqlClient, name: string, deadline: Duration.DurationInput) => {
  const sql = client.withoutTransforms()
  const made = upToDate({ table: `${name}_migrations`, migrations: migrations(name), deadline }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.zipRight(dialectOf(sql)),
    Effect.map((dialect): Table => ({ sql, dialect, name }))
  )
  return guarded(made, deadline)
}

/** The channel that its triggers notify, which is of the schema that it is in, and whether this user may write to it. */
const lookedUp = ({ dialect, name, sql }: Table) =>
  dialect === "sqlite"
    ? Effect.succeed({ channel: undefined, writable: true })
    : sql<{ channel: string; writable: boolean }>`
        select c.relname || '_' || left(md5(n.nspname), 16) as channel,
          has_table_privilege(c.oid, 'insert') and has_table_privilege(c.oid, 'update') and
          has_table_privilege(c.oid, 'delete') and has_table_privilege(${`${name}_revision`}, 'update') as writable
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass(${name})`.pipe(
        Effect.map(([row]) => row ?? { channel: undefined, writable: false })
      )

const parse = (key: string, text: string): Json | Problem => {
  try {
    return JSON.parse(text)
  } catch {
    return new Problem("invalid_value", 'its value in the table is not JSON; write text in quotes, like "text"', key)
  }
}

/** What the values state, if they are all readable. */
const recordOf = (values: ReadonlyMap<string, Json | Problem>): Readonly<Record<string, Json>> | Problem => {
  const record: Record<string, Json> = Object.create(null)
  for (const [key, value] of values) {
    if (value instanceof Problem) return value
    record[key] = value
  }
  return record
}

/** The edit for the value to be at the path. Rows that would have to be written anew must be known exactly. */
const editOf = (values: ReadonlyMap<string, Json | Problem>, path: string, value: Json | undefined): Edit | Problem => {
  const readable = new Map<string, Json>()
  for (const [key, stated] of values) {
    if (!(stated instanceof Problem)) readable.set(key, stated)
    else if (path.startsWith(`${key}.`)) return stated
    else readable.set(key, null)
  }
  const edits = edit(readable, path, value)
  for (const key of edits.put.keys()) {
    const stated = readable.get(key)
    if (key !== path && stated !== undefined && isInexact(stated)) {
      return new Problem(
        "invalid_value",
        `the row of "${key}" has a number in it that would not be written as it stands there; change it with SQL`,
        path
      )
    }
  }
  return edits
}

const conflict = (path: string, changed: string, source: string): Problem => {
  const what = changed === path ? "it" : `"${abridged(changed)}"`
  return new Problem(
    "conflict",
    `another process has changed ${what} meanwhile; look at the value that it has now, and set it again`,
    path,
    source
  )
}

/** What is set is put in force at once, which a transaction could not roll back; and SQLite has but one connection. */
const outsideOfTransactions = (source: string): Effect.Effect<void, ConfigError> =>
  Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (transaction) =>
    transaction._tag === "None"
      ? Effect.void
      : failure(
          new Problem(
            "read_only",
            "inside of a transaction nothing can be set, as it would not be rolled back; set it after the transaction",
            undefined,
            source
          )
        )
  )

const unusableAs =
  (source: string) =>
  ({ code, detail, kind, message }: SqlFailure): ConfigError =>
    new ConfigError({
      reason: "source_unavailable",
      source,
      message: `The configuration table ${source} cannot be used: ${message}`,
      context: jsonSafeRecord({ kind, code, detail })
    })

const unwritable =
  (source: string, path: string) =>
  ({ code, detail, kind, message }: SqlFailure): ConfigError =>
    new ConfigError({
      reason: kind === "read_only" || kind === "denied" ? "read_only" : "source_unavailable",
      path,
      source,
      message: `The configuration key "${path}" cannot be written to ${source}: ${message}`,
      context: jsonSafeRecord({ kind, code, detail })
    })

const missingRights = (source: string, table: string): ConfigError =>
  new ConfigError({
    reason: "read_only",
    source,
    message: `The configuration table ${source} is declared writable, and the user may not write to it: grant INSERT, UPDATE and DELETE on ${table} and UPDATE on ${table}_revision, or leave "writable" out`
  })
