import { createHash, randomUUID } from "node:crypto"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type Condition, degraded, down, up } from "../Foundation/Health/Condition.js"
import { ConfigError, type RegistryError } from "../FoundationError.js"
import { toMicros } from "../internal/monotonic.js"
import { dialectOf } from "../internal/Sql/Dialect.js"
import type { SqlFailure } from "../internal/Sql/Failure.js"
import { listen } from "../internal/Sql/Notices.js"
import { upToDate } from "../internal/Sql/Schema.js"
import { ServiceRegistry } from "../ServiceRegistry.js"
import type { Telemetry } from "../Telemetry.js"
import type { Backend } from "./Backend.js"
import { acceptCapacity } from "./Capacity.js"
import * as Failures from "./Failures.js"
import { makeRegistry } from "./Registry.js"
import { asking } from "./Sql/asking.js"
import { Desk, unavailable } from "./Sql/Desk.js"
import { termsOf } from "./Sql/Lease.js"
import { Mirror } from "./Sql/Mirror.js"
import { type Accepted, acceptOptions, type Options } from "./Sql/Options.js"
import * as Postgres from "./Sql/Postgres.js"
import { Returns } from "./Sql/Returns.js"
import { Session } from "./Sql/Session.js"
import * as Sqlite from "./Sql/Sqlite.js"
import type { Store } from "./Sql/Store.js"
import { tablesOf } from "./Sql/Tables.js"

export type { Options }

/** `layer` as an effect, for a service that ends with the scope. */
export const make = (
  options: Options = {}
): Effect.Effect<ServiceRegistry.Service, ConfigError | RegistryError, SqlClient.SqlClient | Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const dialect = yield* Effect.mapError(dialectOf(sql), unavailable)
    const accepted = acceptOptions(options, dialect)
    if (accepted instanceof ConfigError) return yield* accepted
    const capacity = acceptCapacity(options.capacity)
    if (capacity instanceof ConfigError) return yield* capacity
    const { store, channel } = yield* Effect.mapError(prepared(sql, dialect, accepted), unavailable)
    const clock = yield* Effect.clock
    const node = randomUUID()
    const { deadline, maxStaleness } = accepted

    // The registry asks the desk and the mirror, which change its table: one side comes in by thunks.
    const desk = (): Desk => asked
    const mirror = (): Mirror => following
    const { replica, service } = yield* makeRegistry(
      {
        claim: (claim) => desk().ask(claim),
        // Nobody else can have a place.
        join: (claim) => Effect.catchTag(desk().ask(claim), "AlreadyRegistered", Effect.die),
        release: (granted) => desk().release(granted),
        update: ({ name, token }, metadata) =>
          asking(store.update(token, JSON.stringify(metadata)), deadline).pipe(
            Effect.mapError(unavailable),
            Effect.flatMap((revision) =>
              revision === undefined ? Effect.fail(Failures.notFound(name)) : Effect.succeed(revision)
            )
          ),
        shared: {
          letGo: (granted) => desk().letGo(granted),
          staleness: () => mirror().staleness(),
          refusal: (name) => {
            const staleness = Duration.micros(BigInt(Math.max(0, mirror().staleness())))
            return Duration.greaterThan(staleness, maxStaleness)
              ? Failures.stale(name, staleness, maxStaleness)
              : undefined
          }
        }
      } satisfies Backend,
      capacity
    )
    const returns = new Returns({ store, node, deadline })
    const asked = new Desk({
      store,
      replica,
      returns,
      node,
      deadline,
      lease: () => session.lease,
      advertise: accepted.advertise
    })
    const following = new Mirror({
      store,
      replica,
      desk: asked,
      returns,
      node,
      clock,
      deadline,
      pollInterval: accepted.pollInterval,
      compareInterval: accepted.compareInterval
    })
    const session = new Session({
      store,
      replica,
      node,
      terms: termsOf(toMicros(accepted.lease)),
      clock,
      resume: asked.resume,
      reaped: following.touchAll
    })

    yield* Effect.acquireRelease(Effect.mapError(session.open, unavailable), () =>
      Effect.all([asked.close, returns.close, session.close], { discard: true })
    )
    yield* Effect.mapError(listen(sql, { channel, pollInterval: accepted.pollInterval }, following), unavailable)
    yield* Effect.mapError(following.read, unavailable)
    yield* Effect.forEach([session.run, asked.run, returns.run, following.run], (run) =>
      Effect.forkScoped(lasting(run))
    )
    return { ...service, health: healthOf(sql, accepted, () => session.lease.holds(), following.staleness) }
  })

