import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SqlClient } from "@effect/sql"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Context, Deferred, Duration, Effect, Fiber, Layer, Redacted, Schedule, Scope, Stream } from "effect"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import * as ServiceRegistrySql from "effect-foundation/ServiceRegistry/Sql"
import { Telemetry } from "effect-foundation/Telemetry"
import { noDurations } from "../support/noDurations.js"
import { freshDatabase, freshSchema } from "../support/postgres.js"
import { makeProxy } from "../support/proxy.js"

const advertise = "http://10.0.0.1:8080/"
const elsewhere = new URL("http://10.0.0.2:8080/")

/** Where a test has its database, and what makes another client of it. */
const databases = {
  PostgreSQL: Effect.map(freshDatabase, (url) => () => postgresClient({ url })),
  "a SQLite file": Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "registry-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
    ),
    (directory) => () => sqliteClient({ filename: join(directory, "registry.db") })
  )
}

/** A registry with a client of its own, as another process has. It runs until the scope closes. */
const start = <E>(client: Layer.Layer<SqlClient.SqlClient, E>, options: ServiceRegistrySql.Options = {}) =>
  Effect.map(
    Layer.build(
      ServiceRegistrySql.layer({ advertise, pollInterval: "20 millis", ...options }).pipe(
        Layer.provideMerge(Layer.fresh(client)),
        Layer.provideMerge(Telemetry.layer)
      )
    ),
    (context) => ({
      registry: Context.get(context, ServiceRegistry),
      sql: Context.get(context, SqlClient.SqlClient),
      telemetry: Context.get(context, Telemetry)
    })
  )

const until = <A, E>(effect: Effect.Effect<A, E>, isSo: (a: A) => boolean) =>
  effect.pipe(
    Effect.filterOrFail(isSo, () => "not yet"),
    Effect.retry(Schedule.spaced("10 millis")),
    Effect.timeout("15 seconds")
  )

/** What a watcher of the name is told after the state, until it has been told so much. */
const told = (registry: ServiceRegistry.Service, name: string, count: number) =>
  Effect.gen(function* () {
    const ready = yield* Deferred.make<void>()
    const fiber = yield* registry.watch({ name }).pipe(
      Stream.tap(() => Deferred.succeed(ready, undefined)),
      Stream.drop(1),
      Stream.map((change) => (change._tag === "Unregistered" ? change.reason : change._tag)),
      Stream.take(count),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray),
      Effect.fork
    )
    yield* Deferred.await(ready)
    return fiber
  })

