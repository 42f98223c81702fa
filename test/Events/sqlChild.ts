import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Layer, Redacted, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import * as EventsSql from "effect-foundation/Events/Sql"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { Telemetry } from "effect-foundation/Telemetry"
import { parent, runChild } from "../support/parent.js"

/** What a child says: that it is open, the ids of what was confirmed, what it has seen, or that it is done. */
export type Said =
  | { readonly open: true }
  | { readonly stored: ReadonlyArray<string> }
  | { readonly seen: ReadonlyArray<readonly [position: number, id: string]> }

const { send } = parent<Said>()
const [task = "", database = "", name = "", amount = "0"] = process.argv.slice(2)

const client = database.startsWith("postgres")
  ? postgresClient({ url: Redacted.make(database), maxConnections: 4 })
  : sqliteClient({ filename: database })

/** Three events that are stored as a whole. */
const batch = (key: string) =>
  Array.from({ length: 3 }, (_, part) => ({
    id: `${key}-${part}`,
    type: "t",
    stream: name,
    data: { key, part, text: key.repeat(50) }
  }))

/** Stores until it is killed, and says what was confirmed. */
const store = Effect.forEach(
  Array.from({ length: 6 }, (_, fiber) => fiber),
  (fiber) =>
    Effect.iterate(0, {
      while: () => true,
      body: (n) =>
        Effect.as(
          Effect.flatMap(Events.storeAll(batch(`${name}-${fiber}-${n}`)), (stored) =>
            send({ stored: stored.map(({ id }) => id) })
          ),
          n + 1
        )
    }),
  { concurrency: "unbounded" }
)

/** Stores so many times, alone, in transactions that take a while, and in some that are rolled back. */
const mix = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const inTransaction = (n: number, end: Effect.Effect<void, "rolled back">) =>
    sql.withTransaction(
      Effect.gen(function* () {
        const one = yield* Events.store({ id: `${name}-${n}-a`, type: "t" })
        yield* Effect.sleep(5 * (n % 7))
        const other = yield* Events.store({ id: `${name}-${n}-b`, type: "t", stream: `${name}` })
        yield* end
        return [one.id, other.id]
      })
    )
  yield* Effect.forEach(
    Array.from({ length: Number(amount) }, (_, n) => n),
    (n) => {
      const stored =
        n % 5 === 0
          ? inTransaction(n, Effect.void)
          : n % 5 === 1
            ? Effect.catchIf(
                inTransaction(n, Effect.fail("rolled back" as const)),
                (error) => error === "rolled back",
                () => Effect.succeed([])
              )
            : Effect.map(Events.store({ id: `${name}-${n}`, type: "t" }), ({ id }) => [id])
      return Effect.flatMap(stored, (ids) => send({ stored: ids }))
    },
    { concurrency: 4 }
  )
})

/** Says what comes, until the end comes. */
const subscribe = Events.subscribe().pipe(
  Stream.takeUntil(({ id }) => id === "end"),
  Stream.runForEachChunk((events) => send({ seen: Array.from(events, ({ id, position }) => [position, id] as const) }))
)

const tasks: Record<string, Effect.Effect<unknown, unknown, Events | SqlClient.SqlClient>> = { store, mix, subscribe }

runChild(
  Effect.zipRight(send({ open: true }), tasks[task] ?? Effect.dieMessage(`no task ${task}`)).pipe(
    Effect.provide(Layer.provideMerge(EventsSql.layer(), Layer.merge(client, Telemetry.layer))),
    Effect.asVoid
  )
)
