import { isUnheard } from "./PostgresHearing.js"
import type { Tables } from "./Tables.js"

/**
 * The third schema: what the function of the first does in the common case, where no id is there yet and nothing is
 * expected, for three quarters of its time (one event) and nine tenths (64 of them). Both functions answer the positions,
 * and behind a semicolon the versions where there are any, in the order of the events; or null where an id is there, and
 * then nothing is stored and no version has moved.
 *
 * They are called outside of a transaction, and so take the lock of the floor without asking whether it is there. Two
 * transactions with one id: the second waits for the first. If that commits, `putAll` fails with a violation of the index.
 *
 * A `perform` runs a statement, an assignment evaluates an expression, which is less.
 */
export const postgresPut = (tables: Tables): ReadonlyArray<string> => functions(tables, "create", notify)

/** The fifth schema: the same functions, which notify only where somebody hears. */
export const postgresPutHeard = (tables: Tables): ReadonlyArray<string> =>
  functions(tables, "create or replace", `if not ${isUnheard(tables)} then ${notify} end if;`)

const notify = "payload := pg_notify(channel, payload);"

/** `telling` is the statement by which they tell others. */
const functions = (tables: Tables, create: string, telling: string): ReadonlyArray<string> =>
  [putOne(tables, telling), putAll(tables, telling)].map((definition) => `${create} function ${definition}`)

const into =
  "position, id, type, stream, version, timestamp, correlation_id, causation_id, data, metadata, data_text, metadata_text"

/** See the head of the first schema. */
const lock = ({ position }: Tables): string => `
    wait := set_config('lock_timeout', wait, true);
    perform pg_advisory_xact_lock_shared(
      (case when l.log < 2147483648 then l.log else l.log - 4294967296 end)::int,
      ((l.floor & 4294967295) - case when l.floor & 2147483648 = 0 then 0 else 4294967296 end)::int
    ) from (
      select '${position}'::regclass::oid::bigint as log, last_value - (not is_called)::int as floor from ${position}
    ) l;`

/**
 * Takes a position also where the id is there. To look for it before took a tenth of a store, with the setting that has
 * the plan use the index though it may be made while the table is empty.
 */
const putOne = (tables: Tables, telling: string): string => {
  const { events, position, putOne, streams } = tables
  return `${putOne}(
    id text, type text, stream text, at bigint, correlation text, causation text, data text, metadata text,
    keep_data boolean, keep_metadata boolean, channel text, payload text, wait text
  ) returns text language plpgsql volatile
  as $$
  #variable_conflict use_column
  declare
    placed bigint;
    number bigint;
  begin
    ${lock(tables)}
    if $3 is not null then
      insert into ${streams} as s (name, version) values ($3, 1)
      on conflict (name) do update set version = s.version + 1 returning s.version into number;
    end if;
    insert into ${events} (${into})
    values (nextval('${position}'), $1, $2, $3, number, $4, $5, $6, $7::jsonb, $8::jsonb,
      case when $9 then $7 end, case when $10 then $8 end)
    on conflict (id) do nothing returning position into placed;
    if placed is null then
      update ${streams} s set version = s.version - 1 where s.name = $3;
      return null;
    end if;
    ${telling}
    return concat(placed, ';', number);
  end $$`
}

const putAll = (tables: Tables, telling: string): string => {
  const { events, position, putAll, streams } = tables
  const rows = `rows from (
        unnest(ids, types, of_streams, ats, correlations, causations, keep_data, keep_metadata),
        json_array_elements(data_list), json_array_elements(metadata_list)
      )`
  const fields = "id, type, stream, at, correlation, causation, keep_data, keep_metadata, data, metadata"
  const values = `e.id, e.type, e.stream, e.number, e.at, e.correlation, e.causation, e.data::text::jsonb, e.metadata::text::jsonb,
        case when e.keep_data then e.data::text end, case when e.keep_metadata then e.metadata::text end`
  return `${putAll}(
    ids text[], types text[], of_streams text[], ats bigint[], correlations text[], causations text[],
    data_list json, metadata_list json, keep_data boolean[], keep_metadata boolean[],
    names text[], counts int[], channel text, payload text, wait text
  ) returns text language plpgsql volatile
  set enable_seqscan = off set plan_cache_mode = force_generic_plan
  as $$
  #variable_conflict use_column
  declare
    placed text;
    numbers text;
  begin
    ${lock(tables)}
    if exists (select 1 from ${events} e where e.id = any(ids)) then
      return null;
    end if;
    if cardinality(names) = 0 then
      with put as (
        insert into ${events} (${into})
        select nextval('${position}'), ${values.replace("e.number", "null")} from ${rows} as e(${fields})
        returning position
      ) select string_agg(position::text, ',' order by position) into placed from put;
    else
      with moved as (
        insert into ${streams} as s (name, version) select w.name, w.count from unnest(names, counts) as w(name, count)
        order by w.name on conflict (name) do update set version = s.version + excluded.version
        returning s.name, s.version
      ), put as (
        insert into ${events} (${into}) select nextval('${position}'), ${values} from (
          select e.*, m.version - w.count + row_number() over (partition by e.stream order by e.nth) as number
          from ${rows} with ordinality as e(${fields}, nth)
          left join (moved m join unnest(names, counts) as w(name, count) on w.name = m.name) on m.name = e.stream
          order by e.nth
        ) as e returning position, version
      ) select string_agg(position::text, ',' order by position), string_agg(coalesce(version::text, ''), ',' order by position)
      into placed, numbers from put;
    end if;
    ${telling}
    return concat(placed, ';', numbers);
  end $$`
}
