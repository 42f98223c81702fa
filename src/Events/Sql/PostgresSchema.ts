import type { Tables } from "./Tables.js"

/**
 * The first schema: never changed once released, only followed by another. Text is compared by bytes, as everywhere in
 * JavaScript, and found faster so.
 *
 * The indexes of fields are kept up to date at once, until the fourth schema.
 *
 * jsonb does not keep the order of fields. Where it matters, `data_text` and `metadata_text` hold the JSON as it was given.
 */
export const postgresTables = (tables: Tables): ReadonlyArray<string> => {
  const { events, position, streams } = tables
  return [
    `create sequence ${position} as bigint cache 1 no cycle`,
    `create table ${events} (
      position bigint primary key,
      id text collate "C" not null,
      type text collate "C" not null,
      stream text collate "C",
      version bigint,
      timestamp bigint not null,
      correlation_id text collate "C" not null,
      causation_id text collate "C",
      data jsonb not null,
      metadata jsonb not null,
      data_text text,
      metadata_text text
    )`,
    `create unique index ${events}_id on ${events} (id)`,
    `create index ${events}_type on ${events} (type, position)`,
    `create index ${events}_stream on ${events} (stream, position) where stream is not null`,
    `create index ${events}_correlation on ${events} (correlation_id, position)`,
    `create index ${events}_causation on ${events} (causation_id, position) where causation_id is not null`,
    `create index ${events}_timestamp on ${events} (timestamp, position)`,
    `create index ${events}_data on ${events} using gin (data jsonb_path_ops) with (fastupdate = off)`,
    `create index ${events}_metadata on ${events} using gin (metadata jsonb_path_ops) with (fastupdate = off)`,
    `create table ${streams} (name text collate "C" primary key, version bigint not null) with (fillfactor = 70)`,
    headFunction(tables),
    appendFunction(tables)
  ]
}

/**
 * Positions come from a sequence, so that transactions may commit in another order than that of their positions. For
 * nobody to pass over an event that is committed later:
 *
 * - Before it takes its first position, a transaction takes a shared advisory lock, whose second key says above which
 *   position it will take all of its own: the last one taken then, its floor.
 * - A reader first reads the last position taken, then the floors that are locked. It reads events up to the least of
 *   them, in a statement that begins after.
 *
 * Whoever took a position up to there had the lock before it took it, and is still seen with it; or has let go of it,
 * which happens after its events are visible, and so before the statement began. A lock is let go by every end of a
 * transaction and of a connection. Only transactions that have stored have one.
 *
 * A function is volatile, so that each of its statements sees what was committed before it.
 */
const headFunction = ({ head, position }: Tables): string => `
  create function ${head}(out safe bigint, out taken bigint) language plpgsql volatile as $$
  declare
    log oid := '${position}'::regclass;
    floor bigint;
  begin
    if pg_is_in_recovery() then
      raise exception 'a standby knows no open transactions' using errcode = 'read_only_sql_transaction';
    end if;
    select last_value - (not is_called)::int into taken from ${position};
    -- A floor is known by its low 32 bits; one that was taken after the line above is above it, and does not count.
    select max(behind) into floor from (
      select (taken - l.objid::bigint) & 4294967295 as behind from pg_locks l
      where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.classid = log
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and l.pid is distinct from pg_backend_pid()
    ) as floors where behind < 2147483648;
    safe := taken - coalesce(floor, 0);
  end $$`

/**
 * Stores batches of events, each as a whole or not at all, and answers what came of each. In one call, since a call is a
 * round trip.
 *
 * - `events`: all events of all batches, with their fields short; `ids`: theirs, in the same order.
 * - `sizes`: how many events each batch has; `expected`: the expectation of each, or null where none has any.
 * - `streams` and `counts`: the streams of the events and expectations by name, and how many events each gets.
 * - `distinct_ids`: no id comes twice.
 *
 * The common case, where nothing is there yet and nothing expected, is three statements, whatever the number of events;
 * it answers {"positions", "versions"}. Else it answers an array with what came of each batch.
 *
 * Its plans are made once for a connection, when the tables may still be empty: they use the indexes all the same.
 *
 * Two transactions with one id: the second waits for the first, and looks again. The rows of streams are locked by name,
 * so that two calls do not wait for each other; positions are taken under those locks, so that within a stream they are
 * committed in order.
 */
