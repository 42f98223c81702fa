import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { Transferred } from "./Bank.js"

export const createStatements = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`create table statements (position bigint, account text, cents integer)`
)

/**
 * Writes a line for each side of a transfer. The lines and the checkpoint are one transaction: killed wherever it may be,
 * the next process goes on with the first transfer that has no lines.
 */
export const writeStatements = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Transferred.consume({
    name: "statements",
    transactional: true,
    lease: "2 seconds",
    handler: ({ data: { cents, from, to }, position }) =>
      Effect.gen(function* () {
        yield* sql`insert into statements values (${position}, ${from}, ${-cents})`
        yield* Effect.sleep("20 millis") // a slow printer, so that there is time to be killed between the two
        yield* sql`insert into statements values (${position}, ${to}, ${cents})`
      })
  })
)
