/** Transfers with their events in one transaction, and a consumer that is killed on the way: `npx tsx examples/outbox/main.ts` */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Console, Effect, Redacted, Schedule } from "effect"
import { Events } from "effect-foundation"
import * as Postgres from "effect-foundation/Foundation/Postgres"
import { startPostgres } from "../servers/Postgres.js"
import { open, transfer } from "./Bank.js"
import { createStatements } from "./Statements.js"

const accounts = ["ada", "bob", "cyd", "dee"]
const transfers = 84

/** A process that writes statements, until it is killed. */
const startConsumer = (url: Redacted.Redacted) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--import", "tsx", join(import.meta.dirname, "consumer.ts")], {
        env: { ...process.env, DATABASE_URL: Redacted.value(url) },
        stdio: ["ignore", "ignore", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** How many transfers have statements. */
const written = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(sql<{ n: number }>`select count(distinct position)::int as n from statements`, ([row]) => row?.n ?? 0)
)

const writtenAre = (enough: number) =>
  Effect.repeat(written, { until: (n) => n >= enough, schedule: Schedule.spaced("50 millis") }).pipe(
    Effect.timeout("1 minute") // the consumer may be unable to start
  )

const program = (url: Redacted.Redacted) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* open(accounts, 1_000)
    yield* createStatements
    const first = yield* startConsumer(url)

    const account = (n: number) => accounts[n % accounts.length] ?? "ada"
    const outcomes = yield* Effect.forEach(
      Array.from({ length: transfers }, (_, n) => n),
      // Each seventh is of more than there is: its event was stored by then, and goes with the rest.
      (n) => Effect.either(transfer(account(n), account(n * 5 + 1), n % 7 === 6 ? 1_000_000 : 1 + (n % 13))),
      { concurrency: 8 }
    )
    const committed = outcomes.filter(({ _tag }) => _tag === "Right").length
    const stored = yield* Events.get({ type: "transferred" })
    yield* Console.log(`${transfers} transfers: ${committed} committed, ${transfers - committed} rolled back`)
    yield* Console.log(`${stored.length} events are stored, one for each that was committed`)

    yield* writtenAre(20)
    first.kill("SIGKILL")
    yield* Console.log(`The consumer is killed after ${yield* written} of them; another takes its place`)
    yield* startConsumer(url)
    yield* writtenAre(committed)

    const [lines] = yield* sql<{
      n: number
      sum: number
    }>`select count(*)::int as n, sum(cents)::int as sum from statements`
    const wrong = yield* sql`
      select name from accounts
      where cents <> 1000 + (select coalesce(sum(cents), 0) from statements where account = name)`
    yield* Console.log(`${lines?.n} lines are in the statements: two for each transfer, none missing, none twice`)
    yield* Console.log(`Accounts that differ from their statements: ${wrong.length}`)
    if (stored.length !== committed || lines?.n !== 2 * committed || lines.sum !== 0 || wrong.length > 0) {
      return yield* Effect.dieMessage("The books do not balance")
    }
  }).pipe(Effect.scoped, Effect.provide(Postgres.layer({ url })))

Effect.flatMap(startPostgres(), ({ url }) => program(url)).pipe(Effect.scoped, NodeRuntime.runMain)
