import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Queue, Redacted } from "effect"
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
      const connections = Effect.map(
        execute(
          "select count(*)::int as n from pg_stat_activity where application_name like '%(listening)' and datname = current_database()"
        ),
        ([row]) => (row as { n: number }).n
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const one = yield* hearing("one")
          const two = yield* hearing("two")
          yield* Effect.scoped(hearing("one"))
          expect([yield* Queue.take(one), yield* Queue.take(two)]).toEqual(["resync", "resync"])
          yield* execute("select pg_notify('one', '1'), pg_notify('two', '2')")
          expect([yield* Queue.take(one), yield* Queue.take(two)]).toEqual(["1", "2"])
          expect(yield* connections).toBe(1)
        })
      )
      yield* Effect.repeat(connections, { until: (n) => n === 0 })
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
  it.scopedLive("is told of what others commit to the file", () =>
    Effect.gen(function* () {
      const path = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "notices-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const client = sqliteClient({ filename: join(path, "foundation.db") })
      const mine = yield* Layer.build(client)
      const other = yield* Layer.build(Layer.fresh(client))
      const heard = yield* Effect.provide(hearing("things"), mine)
      expect(yield* Queue.take(heard)).toBe("resync")
      yield* Effect.provide(execute("create table things (name text)"), other)
      expect(yield* Queue.take(heard)).toBe("resync")
    })
  )
})