const appendFunction = ({ append, events, position, streams }: Tables): string => `
  create function ${append}(
    events json, ids text[], sizes int[], expected json, streams text[], counts int[], distinct_ids boolean,
    channel text, payload text
  ) returns json language plpgsql volatile
  set enable_seqscan = off set plan_cache_mode = force_generic_plan
  as $$
  #variable_conflict use_column
  declare
    log bigint := '${position}'::regclass::oid::bigint;
    floor bigint;
    n int := cardinality(ids);
    placed bigint[];
    numbers bigint[];
    batch int;
    first int := 1;
    last int;
    i int;
    item json;
    items json[];
    there ${events}%rowtype;
    fresh int[];
    indexes int[];
    ends json[] := '{}';
    outcome json;
    expectation json;
    actual bigint;
    stored boolean := false;
  begin
    if coalesce(current_setting('${events}.floor', true), '') <> log::text then
      select last_value - (not is_called)::int into floor from ${position};
      perform pg_advisory_xact_lock_shared(
        (case when log < 2147483648 then log else log - 4294967296 end)::int,
        ((floor & 4294967295) - case when floor & 2147483648 = 0 then 0 else 4294967296 end)::int
      );
      perform set_config('${events}.floor', log::text, true);
    end if;

    if distinct_ids and expected is null and not exists (select 1 from ${events} e where e.id = any(ids)) then
      if n = 1 and cardinality(streams) = 0 then
        insert into ${events} (position, ${inserted}) select nextval('${position}'), ${values}
        from json_to_record($1 -> 0) as e(${fields}) on conflict (id) do nothing returning array[position] into placed;
      elsif cardinality(streams) = 0 then
        with put as (
          insert into ${events} (position, ${inserted}) select nextval('${position}'), ${values}
          from json_to_recordset($1) as e(${fields}) on conflict (id) do nothing returning position
        ) select array_agg(position order by position) into placed from put;
      else
        with moved as (
          insert into ${streams} as s (name, version) select w.name, w.count from unnest(streams, counts) as w(name, count)
          order by w.name on conflict (name) do update set version = s.version + excluded.version
          returning s.name, s.version
        ), put as (
          insert into ${events} (position, version, ${inserted}) select nextval('${position}'), e.number, ${values} from (
            select e.*, m.version - w.count + row_number() over (partition by e.s order by e.nth) as number
            from rows from (json_to_recordset($1) as (${fields})) with ordinality as e(${names}, nth)
            left join (moved m join unnest(streams, counts) as w(name, count) on w.name = m.name) on m.name = e.s
            order by e.nth
          ) as e on conflict (id) do nothing returning position, version
        ) select array_agg(position order by position), array_agg(version order by position) into placed, numbers from put;
      end if;
      if cardinality(placed) = n then
        perform pg_notify(channel, payload);
        return json_build_object('positions', placed, 'versions', numbers);
      end if;
      -- Another transaction has stored one of the ids meanwhile: all of this is taken back, and looked at one by one.
      delete from ${events} e where e.position = any(placed);
      update ${streams} s set version = s.version - w.count from unnest(streams, counts) as w(name, count) where s.name = w.name;
    end if;

    insert into ${streams} (name, version) select w.name, 0 from unnest(streams) as w(name) order by w.name on conflict do nothing;
    perform 1 from ${streams} s where s.name = any(streams) order by s.name for update;
    select array_agg(w.value order by w.nth) into items from json_array_elements($1) with ordinality as w(value, nth);

    for batch in 1 .. cardinality(sizes) loop
      last := first + sizes[batch] - 1;
      <<again>> loop
        outcome := null;
        fresh := '{}';
        for i in first .. last loop
          item := items[i];
          if ids[i] = any(ids[first : i - 1]) then
            if not ${same("items[first - 1 + array_position(ids[first : last], ids[i])]", "item")} then
              outcome := json_build_object('duplicate', i - first);
            end if;
          else
            select * into there from ${events} e where e.id = ids[i];
            if not found then
              fresh := fresh || i;
            elsif not (${sameRow("there", "item")}) then
              outcome := json_build_object('duplicate', i - first);
            end if;
          end if;
          exit when outcome is not null;
        end loop;
        exit again when outcome is not null;

        if cardinality(fresh) > 0 then
          if expected is not null and json_typeof(expected -> (batch - 1)) = 'object' then
            expectation := expected -> (batch - 1);
            select s.version into actual from ${streams} s where s.name = expectation ->> 'stream';
            if not (case expectation ->> 'version'
              when 'none' then actual = 0 when 'exists' then actual > 0 else actual = (expectation ->> 'version')::bigint
            end) then
              outcome := json_build_object('conflict', actual);
              exit again;
            end if;
          end if;
          with put as (
            insert into ${events} (position, version, ${inserted}) select nextval('${position}'), e.number, ${values} from (
              select e.*, s.version + row_number() over (partition by e.s order by w.nth) as number
              from unnest(fresh) with ordinality as w(i, nth) cross join json_to_record(items[w.i]) as e(${fields})
              left join ${streams} s on s.name = e.s
              order by w.nth
            ) as e on conflict (id) do nothing returning position
          ) select array_agg(position order by position) into placed from put;
          if coalesce(cardinality(placed), 0) < cardinality(fresh) then
            delete from ${events} e where e.position = any(placed);
            continue again;
          end if;
          update ${streams} s set version = s.version + w.count
          from (select e.stream, count(*) from ${events} e where e.position = any(placed) and e.stream is not null group by 1) as w
          where s.name = w.stream;
          stored := true;
        end if;
        select json_build_object('events', json_agg(json_build_array(
          e.position, e.id, e.type, e.stream, e.version, e.timestamp, e.correlation_id, e.causation_id,
          coalesce(e.data_text, e.data::text), coalesce(e.metadata_text, e.metadata::text)
        ) order by w.nth)) into outcome
        from unnest(ids[first : last]) with ordinality as w(id, nth) join ${events} e on e.id = w.id;
        exit again;
      end loop;
      ends := ends || outcome;
      first := last + 1;
    end loop;
    if stored then
      perform pg_notify(channel, payload);
    end if;
    return array_to_json(ends);
  end $$`

