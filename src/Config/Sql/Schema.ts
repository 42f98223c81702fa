import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Migration } from "../../internal/Sql/Schema.js"

/**
 * Of a table of configuration. The revision counts all changes that were ever made, by whomever: each statement that
 * changes the table adds one, in a row of its own, and rows take theirs from there. So a revision never comes again, and
 * who writes waits for who has written and not committed.
 */
export const migrations = (table: string): ReadonlyArray<Migration> => [
  [
    1,
    "create",
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.forEach(
        sql.onDialectOrElse({ pg: () => postgres(table), orElse: () => sqlite(table) }),
        (statement) => sql.unsafe(statement),
        { discard: true }
      )
    )
  ]
]

/** Names in the functions come with the schema that the table is in: whoever writes may have another search_path. */
const postgres = (table: string): ReadonlyArray<string> => [
  `create table ${table} (
    key text collate "C" primary key,
    value jsonb not null,
    revision bigint not null default 0,
    updated_at timestamptz not null default clock_timestamp()
  )`,
  `create table ${table}_revision (revision bigint not null)`,
  `insert into ${table}_revision values (0)`,
  `create function ${table}_changes() returns trigger language plpgsql as $$
  begin
    execute format('update %I.%I set revision = revision + 1', tg_table_schema, tg_table_name || '_revision');
    perform pg_notify(tg_table_name || '_' || left(md5(tg_table_schema), 16), '');
    return null;
  end $$`,
  `create function ${table}_revises() returns trigger language plpgsql as $$
  begin
    execute format('select revision from %I.%I', tg_table_schema, tg_table_name || '_revision') into new.revision;
    new.updated_at := clock_timestamp();
    return new;
  end $$`,
  `create trigger changes before insert or update or delete or truncate on ${table}
    for each statement execute function ${table}_changes()`,
  `create trigger revises before insert or update on ${table}
    for each row execute function ${table}_revises()`
]

const sqlite = (table: string): ReadonlyArray<string> => {
  const change = `update ${table}_revision set revision = revision + 1;`
  const revise = `update ${table} set revision = (select revision from ${table}_revision),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') where key = new.key;`
  return [
    `create table ${table} (
      key text primary key not null,
      value text not null check (json_valid(value)),
      revision integer not null default 0,
      updated_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ'))
    ) strict`,
    `create table ${table}_revision (revision integer not null) strict`,
    `insert into ${table}_revision values (0)`,
    `create trigger ${table}_inserted after insert on ${table} begin ${change} ${revise} end`,
    `create trigger ${table}_updated after update of key, value on ${table} begin ${change} ${revise} end`,
    `create trigger ${table}_deleted after delete on ${table} begin ${change} end`
  ]
}