for (const [database, made] of Object.entries(databases)) {
  describe(`a registry that is shared through ${database}`, () => {
    it.scopedLive("shows a fiber here as the fiber, and elsewhere as the address that this process advertises", () =>
      Effect.gen(function* () {
        const client = yield* made
        const here = (yield* start(client())).registry
        const there = (yield* start(client())).registry
        const fiber = yield* Effect.fork(Effect.never)
        const registered = yield* here.register("worker", fiber, { queue: "mail" })
        const found = yield* there.waitFor("worker")
        expect(found).toEqual({ ...registered, process: new URL(advertise) })
        expect((yield* here.lookup("worker")).process).toBe(fiber)
        const changes = yield* told(there, "worker", 1)
        yield* Fiber.interrupt(fiber)
        expect(yield* Fiber.join(changes)).toEqual(["closed"])
      })
    )

    it.scopedLive("refuses a fiber, and takes an address, where it advertises nothing", () =>
      Effect.gen(function* () {
        const client = yield* made
        const { registry } = yield* Effect.map(
          Layer.build(ServiceRegistrySql.layer().pipe(Layer.provide(client()), Layer.provideMerge(Telemetry.layer))),
          (context) => ({ registry: Context.get(context, ServiceRegistry) })
        )
        const fiber = yield* Effect.fork(Effect.never)
        const error = yield* Effect.flip(registry.register("worker", fiber))
        expect(error).toMatchObject({ _tag: "RegistryError", reason: "invalid_process" })
        expect(error.message).toContain("`advertise`")
        yield* registry.register("worker", elsewhere)
      })
    )

    it.scopedLive(
      "refuses a name that is held elsewhere with the metadata of its holder, and takes it when it is free",
      () =>
        Effect.gen(function* () {
          const client = yield* made
          const one = (yield* start(client())).registry
          const other = (yield* start(client())).registry
          const scope = yield* Scope.make()
          const first = yield* Scope.extend(one.register("x", elsewhere, { region: "eu", apiKey: "hunter2" }), scope)
          expect(yield* Effect.flip(other.register("x", elsewhere))).toMatchObject({
            _tag: "AlreadyRegistered",
            holder: { region: "eu", apiKey: "<redacted>" }
          })
          yield* Scope.close(scope, Effect.runSync(Effect.exit(Effect.void)))
          // Whatever the other has heard by now.
          const second = yield* other.register("x", elsewhere)
          expect(second.token).toBeGreaterThan(first.token)
          expect((yield* other.lookup("x")).token).toBe(second.token)
        })
    )

    it.scopedLive("brings metadata that are updated, here or there, to all", () =>
      Effect.gen(function* () {
        const client = yield* made
        const here = (yield* start(client())).registry
        const there = (yield* start(client())).registry
        yield* here.register("x", elsewhere, { v: 1 })
        yield* there.waitFor("x")
        yield* here.update("x", { v: 2 })
        yield* until(there.lookup("x"), ({ metadata }) => metadata.v === 2)
        const changes = yield* told(here, "x", 1)
        yield* there.update("x", { v: 3 })
        expect(yield* Fiber.join(changes)).toEqual(["Updated"])
        expect((yield* here.lookup("x")).metadata).toEqual({ v: 3 })
      })
    )

    it.scopedLive("has one group of the members of all processes, in order of joining, and picks them by turns", () =>
      Effect.gen(function* () {
        const client = yield* made
        const here = (yield* start(client())).registry
        const there = (yield* start(client())).registry
        const members = [
          yield* here.join("g", elsewhere, { n: 0 }),
          yield* there.join("g", elsewhere, { n: 1 }),
          yield* here.join("g", elsewhere, { n: 2 })
        ]
        for (const registry of [here, there]) {
          yield* until(registry.members("g"), (known) => known.length === 3)
          expect(yield* registry.members("g")).toEqual(members)
          const picks = yield* Effect.replicateEffect(registry.pick("g"), 6)
          for (const { token } of members) expect(picks.filter((pick) => pick.token === token)).toHaveLength(2)
        }
      })
    )

    it.scopedLive("frees all that a process had when that ends, and tells that it was closed", () =>
      Effect.gen(function* () {
        const client = yield* made
        const there = (yield* start(client())).registry
        const scope = yield* Scope.make()
        const { registry } = yield* Scope.extend(start(client()), scope)
        // In a scope that stays open.
        const own = yield* registry.register("x", elsewhere)
        yield* registry.join("g", elsewhere)
        yield* there.waitFor("x")
        yield* until(there.members("g"), (members) => members.length === 1)
        const changes = yield* told(there, "x", 1)
        yield* Scope.close(scope, Effect.runSync(Effect.exit(Effect.void)))
        expect(yield* Fiber.join(changes)).toEqual(["closed"])
        expect(yield* registry.isValid(own)).toBe(false)
        yield* until(there.members("g"), (members) => members.length === 0)
      })
    )

    it.scopedLive("loses a registration that somebody removes from the table, and says so", () =>
      Effect.gen(function* () {
        const client = yield* made
        const { registry } = yield* start(client(), { compareInterval: "100 millis" })
        const { sql } = yield* start(client())
        const registration = yield* registry.register("x", elsewhere)
        expect(yield* registry.isValid(registration)).toBe(true)
        const end = yield* Effect.fork(registry.ended(registration))
        yield* sql`delete from foundation_registry where name = 'x'`
        expect(yield* Fiber.join(end)).toBe("lost")
        expect(yield* registry.isValid(registration)).toBe(false)
        expect(yield* registry.lookupOption("x")).toMatchObject({ _tag: "None" })
      })
    )

    it.scopedLive("takes all back under greater tokens where the database has forgotten the process", () =>
      Effect.gen(function* () {
        const client = yield* made
        const { registry } = yield* start(client(), { lease: "1 second" })
        const other = yield* start(client())
        const first = yield* registry.register("x", elsewhere, { v: 1 })
        yield* registry.update("x", { v: 2 })
        const member = yield* registry.join("g", elsewhere)
        const changes = yield* told(registry, "x", 2)
        // As a database does that was restored from a backup.
        yield* other.sql`delete from foundation_registry`
        yield* other.sql`delete from foundation_registry_nodes where id in (select id from foundation_registry_nodes order by expires_at limit 1)`
        const found = yield* until(
          other.registry.lookupOption("x"),
          (found) => found._tag === "Some" && found.value.token > first.token
        )
        expect(found).toMatchObject({ value: { metadata: { v: 2 } } })
        expect((yield* Fiber.join(changes))[1]).toBe("Registered")
        yield* until(registry.members("g"), ([only]) => only !== undefined && only.token > member.token)
      })
    )

    it.scopedLive("gives back a row of its own that it does not hold, as a claim leaves whose answer was lost", () =>
      Effect.gen(function* () {
        const client = yield* made
        const { registry, sql } = yield* start(client(), { compareInterval: "100 millis" })
        const there = (yield* start(client())).registry
        const held = yield* registry.register("held", elsewhere)
        yield* sql`update foundation_registry set name = 'ghost', claim = 1000, token = token + 1000 where name = 'held'`
        yield* sql`insert into foundation_registry (token, kind, name, node, claim, address, metadata)
          select ${held.token}, kind, 'held', node, 1, address, metadata from foundation_registry where name = 'ghost'`
        yield* until(Effect.either(Effect.scoped(there.register("ghost", elsewhere))), ({ _tag }) => _tag === "Right")
        expect(yield* registry.isValid(held)).toBe(true)
      })
    )

    it.scopedLive("tells of a holder that went silent as expired, and gives its name to the next", () =>
      Effect.gen(function* () {
        const client = yield* made
        const there = (yield* start(client(), { lease: "1 second" })).registry
        const { sql } = yield* start(client())
        const past = sql.onDialectOrElse({
          sqlite: () => sql.literal("0"),
          orElse: () => sql.literal("clock_timestamp()")
        })
        yield* sql`insert into foundation_registry_nodes (id, expires_at) values ('dead', ${past})`
        const token = sql.onDialectOrElse({
          sqlite: () => sql.literal("null"),
          orElse: () => sql.literal("nextval('foundation_registry_token')")
        })
        yield* sql`insert into foundation_registry (token, kind, name, node, claim, address, metadata)
          values (${token}, 'name', 'x', 'dead', 1, 'http://dead', '{}'), (${token}, 'name', 'y', 'dead', 2, 'http://dead', '{}')`
        yield* there.waitFor("x")
        yield* there.waitFor("y")
        const [x, y] = [yield* told(there, "x", 2), yield* told(there, "y", 1)]
        yield* there.register("x", elsewhere)
        expect(yield* Fiber.join(x)).toEqual(["expired", "Registered"])
        expect(yield* Fiber.join(y)).toEqual(["expired"])
      })
    )
  })
}

