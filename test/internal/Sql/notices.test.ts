import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Queue, Redacted, String as Text, Tracer } from "effect"
import { listen } from "effect-foundation/internal/Sql/Notices"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { freshDatabase } from "../../support/postgres.js"
import { makeProxy } from "../../support/proxy.js"

/** What a listener is told, in order. */
const hearing = (channel: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const heard = yield* Queue.unbounded<string>()
    yield* listen(
      sql,
      { channel, pollInterval: "20 millis" },
      {
        notified: (payload) => heard.unsafeOffer(payload),
        resync: () => heard.unsafeOffer("resync"),
        lost: () => heard.unsafeOffer("lost")
      }
    )
    return heard
  })

const execute = (statement: string) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement))
const killListeners = execute(
  "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%(listening)'" +
    " and datname = current_database()"
)

/** How many connections listen. */
const listening = Effect.map(
  execute(
    "select count(*)::int as n from pg_stat_activity where application_name like '%(listening)' and datname = current_database()"
  ),
  ([row]) => (row as { n: number }).n
)

describe("a listener on PostgreSQL", () => {
  const client = Layer.unwrapScoped(Effect.map(freshDatabase, (url) => postgresClient({ url })))

  it.scopedLive("hears its channel from when it begins", () =>
    Effect.gen(function* () {
      const heard = yield* hearing("things")
      expect(yield* Queue.take(heard)).toBe("resync")
      yield* execute("select pg_notify('other', 'x'), pg_notify('things', 'one'), pg_notify('things', 'two')")
      expect([yield* Queue.take(heard), yield* Queue.take(heard)]).toEqual(["one", "two"])
    }).pipe(Effect.provide(client))
  )

  it.scopedLive("shares one connection with the other listeners of its client, which ends with the last", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const one = yield* hearing("one")
          const two = yield* hearing("two")
          yield* Effect.asVoid(Effect.scoped(hearing("one")))
          expect([yield* Queue.take(one), yield* Queue.take(two)]).toEqual(["resync", "resync"])
          yield* execute("select pg_notify('one', '1'), pg_notify('two', '2')")
          expect([yield* Queue.take(one), yield* Queue.take(two)]).toEqual(["1", "2"])
          expect(yield* listening).toBe(1)
        })
      )
      yield* Effect.repeat(listening, { until: (n) => n === 0 })
    }).pipe(Effect.provide(client))
  )

  it.scopedLive("is told when its connection dies and when another stands, and hears again", () =>
    Effect.gen(function* () {
      const heard = yield* hearing("things")
      expect(yield* Queue.take(heard)).toBe("resync")
      for (let round = 0; round < 3; round++) {
        yield* killListeners
        expect([yield* Queue.take(heard), yield* Queue.take(heard)]).toEqual(["lost", "resync"])
        yield* execute("select pg_notify('things', 'again')")
        expect(yield* Queue.take(heard)).toBe("again")
      }
    }).pipe(Effect.provide(client))
  )

  it.scopedLive("shares it too where the client renames columns", () =>
    Effect.gen(function* () {
      const renaming = PgClient.layer({ url: yield* freshDatabase, transformResultNames: Text.camelToSnake })
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        for (const channel of ["one", "two"]) {
          const heard = yield* Effect.provideService(hearing(channel), SqlClient.SqlClient, sql.withoutTransforms())
          expect(yield* Queue.take(heard)).toBe("resync")
        }
        expect(yield* listening).toBe(1)
      }).pipe(Effect.provide(renaming))
    })
  )

  it.scopedLive("rests before it connects again, where each connection dies at once", () =>
    Effect.gen(function* () {
      const heard = yield* hearing("things")
      expect(yield* Queue.take(heard)).toBe("resync")
      for (let round = 0; round < 3; round++) {
        yield* killListeners
        expect(yield* Queue.take(heard)).toBe("lost")
        const [rest] = yield* Effect.timed(Queue.take(heard))
        expect(Duration.toMillis(rest)).toBeGreaterThan(35)
      }
    }).pipe(Effect.provide(client))
  )

  it.scopedLive("notices a network that swallows everything, and goes on when it is mended", () =>
    Effect.gen(function* () {
      const url = new URL(Redacted.value(yield* freshDatabase))
      const proxy = yield* makeProxy(Number(url.port))
      const direct = postgresClient({ url: url.href })
      url.port = String(proxy.port)
      const heard = yield* Effect.provide(hearing("things"), yield* Layer.build(postgresClient({ url: url.href })))
      expect(yield* Queue.take(heard)).toBe("resync")
      yield* proxy.blackhole
      expect(yield* Queue.take(heard)).toBe("lost")
      yield* proxy.heal
      expect(yield* Queue.take(heard)).toBe("resync")
      yield* Effect.provide(execute("select pg_notify('things', 'again')"), direct)
      expect(yield* Queue.take(heard)).toBe("again")
    })
  )

  it.scopedLive("begins when the server can be reached, and does not hold up the program until then", () =>
    Effect.gen(function* () {
      const url = new URL(Redacted.value(yield* freshDatabase))
      const proxy = yield* makeProxy(Number(url.port))
      url.port = String(proxy.port)
      const context = yield* Layer.build(postgresClient({ url: url.href }))
      yield* proxy.refuse
      const heard = yield* Effect.provide(hearing("things"), context)
      yield* proxy.heal
      expect(yield* Queue.take(heard)).toBe("resync")
    })
  )
})

