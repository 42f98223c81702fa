import * as SqlClient from "@effect/sql/SqlClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { ConfigError } from "../../FoundationError.js"
import { acceptDuration } from "../../internal/acceptDuration.js"
import { dialectOf } from "../../internal/Sql/Dialect.js"
import { defaultDeadline, guarded } from "../../internal/Sql/Guard.js"
import { acceptPrefix } from "../../internal/Sql/Names.js"
import { outside } from "../../internal/Sql/outside.js"
import { upToDate } from "../../internal/Sql/Schema.js"
import { failure } from "../Failure.js"
import { Problem } from "../Problem.js"
import type { Source, Stated, Store } from "../Source.js"
import { conflict, missingRights, outsideOfTransactions, unusable, unwritable } from "./Failures.js"
import { Known } from "./Known.js"
import { migrations } from "./Schema.js"
import { Changed, type Contents, contents, type Plan, revision, type Table, write } from "./Table.js"
import { watchTable } from "./Watch.js"

export interface TableOptions {
  /** What the name of the table begins with: `foundation`, for `foundation_config`. */
  readonly prefix?: string
  /** Whether what is set is written to this table: it is not. */
  readonly writable?: boolean
  /** Whether the table is read again when somebody has changed it: it is. */
  readonly watch?: boolean
  /** How often the table is looked at where the database does not tell of changes, and while it cannot: 250 milliseconds. */
  readonly pollInterval?: Duration.DurationInput
  /** How long a call of the database may take: 5 seconds. */
  readonly deadline?: Duration.DurationInput
  /** What errors, changes and origins call it: the name of the table. */
  readonly name?: string
  /** Paths, beneath which every value is secret. */
  readonly secrets?: ReadonlyArray<string>
}

/** The table, made ready for one configuration. */
export const openTable = (client: SqlClient.SqlClient, options: TableOptions): Effect.Effect<Source, ConfigError> =>
  Effect.gen(function* () {
    const prefix = acceptPrefix(options.prefix)
    if (prefix instanceof ConfigError) return yield* prefix
    const deadline = acceptDuration("config.deadline", options.deadline ?? defaultDeadline)
    if (deadline instanceof ConfigError) return yield* deadline
    const pollInterval = acceptDuration("config.pollInterval", options.pollInterval ?? "250 millis")
    if (pollInterval instanceof ConfigError) return yield* pollInterval
    const { writable = false } = options
    const name = options.name ?? `${prefix}_config`
    const table = yield* Effect.mapError(opened(client, `${prefix}_config`, deadline), unusable(name))
    const place = yield* Effect.mapError(guarded(lookedUp(table), deadline), unusable(name))
    if (writable && !place.writable) return yield* missingRights(name, table.name)

    let known = Known.nothing
    /** The revision that was read last; none where the last read failed. */
    let seen: string | undefined
    const learn = (contents: Contents): Stated | Problem => {
      known = Known.of(contents)
      seen = known.revision
      return known.record
    }
    const read = guarded(outside(Effect.disconnect(contents(table))), deadline).pipe(
      Effect.tapError(() =>
        Effect.sync(() => {
          seen = undefined
        })
      ),
      Effect.mapError(unusable(name)),
      Effect.flatMap((contents) => {
        const record = learn(contents)
        return record instanceof Problem ? failure(record.in(name)) : Effect.succeed(record)
      })
    )

    const store: Store = {
      deadline,
      admits: outsideOfTransactions(name),
      write: (path, prepare, alone) =>
        Effect.suspend(() => {
          const plan = (refreshed?: Stated | Problem): Plan | Problem => {
            const prepared = prepare(refreshed)
            if (prepared instanceof Problem) return prepared
            const edited = known.edit(path, prepared.value)
            if (edited instanceof Problem) return edited.in(name)
            const [edits, record] = edited
            return prepared.check(record) ?? { path, edits, expected: known.around(path) }
          }
          // What is refused needs no database.
          const first = alone ? undefined : plan()
          if (first instanceof Problem) return failure(first)
          if (first !== undefined && first.edits.put.size + first.edits.remove.length === 0) return Effect.void
          const planned = (revision: string) => {
            if (first !== undefined) return Effect.succeed(first)
            if (revision === known.revision) return Effect.sync(unmistaken(plan))
            return Effect.map(contents(table), (contents) => unmistaken(plan)(learn(contents)))
          }
          // Disconnected: a transaction that waits for a server that is gone does not let itself be interrupted.
          return Effect.disconnect(write(table, planned)).pipe(
            Effect.catchAllDefect((defect) => Effect.die(defect instanceof Mistake ? defect.thrown : defect)),
            Effect.mapError(unwritable(name, path)),
            Effect.flatMap((written) => {
              if (written instanceof Problem) return failure(written)
              if (written instanceof Changed) return failure(conflict(name, path, written.key))
              const next = known.written(written)
              if (seen === known.revision) seen = next.revision
              known = next
              return Effect.void
            })
          )
        })
    }
    const watch = watchTable(client, {
      channel: place.channel,
      // Not traced: four times a second it would be most of what a trace shows.
      revision: Effect.withTracerEnabled(guarded(outside(Effect.disconnect(revision(table))), deadline), false),
      seen: () => seen,
      pollInterval
    })
    return {
      name,
      read,
      atomic: true,
      secrets: options.secrets ?? [],
      ...(writable ? { store } : {}),
      ...(options.watch === false ? {} : { watch })
    }
  }).pipe(outside)

/** What a program threw while its value was made, which may look like an error of the database. */
class Mistake {
  constructor(readonly thrown: unknown) {}
}

const unmistaken =
  <A extends ReadonlyArray<unknown>, B>(make: (...args: A) => B) =>
  (...args: A): B => {
    try {
      return make(...args)
    } catch (thrown) {
      throw new Mistake(thrown)
    }
  }

/** The table, made where there is none. */
const opened = (client: SqlClient.SqlClient, name: string, deadline: Duration.DurationInput) => {
  const sql = client.withoutTransforms()
  return upToDate({ table: `${name}_migrations`, migrations: migrations(name), deadline }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.zipRight(dialectOf(sql)),
    Effect.map((dialect): Table => ({ sql, dialect, name }))
  )
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
