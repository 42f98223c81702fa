import type { Dialect } from "../../internal/Sql/Dialect.js"

/** The names of the tables of consumers, beside the log. */
export interface ConsumerTables {
  readonly consumers: string
  readonly letters: string
}

export const consumerTablesOf = (events: string): ConsumerTables => ({
  consumers: `${events}_consumers`,
  letters: `${events}_dead_letters`
})

/**
 * The schema of consumers: never changed once it is released, only followed by another. Times are milliseconds. A row of a
 * consumer is written at each event: on PostgreSQL its page has room for that, so that no index is.
 */
export const consumerSchema = (dialect: Dialect, { consumers, letters }: ConsumerTables): ReadonlyArray<string> => {
  const text = dialect === "pg" ? 'text collate "C"' : "TEXT"
  const whole = dialect === "pg" ? "bigint" : "INTEGER"
  return [
    `CREATE TABLE ${consumers} (
      name ${text} PRIMARY KEY,
      criteria ${text} NOT NULL,
      position ${whole} NOT NULL,
      token ${whole} NOT NULL,
      owner ${text},
      until ${whole} NOT NULL
    ) ${dialect === "pg" ? "WITH (fillfactor = 10)" : "STRICT, WITHOUT ROWID"}`,
    `CREATE TABLE ${letters} (
      consumer ${text} NOT NULL,
      position ${whole} NOT NULL,
      id ${text} NOT NULL,
      type ${text} NOT NULL,
      error ${text} NOT NULL,
      attempts ${whole} NOT NULL,
      failed_at ${whole} NOT NULL,
      replaying ${whole} NOT NULL,
      PRIMARY KEY (consumer, position)
    ) ${dialect === "pg" ? "" : "STRICT, WITHOUT ROWID"}`,
    `CREATE INDEX ${letters}_replaying ON ${letters} (consumer, position) WHERE replaying = 1`
  ]
}