describe("a listener on SQLite", () => {
  const filename = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "notices-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  ).pipe(Effect.map((path) => join(path, "foundation.db")))

  /** A listener over the client is told when another client of the file commits. */
  const hears = (client: Layer.Layer<SqlClient.SqlClient, unknown>, filename: string) =>
    Effect.gen(function* () {
      const mine = yield* Layer.build(client)
      const other = yield* Layer.build(sqliteClient({ filename }))
      const heard = yield* Effect.provide(hearing("things"), mine)
      expect(yield* Queue.take(heard)).toBe("resync")
      yield* Effect.provide(execute("create table things (name text)"), other)
      expect(yield* Queue.take(heard)).toBe("resync")
    })

  it.scopedLive("is told of what others commit to the file", () =>
    Effect.flatMap(filename, (filename) => hears(sqliteClient({ filename }), filename))
  )

  it.scopedLive("is told so where the client renames columns", () =>
    Effect.flatMap(filename, (filename) =>
      hears(SqliteClient.layer({ filename, transformResultNames: Text.snakeToCamel }), filename)
    )
  )

  it.scopedLive("is not told within the transaction in which it began, and leaves no trace of its looks", () =>
    Effect.gen(function* () {
      const name = yield* filename
      const context = yield* Layer.build(sqliteClient({ filename: name }))
      const other = yield* Layer.build(sqliteClient({ filename: name }))
      const sql = Context.get(context, SqlClient.SqlClient)
      yield* sql`create table things (name text)`
      const spans: Array<string> = []
      const tracer = yield* Effect.tracer
      const recording = Tracer.make({
        ...tracer,
        span: (name, ...rest) => {
          spans.push(name)
          return tracer.span(name, ...rest)
        }
      })
      // Of another database: in its transaction nothing would be heard of this one.
      const another = Context.get(yield* Layer.build(sqliteClient({ filename: ":memory:" })), SqlClient.SqlClient)
      const began = another.withTransaction(Effect.withTracer(Effect.provide(hearing("things"), context), recording))
      const heard = yield* began
      expect(yield* Queue.take(heard)).toBe("resync")
      yield* Effect.provide(execute("insert into things values ('x')"), other)
      expect(yield* Queue.take(heard)).toBe("resync")
      expect(spans).toEqual([])
    })
  )
})
