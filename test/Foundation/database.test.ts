import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Context, Effect, Fiber, Layer, Stream } from "effect"
import { CircuitBreaker, Config, Events, RateLimiter, ServiceRegistry, Telemetry } from "effect-foundation"
import * as Postgres from "effect-foundation/Foundation/Postgres"
import * as Sqlite from "effect-foundation/Foundation/Sqlite"
import { freshDatabase } from "../support/postgres.js"

const file = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "foundation-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
).pipe(Effect.map((path) => join(path, "foundation.db")))

/** A database, and the composition for each process that uses it. */
const databases = {
  SQLite: Effect.map(file, (filename) => () => Sqlite.layer({ filename })),
  PostgreSQL: Effect.map(freshDatabase, (url) => () => Postgres.layer({ url, maxConnections: 4 }))
}

describe.each(Object.entries(databases))("the composition on %s", (_, database) => {
  it.scopedLive("serves a program that uses all six services", () =>
    Effect.gen(function* () {
      const live = yield* database
      const program = Effect.gen(function* () {
        expect(yield* Config.get("port", 8080)).toBe(8080)
        yield* Config.set("port", 9090)
        expect(yield* Config.get("port", 8080)).toBe(9090)
        yield* Events.store({ type: "order_placed", data: { orderId: 123 } })
        expect(yield* Events.get({ type: "order_placed" })).toHaveLength(1)
        yield* Telemetry.execute("request_latency", { duration: 50 })
        yield* ServiceRegistry.register("auth", "http://localhost:9000")
        expect((yield* ServiceRegistry.lookup("auth")).process).toEqual(new URL("http://localhost:9000"))
        return yield* Effect.succeed("charged").pipe(
          CircuitBreaker.execute({ name: "payments" }),
          RateLimiter.execute({ name: "payments", maxRequests: 50 })
        )
      })
      expect(yield* Effect.scoped(program).pipe(Effect.provide(live()))).toBe("charged")
    })
  )

  it.scopedLive("keeps what was stored and set from one run to the next", () =>
    Effect.gen(function* () {
      const live = yield* database
      const run = Effect.gen(function* () {
        const before = yield* Config.get("runs", 0)
        yield* Config.set("runs", before + 1)
        yield* Events.append("runs", [{ type: "started" }], { expectedVersion: before })
        return yield* Events.get({ stream: "runs" })
      })
      for (const runs of [1, 2, 3]) {
        expect(yield* Effect.provide(run, live())).toHaveLength(runs)
      }
    })
  )

  it.scopedLive("has two processes share events, configuration and registrations", () =>
    Effect.gen(function* () {
      const live = yield* database
      const here = yield* Layer.build(live())
      const there = yield* Layer.build(live())
      const heard = yield* Events.subscribe({ type: "said" }).pipe(
        Stream.take(2),
        Stream.runCollect,
        Effect.provide(here),
        Effect.fork
      )
      const renamed = yield* Config.watch("name", "none").pipe(
        Stream.filter((name) => name === "theirs"),
        Stream.runHead,
        Effect.provide(here),
        Effect.fork
      )
      const found = yield* Effect.fork(Effect.provide(ServiceRegistry.waitFor("auth"), here))
      yield* Effect.gen(function* () {
        yield* Config.set("name", "theirs")
        yield* ServiceRegistry.register("auth", "http://there:9000")
        yield* Events.storeAll([
          { type: "said", data: 1 },
          { type: "said", data: 2 }
        ])
      }).pipe(Effect.provide(there))
      expect(Chunk.toReadonlyArray(yield* Fiber.join(heard)).map(({ data }) => data)).toEqual([1, 2])
      yield* Fiber.join(renamed)
      expect((yield* Fiber.join(found)).process).toEqual(new URL("http://there:9000"))
      const refused = ServiceRegistry.register("auth", "http://here:9000").pipe(Effect.provide(here))
      expect(yield* Effect.flip(refused)).toMatchObject({ _tag: "AlreadyRegistered" })
    })
  )

  it.scopedLive("commits events with the program's own rows, or neither", () =>
    Effect.gen(function* () {
      const live = yield* database
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`create table accounts (name text primary key, balance integer not null)`
        const open = (name: string, balance: number) =>
          sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`insert into accounts values (${name}, ${balance})`
              yield* Events.store({ type: "opened", data: { name } })
              if (balance < 0) return yield* Effect.fail("overdrawn")
            })
          )
        yield* open("a", 5)
        expect(yield* Effect.flip(open("b", -1))).toBe("overdrawn")
        expect((yield* Events.get()).map(({ data }) => data)).toEqual([{ name: "a" }])
        expect(yield* sql`select name from accounts`).toEqual([{ name: "a" }])
      }).pipe(Effect.provide(live()))
    })
  )
})

