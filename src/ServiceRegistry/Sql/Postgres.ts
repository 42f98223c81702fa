import type * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Migration } from "../../internal/Sql/Schema.js"
import type { GrantedRow, HolderRow, Store, StoredRow } from "./Store.js"
import type { Tables } from "./Tables.js"

/**
 * What exclusion rests on, in PostgreSQL:
 *
 * - A name is one row, by a unique index. A claim inserts it, or replaces a row of its own process that is of an earlier
 *   claim: a statement that was given up may still come to the database, when another has taken its place.
 * - Another's row is deleted only while the row of its process is locked and has run out, as seen after the lock was
 *   taken: a renewal that comes first is seen, and one that comes later finds that it has run out.
 * - All is judged by `clock_timestamp()`, the time of the moment: `now()` is that of the transaction's start.
 * - A token is taken while the name is locked (`pg_advisory_xact_lock`): a claim that took one and then was held up could
 *   otherwise win the name after another with a greater token had come and gone.
 */
export const migrations = (sql: SqlClient.SqlClient, tables: Tables, channel: string): ReadonlyArray<Migration> => [
  [
    1,
    "registry",
    Effect.forEach(
      [
        `create sequence ${tables.token}`,
        `create table ${tables.nodes} (id text primary key, expires_at timestamptz not null)`,
        `create table ${tables.registry} (
          token bigint primary key,
          kind text not null check (kind in ('name', 'group')),
          name text not null,
          node text not null references ${tables.nodes} (id) on delete cascade,
          claim bigint not null,
          address text not null,
          metadata text not null,
          revision bigint not null default 1,
          registered_at timestamptz not null default clock_timestamp()
        )`,
        `create unique index ${tables.registry}_name on ${tables.registry} (name) where kind = 'name'`,
        `create index ${tables.registry}_group on ${tables.registry} (name) where kind = 'group'`,
        `create index ${tables.registry}_node on ${tables.registry} (node)`,
        `create table ${tables.ends} (
          token bigint primary key,
          reason text not null,
          ended_at timestamptz not null default clock_timestamp()
        )`,
        `create index ${tables.ends}_at on ${tables.ends} (ended_at)`,
        // Whoever changes a row, by a cascade or by hand, has all processes told which name it is of.
        `create function ${tables.notify}() returns trigger language plpgsql as $$
        declare
          changed record := case when tg_op = 'DELETE' then old else new end;
          held boolean;
        begin
          if tg_op = 'DELETE' or (tg_op = 'UPDATE' and new.token <> old.token) then
            execute format('select exists (select from %I.%I where id = $1 and expires_at > clock_timestamp())',
              tg_table_schema, '${tables.nodes}') into held using old.node;
            execute format('insert into %I.%I (token, reason) values ($1, $2) on conflict do nothing',
              tg_table_schema, '${tables.ends}') using old.token, case when held then 'closed' else 'expired' end;
          end if;
          perform pg_notify('${channel}', left(changed.kind, 1) || changed.name);
          return null;
        end $$`,
        `create trigger ${tables.notify} after insert or update or delete on ${tables.registry}
          for each row execute function ${tables.notify}()`
      ],
      (statement) => sql.unsafe(statement),
      { discard: true }
    )
  ]
]

const later = "clock_timestamp() + $2 * interval '1 microsecond'"
/** Numbers as text or floats: a bigint comes as text from the driver by default, whatever its size. */
const granted = "claim::float8 as claim, token::float8 as token, extract(epoch from registered_at)::float8 * 1000 as at"