describe("what a process knows of the others", () => {
  it.scopedLive("is as old as it says while it is cut off, and then fails or answers, as is asked for", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const proxy = yield* makeProxy(Number(new URL(Redacted.value(url)).port))
      const { registry: far } = yield* start(postgresClient({ url }))
      const cut = () => postgresClient({ url: proxy.through(url), silence: "1 second" })
      const bound = { maxStaleness: "4 seconds", lease: "1 hour" } as const
      const failing = (yield* start(cut(), bound)).registry
      const answering = (yield* start(cut(), { ...bound, onStale: "answer" })).registry
      yield* far.register("far", elsewhere)
      yield* far.join("g", elsewhere)
      for (const registry of [failing, answering]) {
        yield* registry.waitFor("far")
        yield* until(registry.members("g"), ({ length }) => length === 1)
      }
      yield* failing.register("own", elsewhere)
      expect(Duration.toMillis(yield* failing.staleness)).toBeLessThan(4000)

      yield* proxy.blackhole
      const error = yield* until(Effect.either(failing.lookup("far")), ({ _tag }) => _tag === "Left")
      expect(error).toMatchObject({ left: { _tag: "RegistryError", reason: "stale" } })
      const stale = { _tag: "RegistryError", reason: "stale" }
      expect(yield* Effect.flip(failing.lookupOption("nobody"))).toMatchObject(stale)
      expect(yield* Effect.flip(failing.pick("g"))).toMatchObject(stale)
      expect(failing.unsafeLookup("far")).toBeUndefined()
      expect(Duration.toMillis(yield* failing.staleness)).toBeGreaterThan(4000)
      // What is registered here is known.
      expect((yield* failing.lookup("own")).name).toBe("own")
      yield* until(answering.staleness, (age) => Duration.toMillis(age) > 4000)
      expect((yield* answering.lookup("far")).name).toBe("far")
      expect((yield* answering.pick("g")).group).toBe("g")

      yield* proxy.heal
      yield* until(failing.staleness, (age) => Duration.toMillis(age) < 4000)
      expect((yield* failing.lookup("far")).name).toBe("far")
    })
  )
})