/** Whether the database answers, and whether what is known of it is of now. */
const healthOf = (
  sql: SqlClient.SqlClient,
  { deadline, lease, prefix }: Accepted,
  holds: () => boolean,
  staleness: () => number
): Effect.Effect<Condition> =>
  Effect.match(asking(sql.unsafe(`select 1 from ${tablesOf(prefix).nodes} limit 1`), deadline), {
    onFailure: ({ message }) => down(message),
    onSuccess: () => {
      if (!holds()) return degraded("The lease of this process has run out, and with it its registrations")
      const age = Duration.millis(Math.floor(staleness() / 1000))
      return Duration.greaterThan(age, lease)
        ? degraded(`What is known of other processes is ${Duration.format(age)} old`)
        : up
    }
  })

/** A mistake of ours, or of a driver, must not end for good what keeps the leases. */
const lasting = (run: Effect.Effect<never>): Effect.Effect<never> =>
  Effect.forever(
    Effect.catchAllDefect(run, (defect) =>
      Effect.zipRight(Effect.logError("The service registry goes on after a defect", defect), Effect.sleep("1 second"))
    )
  )

/** The tables, made or found as they should be, and what asks them. */
const prepared = (
  sql: SqlClient.SqlClient,
  dialect: "sqlite" | "pg",
  { deadline, prefix }: Accepted
): Effect.Effect<{ readonly store: Store; readonly channel: string }, SqlFailure> =>
  Effect.gen(function* () {
    const tables = tablesOf(prefix)
    const channel = dialect === "pg" ? yield* channelOf(sql, tables.registry, deadline) : ""
    const migrations = dialect === "pg" ? Postgres.migrations(sql, tables, channel) : Sqlite.migrations(sql, tables)
    yield* upToDate({ table: tables.migrations, migrations, deadline })
    const store = dialect === "pg" ? Postgres.makeStore(sql, tables) : Sqlite.makeStore(sql, tables)
    yield* asking(store.probe, deadline)
    return { store, channel }
  }).pipe(Effect.provideService(SqlClient.SqlClient, sql))

/** Channels are of the whole database, tables of a schema: two of the same name must not wake each other. */
const channelOf = (sql: SqlClient.SqlClient, table: string, deadline: Duration.Duration) =>
  asking(
    sql<{ schema: string | null }>`select coalesce(
      (select relnamespace::regnamespace::text from pg_class where oid = to_regclass(${table})),
      current_schema()
    ) as schema`,
    deadline
  ).pipe(
    Effect.map(([row]) => {
      const schema = createHash("sha256")
        .update(row?.schema ?? "")
        .digest("hex")
      return `${table}_${schema.slice(0, 12)}`
    })
  )

/**
 * A registry that processes share: through PostgreSQL, those of a cluster; through a SQLite file, those of one machine.
 *
 * - A name is with one process at a time, for as long as that renews its lease in time. Leases are counted on the clock of
 *   the database. A process that cannot renew stops counting its registrations a tenth of the lease before the database
 *   may grant them to another, also when it was stopped and wakes late: see `ServiceRegistry.isValid`. That tenth is what
 *   clocks may differ in speed. A step of the database's clock by more than that, or a database that forgets what it has
 *   committed, can break it; the token, which only grows, is what a service that is written to can still refuse by.
 * - What was given up so is registered again as soon as the database answers, if its scope is open and its name free.
 * - Reads are answered from the memory of this process, which hears of changes: within milliseconds on PostgreSQL, within
 *   `pollInterval` on SQLite. While the database is away they answer what was known last; `ServiceRegistry.staleness` tells
 *   how old that may be.
 * - A process that is stopped in the middle of a write, as by SIGSTOP or a debugger, keeps the lock of a SQLite file until it
 *   goes on, and nobody registers anything meanwhile. One that dies does not.
 * - A fiber is seen by the others as the address that `advertise` states.
 * - `register`, `join` and `update` stand apart from a transaction of the caller; on SQLite, which has one connection, they
 *   cannot be called within one.
 *
 * Fails with ConfigError if an option is not valid, and with RegistryError `storage_unavailable` if the database or one of
 * the tables cannot be used, which says why.
 *
 * @example
 * import { ServiceRegistry, Telemetry } from "effect-foundation"
 * import * as ServiceRegistrySql from "effect-foundation/ServiceRegistry/Sql"
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import { Duration, Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const worker = yield* Effect.fork(Effect.never)
 *   const { token } = yield* ServiceRegistry.register("worker", worker, { queue: "mail" })
 *   const staleness = Duration.format(yield* ServiceRegistry.staleness)
 *   yield* Effect.log(`registered under token ${token}; of the others, what stood ${staleness} ago is known`)
 * })
 *
 * const Registry = ServiceRegistrySql.layer({ advertise: "http://10.0.0.7:8080" }).pipe(
 *   Layer.provide(SqliteClient.layer({ filename: ":memory:" })),
 *   Layer.provide(Telemetry.layer)
 * )
 * program.pipe(Effect.scoped, Effect.provide(Registry), Effect.runPromise)
 */
export const layer = (
  options?: Options
): Layer.Layer<ServiceRegistry, ConfigError | RegistryError, SqlClient.SqlClient | Telemetry> =>
  Layer.scoped(ServiceRegistry, make(options))