/** The fields of an event on its way to the function. */
const names = "id, t, s, at, r, c, d, m, dt, mt"
const fields = "id text, t text, s text, at bigint, r text, c text, d json, m json, dt boolean, mt boolean"
const inserted = "id, type, stream, timestamp, correlation_id, causation_id, data, metadata, data_text, metadata_text"
const values =
  "e.id, e.t, e.s, e.at, e.r, e.c, coalesce(e.d, 'null')::jsonb, e.m::jsonb, case when e.dt then e.d::text end, case when e.mt then e.m::text end"

/** As `sameContent` compares them. */
const sameRow = (row: string, item: string): string => `
  ${row}.type = ${item} ->> 't' and ${row}.stream is not distinct from ${item} ->> 's'
  and ${row}.causation_id is not distinct from ${item} ->> 'c' and ${row}.data = (${item} -> 'd')::jsonb
  and ${row}.metadata - 'schemaVersion' = (${item} -> 'm')::jsonb - 'schemaVersion'`

const same = (one: string, other: string): string =>
  `((${one})::jsonb - '{id,at,r,dt,mt,m}'::text[] = ${other}::jsonb - '{id,at,r,dt,mt,m}'::text[]
  and (${one} -> 'm')::jsonb - 'schemaVersion' = (${other} -> 'm')::jsonb - 'schemaVersion')`