describe("claims on PostgreSQL", () => {
  it.scopedLive(
    "take their token when they have the name to themselves, so that a later holder has a greater one",
    () =>
      Effect.gen(function* () {
        const url = yield* freshDatabase
        const { registry } = yield* start(postgresClient({ url }))
        const { sql } = yield* start(postgresClient({ url }))
        const claiming = yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`select pg_advisory_xact_lock(hashtextextended('foundation_registry x', 0))`
            const claiming = yield* Effect.fork(registry.register("x", elsewhere))
            yield* until(
              sql<{ n: number }>`select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted
              and database = (select oid from pg_database where datname = current_database())`,
              ([row]) => row?.n === 1
            )
            const [row] = yield* sql<{ token: string }>`select nextval('foundation_registry_token') as token`
            return { claiming, passed: Number(row?.token) }
          })
        )
        expect((yield* Fiber.join(claiming.claiming)).token).toBeGreaterThan(claiming.passed)
      })
  )

  it.scopedLive("do not take a name from a holder that renews at the last moment", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const { registry } = yield* start(postgresClient({ url }))
      const { sql } = yield* start(postgresClient({ url }))
      yield* sql`insert into foundation_registry_nodes values ('late', clock_timestamp())`
      yield* sql`insert into foundation_registry (token, kind, name, node, claim, address, metadata)
        values (1000, 'name', 'x', 'late', 1, 'http://late', '{}')`
      const claiming = yield* sql.withTransaction(
        Effect.gen(function* () {
          // Its renewal, which the others do not see yet.
          yield* sql`update foundation_registry_nodes set expires_at = clock_timestamp() + interval '1 hour' where id = 'late'`
          const claiming = yield* Effect.fork(Effect.flip(registry.register("x", elsewhere)))
          yield* Effect.sleep("300 millis")
          expect(claiming.unsafePoll()).toBeNull()
          return claiming
        })
      )
      expect(yield* Fiber.join(claiming)).toMatchObject({ _tag: "AlreadyRegistered" })
      expect(yield* sql`select token from foundation_registry where name = 'x'`).toHaveLength(1)
    })
  )

  it.scopedLive("in a transaction of the caller stand apart from it", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const { registry, sql } = yield* start(postgresClient({ url }))
      const registration = yield* Effect.flatMap(Effect.scope, (scope) =>
        sql
          .withTransaction(
            Effect.gen(function* () {
              yield* Scope.extend(registry.register("x", elsewhere), scope)
              yield* registry.update("x", { v: 2 })
              return yield* Effect.fail("rolled back")
            })
          )
          .pipe(Effect.ignore, Effect.zipRight(registry.lookup("x")))
      )
      expect(yield* sql`select token, metadata from foundation_registry where name = 'x'`).toEqual([
        { token: String(registration.token), metadata: '{"v":2}' }
      ])
    })
  )
})

describe("a registry that cannot be made", () => {
  const failure = <E>(client: Layer.Layer<SqlClient.SqlClient, E>, options?: ServiceRegistrySql.Options) =>
    Effect.flip(Effect.scoped(start(client, { deadline: "1 second", ...options })))
  const execute = (url: Redacted.Redacted, ...statements: ReadonlyArray<string>) =>
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
    ).pipe(Effect.provide(postgresClient({ url })))

  it.scopedLive("says that a table has another shape", () =>
    Effect.gen(function* () {
      const url = yield* freshSchema
      yield* execute(url, "create table foundation_registry (a int)")
      expect(yield* failure(postgresClient({ url }))).toMatchObject({
        _tag: "RegistryError",
        reason: "storage_unavailable",
        context: { kind: "schema" }
      })
      const altered = yield* freshSchema
      yield* Effect.scoped(start(postgresClient({ url: altered })))
      yield* execute(altered, "alter table foundation_registry drop column metadata")
      expect(yield* failure(postgresClient({ url: altered }))).toMatchObject({ context: { kind: "schema" } })
    })
  )

  it.scopedLive("says that its user lacks a right, and never the password", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      yield* Effect.scoped(start(postgresClient({ url })))
      const role = `reader_${Date.now()}`
      yield* execute(
        url,
        `create role ${role} login password 'hunter2'`,
        `grant select on all tables in schema public to ${role}`
      )
      const reader = new URL(Redacted.value(url))
      reader.username = role
      reader.password = "hunter2"
      const error = yield* failure(postgresClient({ url: Redacted.make(reader.href) }))
      expect(error).toMatchObject({ _tag: "RegistryError", context: { kind: "denied" } })
      expect(JSON.stringify(error) + String(error)).not.toContain("hunter2")
    })
  )

  it.scopedLive("says which option is wrong", () =>
    Effect.gen(function* () {
      const client = sqliteClient({ filename: ":memory:" })
      const wrong: ReadonlyArray<readonly [string, ServiceRegistrySql.Options]> = [
        ["prefix", { prefix: "a; drop table b" }],
        ["serviceRegistry.advertise", { advertise: "localhost:80" }],
        ["serviceRegistry.lease", { lease: "10 millis" }],
        ["serviceRegistry.lease", { lease: Duration.infinity }],
        ["serviceRegistry.deadline", { deadline: 0 }],
        ["serviceRegistry.pollInterval", { pollInterval: Duration.infinity }],
        ...(["lease", "deadline", "maxStaleness", "pollInterval", "compareInterval"] as const).flatMap((option) =>
          noDurations.map((value) => [`serviceRegistry.${option}`, { [option]: value }] as const)
        ),
        ["serviceRegistry.capacity", { capacity: 0 }]
      ]
      for (const [path, options] of wrong) {
        expect(yield* failure(client, options)).toMatchObject({ _tag: "ConfigError", reason: "invalid_value", path })
      }
    })
  )
})
