import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Migration } from "../../internal/Sql/Schema.js"
import type { GrantedRow, HolderRow, Store, StoredRow } from "./Store.js"
import type { Tables } from "./Tables.js"

/** Milliseconds since the epoch, by the clock of the machine. */
const now = "cast(round((julianday('now') - 2440587.5) * 86400000) as integer)"

/**
 * What exclusion rests on, in SQLite: one connection writes at a time, a name is one row by a unique index, and another's
 * row is deleted in a transaction that has seen, as the only writer, that its process has run out. Tokens are from
 * AUTOINCREMENT, which never gives a number twice.
 */
export const migrations = (sql: SqlClient.SqlClient, tables: Tables): ReadonlyArray<Migration> => [
  [
    1,
    "registry",
    Effect.forEach(
      [
        `create table ${tables.nodes} (id text primary key, expires_at integer not null) without rowid`,
        `create table ${tables.registry} (
          token integer primary key autoincrement,
          kind text not null check (kind in ('name', 'group')),
          name text not null,
          node text not null,
          claim integer not null,
          address text not null,
          metadata text not null,
          revision integer not null default 1,
          registered_at integer not null default (${now})
        )`,
        `create unique index ${tables.registry}_name on ${tables.registry} (name) where kind = 'name'`,
        `create index ${tables.registry}_group on ${tables.registry} (name) where kind = 'group'`,
        `create index ${tables.registry}_node on ${tables.registry} (node)`,
        `create table ${tables.ends} (
          token integer primary key,
          reason text not null,
          ended_at integer not null default (${now})
        )`,
        `create index ${tables.ends}_at on ${tables.ends} (ended_at)`,
        `create table ${tables.changes} (count integer not null)`,
        `insert into ${tables.changes} values (0)`,
        ...["insert", "update", "delete"].map(
          (change) => `create trigger ${tables.changes}_${change} after ${change} on ${tables.registry} begin
            update ${tables.changes} set count = count + 1;
          end`
        ),
        `create trigger ${tables.ends}_delete after delete on ${tables.registry} begin
          insert or ignore into ${tables.ends} (token, reason) values (old.token, case
            when exists (select 1 from ${tables.nodes} where id = old.node and expires_at > ${now}) then 'closed'
            else 'expired' end);
        end`
      ],
      (statement) => sql.unsafe(statement),
      { discard: true }
    )
  ]
]

const granted = "claim, token, registered_at as at"

export const makeStore = (sql: SqlClient.SqlClient, tables: Tables): Store => {
  const ask = <A extends object>(text: string, params: ReadonlyArray<unknown> = []) => sql.unsafe<A>(text, params)
  /** It writes first, so that it waits for its turn to write before it has read anything. */
  const alone = <A>(work: Effect.Effect<A, SqlError>) => sql.withTransaction(work)
  const { changes, ends, nodes, registry } = tables
  const isOneOf = "in (select value from json_each(?))"
  const claim: Store["claim"] = (node, asked) =>
    alone(
      Effect.zipRight(
        ask(`delete from ${registry} where node = ? and kind = 'name' and name ${isOneOf}`, [
          node,
          JSON.stringify(asked.filter(({ kind }) => kind === "name").map(({ name }) => name))
        ]),
        ask<GrantedRow>(
          `insert into ${registry} (kind, name, node, claim, address, metadata)
           select value ->> 'kind', value ->> 'name', ?, value ->> 'claim', value ->> 'address', value ->> 'metadata'
           from json_each(?) where true order by key
           on conflict do nothing
           returning ${granted}`,
          [node, JSON.stringify(asked)]
        )
      )
    )
  return {
    probe: Effect.all(
      [
        claim("", []),
        ask(`update ${registry} set metadata = metadata, revision = revision where false`),
        ask(`update ${nodes} set expires_at = expires_at where false`),
        ask(`select token, reason, ended_at from ${ends} where false`),
        ask(`select count from ${changes}`)
      ],
      { discard: true }
    ),
    open: (node, micros) =>
      ask(
        `insert into ${nodes} (id, expires_at) values (?, ${now} + ?)
         on conflict (id) do update set expires_at = excluded.expires_at`,
        [node, Math.ceil(micros / 1000)]
      ),
    renew: (node, micros) =>
      Effect.map(
        ask(`update ${nodes} set expires_at = ${now} + ? where id = ? and expires_at > ${now} returning id`, [
          Math.ceil(micros / 1000),
          node
        ]),
        (rows) => rows.length > 0
      ),
    own: (node, claim) =>
      ask<GrantedRow>(`update ${registry} set claim = ? where node = ? returning ${granted}`, [claim, node]),
    close: (node) =>
      alone(
        Effect.zipRight(
          ask(`delete from ${registry} where node = ?`, [node]),
          ask(`delete from ${nodes} where id = ?`, [node])
        )
      ),
    claim,
    holders: (names) =>
      Effect.map(
        ask<Omit<HolderRow, "expired"> & { readonly expired: number }>(
          `select held.name, held.metadata, coalesce(node.expires_at <= ${now}, 1) as expired
           from ${registry} as held left join ${nodes} as node on node.id = held.node
           where held.kind = 'name' and held.name ${isOneOf}`,
          [JSON.stringify(names)]
        ),
        (rows) => rows.map((row) => ({ ...row, expired: row.expired !== 0 }))
      ),
    evict: (names) =>
      ask(
        `delete from ${registry} where kind = 'name' and name ${isOneOf}
         and not exists (select 1 from ${nodes} where id = node and expires_at > ${now})`,
        [JSON.stringify(names)]
      ),
    reap: alone(
      Effect.gen(function* () {
        yield* ask(`delete from ${ends} where ended_at < ${now} - 3600000`)
        const expired = yield* ask(`delete from ${nodes} where expires_at <= ${now} returning id`)
        if (expired.length > 0) yield* ask(`delete from ${registry} where node not in (select id from ${nodes})`)
        return expired.length
      })
    ),
    update: (token, metadata) =>
      Effect.map(
        ask<{ revision: number }>(
          `update ${registry} set metadata = ?, revision = revision + 1 where token = ? returning revision`,
          [metadata, token]
        ),
        ([row]) => row?.revision
      ),
    release: (tokens) => ask(`delete from ${registry} where token ${isOneOf}`, [JSON.stringify(tokens)]),
    abandon: (node, claims) =>
      ask(`delete from ${registry} where node = ? and claim ${isOneOf}`, [node, JSON.stringify(claims)]),
    read: (of) => {
      const all = `select ${granted}, kind, name, node, address, metadata, revision from ${registry}`
      if (of === "all") return ask<StoredRow>(all)
      return ask<StoredRow>(
        `${all} where exists (
           select 1 from json_each(?) where value ->> 'kind' = kind and value ->> 'name' = name
         )`,
        [JSON.stringify(of)]
      )
    },
    version: Effect.map(ask<{ count: number }>(`select count from ${changes}`), ([row]) => row?.count),
    reasons: (tokens) =>
      ask<{ token: number; reason: string }>(`select token, reason from ${ends} where token ${isOneOf}`, [
        JSON.stringify(tokens)
      ])
  }
}
