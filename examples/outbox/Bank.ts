import { SqlClient } from "@effect/sql"
import { Data, Effect, Schema } from "effect"
import { Events } from "effect-foundation"

export const Transferred = Events.define(
  "transferred",
  Schema.Struct({ from: Schema.String, to: Schema.String, cents: Schema.Int })
)

export class Overdrawn extends Data.TaggedError("Overdrawn")<{ readonly account: string }> {}

/** Opens accounts with so much in each. */
export const open = (accounts: ReadonlyArray<string>, cents: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table accounts (name text primary key, cents integer not null)`
    yield* sql`insert into accounts ${sql.insert(accounts.map((name) => ({ name, cents })))}`
  })

/** Moves money, and says so, in one transaction: whoever reads the event finds the money moved, and the other way round. */
export const transfer = (from: string, to: string, cents: number) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql.withTransaction(
      Effect.gen(function* () {
        // Locked in one order by all, so that no two transfers wait for each other.
        yield* sql`select from accounts where ${sql.in("name", [from, to])} order by name for update`
        yield* Transferred.store({ from, to, cents })
        yield* sql`update accounts set cents = cents + ${cents} where name = ${to}`
        const [left] = yield* sql<{ cents: number }>`
          update accounts set cents = cents - ${cents} where name = ${from} returning cents`
        if (left === undefined || left.cents < 0) return yield* new Overdrawn({ account: from })
      })
    )
  )