describe.each(Object.entries(databases))(
  "the composition on %s that is built inside of a transaction",
  (_, database) => {
    it.scopedLive("of another database has nothing to do with that, then or later", () =>
      Effect.gen(function* () {
        const live = yield* database
        const another = Context.get(
          yield* Layer.build(SqliteClient.layer({ filename: ":memory:" })),
          SqlClient.SqlClient
        )
        const context = yield* another.withTransaction(Layer.build(live()))
        const other = yield* Layer.build(live())
        yield* Effect.gen(function* () {
          const heard = yield* Effect.fork(Stream.runHead(Events.subscribe({ type: "told" })))
          yield* Events.store({ type: "told" })
          expect((yield* Fiber.join(heard))._tag).toBe("Some")
          yield* Config.set("x", 1)
          yield* ServiceRegistry.register("here", "http://here:9000")
          yield* Effect.provide(ServiceRegistry.register("there", "http://there:9000"), other)
          yield* ServiceRegistry.waitFor("there")
          yield* Effect.provide(ServiceRegistry.waitFor("here"), other)
          // Within it, what takes part in no transaction is done at once.
          yield* another.withTransaction(Events.store({ type: "told" }))
          yield* Effect.flip(
            another.withTransaction(Effect.zipRight(Events.store({ type: "told" }), Effect.fail("no")))
          )
        }).pipe(Effect.provide(context))
        expect(yield* Effect.provide(Events.get(), other)).toHaveLength(3)
        expect(yield* another`select name from sqlite_master`).toEqual([])
      })
    )
  }
)

describe("the composition on SQLite", () => {
  it.scopedLive("takes a replacement that is undefined for none", () =>
    Effect.gen(function* () {
      const filename = yield* file
      // As a program writes it that does not have `exactOptionalPropertyTypes`.
      const options: { readonly filename: string } = {
        filename,
        ...({ events: undefined, config: undefined } as object)
      }
      yield* Effect.zip(Events.store({ type: "one" }), Config.set("x", 1)).pipe(Effect.provide(Sqlite.layer(options)))
      const again = Effect.zip(Events.get(), Config.get("x")).pipe(Effect.provide(Sqlite.layer({ filename })))
      expect(yield* again).toMatchObject([[{ type: "one" }], 1])
    })
  )

  it.effect("refuses options that are none", () =>
    Effect.gen(function* () {
      for (const options of [{ deadline: Number.NaN }, { prefix: `a"b` }, { durability: "some" as "power" }]) {
        const layer = Sqlite.layer({ filename: ":memory:", ...options })
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        expect(error, JSON.stringify(options)).toMatchObject({ _tag: "ConfigError", reason: "invalid_value" })
      }
    })
  )

  it.scopedLive("has programs with other prefixes share a file, and nothing in it", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const of = (prefix: string) => Effect.provide(Sqlite.layer({ filename, prefix }))
      yield* Effect.zip(Events.store({ type: "one" }), Config.set("x", 1)).pipe(of("one"))
      expect(yield* Effect.zip(Events.get(), Config.get("x")).pipe(of("two"))).toEqual([[], undefined])
    })
  )

  it.scopedLive("says what is wrong with a file that it cannot use", () =>
    Effect.gen(function* () {
      const filename = join(yield* file, "missing", "x.db")
      const error = yield* Effect.flip(Effect.provide(Events.head, Sqlite.layer({ filename })))
      expect(error).toMatchObject({ _tag: "ConfigError", path: "sqlite.filename" })
    })
  )
})
