import type * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { type SqlFailure, unsupported } from "./Failure.js"

/** The databases that there is code for. */
export type Dialect = "sqlite" | "pg"

export const dialectOf = (sql: SqlClient.SqlClient): Effect.Effect<Dialect, SqlFailure> => {
  const dialect: string = sql.onDialectOrElse({
    sqlite: () => "sqlite",
    pg: () => "pg",
    orElse: () => "of this client"
  })
  return dialect === "sqlite" || dialect === "pg" ? Effect.succeed(dialect) : Effect.fail(unsupported(dialect))
}