export const makeStore = (sql: SqlClient.SqlClient, tables: Tables): Store => {
  const ask = <A extends object>(text: string, params: ReadonlyArray<unknown> = []) => sql.unsafe<A>(text, params)
  const { ends, nodes, registry, token } = tables
  const claim: Store["claim"] = (node, asked) =>
    ask<GrantedRow>(
      `insert into ${registry} as held (token, kind, name, node, claim, address, metadata)
       select nextval('${token}'), kind, name, $1, claim, address, metadata
       from (
         select ordered.*, case when kind = 'name' then pg_advisory_xact_lock(key) is null end as locked
         from (
           select asked.*, hashtextextended('${registry} ' || name, 0) as key
           from json_to_recordset($2::json)
             as asked (claim bigint, kind text, name text, address text, metadata text)
           order by key, claim
           offset 0
         ) as ordered
         offset 0
       ) as one_by_one
       on conflict (name) where kind = 'name' do update
         set token = excluded.token, claim = excluded.claim, address = excluded.address,
           metadata = excluded.metadata, revision = 1, registered_at = clock_timestamp()
         where held.node = excluded.node and held.claim < excluded.claim
       returning ${granted}`,
      [node, JSON.stringify(asked)]
    )
  return {
    probe: Effect.all(
      [
        claim("", []),
        ask(`update ${registry} set metadata = metadata, revision = revision where false`),
        ask(`delete from ${registry} where false`),
        ask(`update ${nodes} set expires_at = expires_at where false`),
        ask(`delete from ${nodes} where false`),
        ask(`select token, reason, ended_at from ${ends} where false`),
        ask(`insert into ${ends} (token, reason) select 1, '' where false`),
        ask(`delete from ${ends} where false`)
      ],
      { discard: true }
    ),
    open: (node, micros) =>
      ask(
        `insert into ${nodes} (id, expires_at) values ($1, ${later})
         on conflict (id) do update set expires_at = excluded.expires_at`,
        [node, micros]
      ),
    renew: (node, micros) =>
      Effect.map(
        ask(`update ${nodes} set expires_at = ${later} where id = $1 and expires_at > clock_timestamp() returning id`, [
          node,
          micros
        ]),
        (rows) => rows.length > 0
      ),
    own: (node, claim) =>
      ask<GrantedRow>(`update ${registry} set claim = $2 where node = $1 returning ${granted}`, [node, claim]),
    close: (node) =>
      // Two statements: the rows are deleted while their process still has its lease, and so count as closed.
      Effect.zipRight(
        ask(`delete from ${registry} where node = $1`, [node]),
        ask(`delete from ${nodes} where id = $1`, [node])
      ),
    claim,
    holders: (names) =>
      ask<HolderRow>(
        `select held.name, held.metadata, node.expires_at <= clock_timestamp() as expired
         from ${registry} as held join ${nodes} as node on node.id = held.node
         where held.kind = 'name' and held.name = any ($1::text[])`,
        [names]
      ),
    evict: (names) =>
      ask(
        `with expired as materialized (
           select id from ${nodes}
           where expires_at <= clock_timestamp()
             and id in (select node from ${registry} where kind = 'name' and name = any ($1::text[]))
           order by id for update skip locked
         )
         delete from ${registry} as held using expired
         where held.node = expired.id and held.kind = 'name' and held.name = any ($1::text[])`,
        [names]
      ),
    reap: Effect.zipRight(
      ask(`delete from ${ends} where ended_at < clock_timestamp() - interval '1 hour'`),
      Effect.map(
        ask(
          `with expired as materialized (
             select id from ${nodes} where expires_at <= clock_timestamp() order by id limit 100 for update skip locked
           )
           delete from ${nodes} as node using expired where node.id = expired.id returning node.id`
        ),
        (rows) => rows.length
      )
    ),
    update: (token, metadata) =>
      Effect.map(
        ask<{ revision: number }>(
          `update ${registry} set metadata = $2, revision = revision + 1 where token = $1
           returning revision::float8 as revision`,
          [token, metadata]
        ),
        ([row]) => row?.revision
      ),
    release: (tokens) => ask(`delete from ${registry} where token = any ($1::bigint[])`, [tokens]),
    abandon: (node, claims) =>
      ask(`delete from ${registry} where node = $1 and claim = any ($2::bigint[])`, [node, claims]),
    read: (of) => {
      const all = `select ${granted}, kind, name, node, address, metadata, revision::float8 as revision from ${registry}`
      if (of === "all") return ask<StoredRow>(all)
      const namesOf = (kind: string) => of.filter((place) => place.kind === kind).map((place) => place.name)
      return ask<StoredRow>(
        `${all} where (kind = 'name' and name = any ($1::text[])) or (kind = 'group' and name = any ($2::text[]))`,
        [namesOf("name"), namesOf("group")]
      )
    },
    version: Effect.succeed(undefined),
    reasons: (tokens) =>
      ask<{ token: number; reason: string }>(
        `select token::float8 as token, reason from ${ends} where token = any ($1::bigint[])`,
        [tokens]
      )
  }
}
