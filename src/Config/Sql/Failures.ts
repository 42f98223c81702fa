import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { ConfigError } from "../../FoundationError.js"
import { contextOf, type SqlFailure } from "../../internal/Sql/Failure.js"
import { failure } from "../Failure.js"
import { abridged } from "../Path.js"
import { Problem } from "../Problem.js"

export const unusable =
  (source: string) =>
  (failure: SqlFailure): ConfigError =>
    new ConfigError({
      reason: "source_unavailable",
      source,
      message: `The configuration table ${source} cannot be used: ${failure.message}`,
      context: contextOf(failure)
    })

export const unwritable =
  (source: string, path: string) =>
  (failure: SqlFailure): ConfigError =>
    new ConfigError({
      reason: failure.kind === "read_only" || failure.kind === "denied" ? "read_only" : "source_unavailable",
      path,
      source,
      message: `The configuration key "${path}" cannot be written to ${source}: ${failure.message}`,
      context: contextOf(failure)
    })

export const missingRights = (source: string, table: string): ConfigError =>
  new ConfigError({
    reason: "read_only",
    source,
    message:
      `The configuration table ${source} is declared writable, and the user may not write to it: ` +
      `grant INSERT, UPDATE and DELETE on ${table} and UPDATE on ${table}_revision, or leave "writable" out`
  })

export const conflict = (source: string, path: string, changed: string): Problem => {
  const what = changed === path ? "it" : `"${abridged(changed)}"`
  return new Problem(
    "conflict",
    `another process has changed ${what} meanwhile; look at the value that it has now, and set it again`,
    path,
    source
  )
}

/** What is set is put in force at once, which a transaction could not roll back; and SQLite has but one connection. */
export const outsideOfTransactions = (source: string): Effect.Effect<void, ConfigError> =>
  Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (transaction) =>
    transaction._tag === "None"
      ? Effect.void
      : failure(
          new Problem(
            "read_only",
            "inside of a transaction nothing can be set, as it would not be rolled back; set it after the transaction",
            undefined,
            source
          )
        )
  )
