import { SqlClient } from "@effect/sql"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schedule } from "effect"
import { Events } from "effect-foundation/Events"
import { Telemetry } from "effect-foundation/Telemetry"
import { eventually } from "../contract/EventsConsumer.js"
import { places } from "./consumerDatabases.js"
import { doneRows, makeDone, processAt, writeDone } from "./consumerProcess.js"

for (const engine of ["SQLite", "PostgreSQL"] as const) {
  /** A place with a table of its own, and one process there. */
  const atPlace = <A, E>(program: (place: string) => Effect.Effect<A, E, Events | SqlClient.SqlClient | Telemetry>) =>
    Effect.scoped(
      Effect.flatMap(places[engine], (place) =>
        Effect.zipRight(makeDone, program(place)).pipe(
          Effect.provide(Layer.provideMerge(processAt(place), Telemetry.layer))
        )
      )
    )

  const many = (count: number) => Events.storeAll(Array.from({ length: count }, () => ({ type: "t" })))
  const stateOf = Effect.map(Events.consumers, ([state]) => state)
  const reached = (position: number) => eventually(stateOf, (state) => (state?.position ?? 0) >= position)
  const letters = Events.deadLetters({ consumer: "a" })
  const last = (events: ReadonlyArray<Events.StoredEvent>) => events.at(-1)?.position ?? 0

  describe(`a transactional consumer on ${engine}`, () => {
    it.live("commits what its handler writes and stores together with the checkpoint, or not at all", () =>
      atPlace(() =>
        Effect.gen(function* () {
          const stored = yield* many(3)
          let attempts = 0
          yield* Effect.fork(
            Events.consume({
              name: "a",
              criteria: { type: "t" },
              transactional: true,
              retry: Schedule.recurs(1),
              handler: ({ position }) =>
                Effect.gen(function* () {
                  yield* writeDone(position, "one")
                  yield* Events.store({ type: "done", data: position })
                  if (position === stored[1]?.position) return yield* Effect.fail("broken")
                  // The first is handled at its second attempt.
                  if (position === stored[0]?.position && attempts++ === 0) return yield* Effect.die("broken")
                })
            })
          )
          yield* reached(last(stored))
          const handled = [stored[0]?.position, stored[2]?.position]
          expect((yield* doneRows).map(({ position }) => position)).toStrictEqual(handled)
          expect((yield* Events.get({ type: "done" })).map(({ data }) => data)).toStrictEqual(handled)
          expect(yield* letters).toMatchObject([{ position: stored[1]?.position, attempts: 2 }])
        })
      )
    )

    it.live("replays in a transaction, too", () =>
      atPlace(() =>
        Effect.gen(function* () {
          const stored = yield* many(1)
          let failing = 2
          yield* Effect.fork(
            Events.consume({
              name: "a",
              transactional: true,
              retry: Schedule.recurs(0),
              handler: ({ position }) =>
                Effect.zipRight(writeDone(position, "one"), failing-- > 0 ? Effect.fail("broken") : Effect.void)
            })
          )
          yield* reached(last(stored))
          yield* Events.replay({ consumer: "a", position: "all" })
          yield* eventually(letters, ([letter]) => letter?.attempts === 2 && !letter.replaying)
          expect(yield* doneRows).toStrictEqual([])
          yield* Events.replay({ consumer: "a", position: "all" })
          yield* eventually(letters, (letters) => letters.length === 0)
          expect(yield* doneRows).toHaveLength(1)
        })
      )
    )

    it.live(
      "takes an error that its handler has swallowed, and that ended the transaction, for a failure of the event",
      () =>
        atPlace(() =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const stored = yield* many(2)
            // On PostgreSQL any error ends a transaction; on SQLite few do, as that of a full disk.
            const broken = sql.unsafe(engine === "PostgreSQL" ? "SELECT nonsense" : "ROLLBACK")
            yield* Effect.fork(
              Events.consume({
                name: "a",
                transactional: true,
                retry: Schedule.recurs(1),
                handler: ({ position }) =>
                  Effect.zipRight(
                    writeDone(position, "one"),
                    position === stored[0]?.position ? Effect.ignore(broken) : Effect.void
                  )
              })
            )
            yield* reached(last(stored))
            expect(yield* letters).toMatchObject([{ position: stored[0]?.position, attempts: 2 }])
            expect((yield* doneRows).map(({ position }) => position)).toStrictEqual([stored[1]?.position])
          })
        )
    )

    it.live("takes a commit that the database refuses for a failure of the event", () =>
      atPlace(() =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE TABLE parents (id INTEGER PRIMARY KEY)`
          yield* sql`CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)`
          const stored = yield* many(2)
          yield* Effect.fork(
            Events.consume({
              name: "a",
              transactional: true,
              retry: Schedule.recurs(2),
              handler: ({ position }) =>
                Effect.gen(function* () {
                  yield* writeDone(position, "one")
                  if (position === stored[0]?.position) yield* sql`INSERT INTO children VALUES (5)`
                })
            })
          )
          yield* reached(last(stored))
          const [letter, ...others] = yield* letters
          expect(others).toStrictEqual([])
          expect(letter).toMatchObject({ position: stored[0]?.position, attempts: 3 })
          expect(letter?.error).toContain("constraint")
          expect((yield* doneRows).map(({ position }) => position)).toStrictEqual([stored[1]?.position])
        })
      )
    )

    it.live("is rolled back where its lease was over before it was done, and the event is handled again", () =>
      atPlace(() =>
        Effect.gen(function* () {
          const stored = yield* many(2)
          let attempts = 0
          yield* Effect.fork(
            Events.consume({
              name: "a",
              lease: "1 second",
              transactional: true,
              retry: Schedule.recurs(0),
              handler: ({ position }) =>
                Effect.gen(function* () {
                  const attempt = ++attempts
                  yield* writeDone(position, `attempt ${attempt}`)
                  // The first time, the whole process stands still for longer than its lease.
                  const end = Date.now() + (attempt === 1 ? 1500 : 0)
                  while (Date.now() < end);
                })
            })
          )
          yield* reached(last(stored))
          expect((yield* doneRows).map(({ worker }) => worker)).toStrictEqual(["attempt 2", "attempt 3"])
          expect(yield* letters).toStrictEqual([])
          expect(yield* stateOf).toMatchObject({ token: 2 })
        })
      )
    )

    it.live("is handed nothing of a transaction in which it was started, and which is rolled back", () =>
      atPlace(() =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const handled: Array<string> = []
          let consumer: Fiber.Fiber<never, unknown> | undefined
          yield* sql
            .withTransaction(
              Effect.gen(function* () {
                const handler = ({ id }: Events.StoredEvent) => Effect.sync(() => handled.push(id))
                consumer = yield* Effect.forkDaemon(Events.consume({ name: "a", handler }))
                yield* Events.store({ type: "t", id: "rolled back" })
                yield* Effect.sleep("200 millis")
                return yield* Effect.fail("rolled back")
              })
            )
            .pipe(Effect.flip)
          yield* Events.store({ type: "t", id: "stored" })
          yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => handled.includes("stored") })
          expect(handled).toStrictEqual(["stored"])
          if (consumer !== undefined) yield* Fiber.interrupt(consumer)
        })
      )
    )

    it.live("does not take part in a transaction in which it was started", () =>
      atPlace(() =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const stored = yield* many(2)
          const consumer = yield* sql.withTransaction(
            Effect.forkDaemon(
              Events.consume({
                name: "a",
                transactional: true,
                handler: ({ position }) => writeDone(position, "one")
              })
            )
          )
          yield* reached(last(stored))
          expect(yield* doneRows).toHaveLength(2)
          yield* Fiber.interrupt(consumer)
        })
      )
    )
  })

  it.live(`a consumer on ${engine} keeps its checkpoint and dead letters through a restart`, () =>
    Effect.scoped(
      Effect.gen(function* () {
        const place = yield* places[engine]
        const open = <A, E>(program: Effect.Effect<A, E, Events | SqlClient.SqlClient | Telemetry>) =>
          Effect.provide(program, Layer.provideMerge(processAt(place), Telemetry.layer))
        const first = yield* open(
          Effect.gen(function* () {
            const stored = yield* many(3)
            const consumer = yield* Effect.fork(
              Events.consume({
                name: "a",
                retry: Schedule.recurs(0),
                handler: ({ position }) => (position === stored[1]?.position ? Effect.fail("broken") : Effect.void)
              })
            )
            yield* reached(last(stored))
            yield* Fiber.interrupt(consumer)
            return stored
          })
        )
        yield* open(
          Effect.gen(function* () {
            expect(yield* stateOf).toMatchObject({ position: last(first), owner: undefined, deadLetters: 1 })
            const seen: Array<number> = []
            const next = yield* many(2)
            yield* Effect.fork(
              Events.consume({ name: "a", handler: ({ position }) => Effect.sync(() => seen.push(position)) })
            )
            yield* Events.replay({ consumer: "a", position: "all" })
            yield* reached(last(next))
            yield* eventually(letters, (letters) => letters.length === 0)
            expect(seen.sort((one, other) => one - other)).toStrictEqual([
              first[1]?.position,
              ...next.map(({ position }) => position)
            ])
          })
        )
      })
    )
  )

  it.live(`processes on ${engine} hear of a release and of a replay within two seconds`, () =>
    atPlace((place) =>
      Effect.gen(function* () {
        const [event] = yield* many(1)
        const first = yield* Effect.fork(
          Events.consume({ name: "a", retry: Schedule.recurs(0), handler: () => Effect.fail("broken") })
        )
        yield* reached(event?.position ?? 0)
        const seen = yield* Deferred.make<void>()
        yield* Effect.gen(function* () {
          yield* Effect.fork(Events.consume({ name: "a", handler: () => Deferred.succeed(seen, undefined) }))
          yield* Effect.sleep("100 millis")
          yield* Fiber.interrupt(first)
          yield* eventually(stateOf, (state) => state?.token === 2)
          expect(yield* letters).toHaveLength(1)
        }).pipe(
          Effect.zipRight(
            Effect.gen(function* () {
              // By the connection of the process that is not active.
              yield* Effect.provide(Events.replay({ consumer: "a", position: "all" }), processAt(place))
              yield* Deferred.await(seen).pipe(Effect.timeout("2 seconds"))
            })
          ),
          Effect.provide(processAt(place))
        )
      })
    )
  )

  it.live(`the tables of consumers on ${engine} are read by index`, () =>
    atPlace(() =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const queries = [
          "SELECT * FROM foundation_events_dead_letters WHERE consumer = 'a' AND replaying = 1 ORDER BY position LIMIT 1",
          "SELECT * FROM foundation_events_dead_letters WHERE consumer = 'a' AND position > 5 ORDER BY position LIMIT 5",
          "UPDATE foundation_events_consumers SET position = 5 WHERE name = 'a' AND token = 5 AND owner = 'x' AND until > 5"
        ]
        for (const query of queries) {
          const plan =
            engine === "SQLite"
              ? yield* sql.unsafe(`EXPLAIN QUERY PLAN ${query}`)
              : yield* sql.withTransaction(
                  Effect.zipRight(sql`SET LOCAL enable_seqscan = off`, sql.unsafe(`EXPLAIN ${query}`))
                )
          const text = JSON.stringify(plan)
          expect(text).not.toMatch(/SCAN foundation|Seq Scan|TEMP B-TREE|"Sort/)
        }
      })
    )
  )
}
