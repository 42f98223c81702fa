import { join } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import { startChild } from "../support/child.js"
import { freshDatabase } from "../support/postgres.js"
import type { Said } from "./sqlChild.js"
import { as, directory, onFile, onServer } from "./sqlFixtures.js"

const start = (...args: ReadonlyArray<string>) => startChild<Said>(new URL("./sqlChild.ts", import.meta.url), { args })

/** Has a child store, and kills it at a time that nobody chose. What it had confirmed. */
const killedWhileStoring = (database: string, round: number) =>
  Effect.gen(function* () {
    const child = yield* start("store", database, `p${round}`)
    const confirmed: Array<string> = []
    const isStored = (said: Said) => {
      if ("stored" in said) confirmed.push(...said.stored)
      return "stored" in said
    }
    const heard = Effect.map(child.receive, isStored)
    const wait = Math.random() * 60
    const kill = Effect.delay(child.kill("SIGKILL"), wait)
    const killing = yield* Effect.fork(
      // Some while they open the log, which the first of them make; half when they have stored something.
      round % 10 === 0
        ? Effect.delay(kill, 100 + 3 * wait)
        : Effect.zipRight(round % 2 === 0 ? heard : Effect.repeat(heard, { until: (is) => is }), kill)
    )
    const end = yield* child.exit
    expect(end.signal).toBe("SIGKILL")
    yield* Fiber.interrupt(killing)
    yield* Stream.runForEach(child.messages, (said) => Effect.sync(() => void isStored(said))).pipe(Effect.ignore)
    return confirmed
  }).pipe(Effect.scoped)

const killedAHundredTimes = (database: string) =>
  Effect.map(
    Effect.forEach(
      Array.from({ length: 100 }, (_, round) => round),
      (round) => killedWhileStoring(database, round),
      { concurrency: 3 }
    ),
    (confirmed) => confirmed.flat()
  )

/** Everything that was confirmed is there, and all that is there is whole and there once. */
const whole = (confirmed: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const there = new Map<string, Events.StoredEvent>()
    const versions = new Map<string, number>()
    yield* Stream.runForEach(Events.stream(), (event) =>
      Effect.sync(() => {
        expect(there.has(event.id)).toBe(false)
        there.set(event.id, event)
        const stream = String(event.stream)
        expect(event.version).toBe((versions.get(stream) ?? 0) + 1)
        versions.set(stream, event.version ?? 0)
      })
    )
    // Three of each of the 50 that were killed after that, and on all but a very slow machine many more.
    expect(confirmed.length).toBeGreaterThanOrEqual(150)
    expect(new Set(confirmed).size).toBe(confirmed.length)
    expect(confirmed.filter((id) => !there.has(id))).toStrictEqual([])
    for (const { data, id } of there.values()) {
      const { key, part, text } = data as { key: string; part: number; text: string }
      expect({ id, text }).toStrictEqual({ id: `${key}-${part}`, text: key.repeat(50) })
      // The other events of its batch.
      for (const other of [0, 1, 2]) expect(there.has(`${key}-${other}`)).toBe(true)
    }
    const found = yield* Events.get({ data: { key: confirmed.at(-1)?.replace(/-\d$/, "") } })
    expect(found).toHaveLength(3)
  })

describe("what was confirmed to a process that was killed", () => {
  it.scopedLive(
    "is there, whole and once, on SQLite, after a hundred of them",
    () =>
      Effect.gen(function* () {
        const filename = join(yield* directory, "events.db")
        const confirmed = yield* killedAHundredTimes(filename)
        const process = yield* onFile(filename)
        yield* Effect.gen(function* () {
          yield* whole(confirmed)
          const sql = yield* SqlClient.SqlClient
          expect(yield* sql`PRAGMA integrity_check`).toStrictEqual([{ integrity_check: "ok" }])
        }).pipe(as(process))
      }),
    300_000
  )

  it.scopedLive(
    "is there, whole and once, on PostgreSQL, after a hundred of them",
    () =>
      Effect.gen(function* () {
        const url = yield* freshDatabase
        const confirmed = yield* killedAHundredTimes(Redacted.value(url))
        const process = yield* onServer(url)
        yield* whole(confirmed).pipe(as(process))
      }),
    300_000
  )
})

describe("eight processes that store, some in transactions, some of which are rolled back", () => {
  it.scopedLive(
    "are seen alike by four that subscribe: every event once, in one order",
    () =>
      Effect.gen(function* () {
        const url = yield* freshDatabase
        const process = yield* onServer(url)
        const all = <A, E, R>(count: number, of: (index: number) => Effect.Effect<A, E, R>) =>
          Effect.all(
            Array.from({ length: count }, (_, index) => of(index)),
            { concurrency: "unbounded" }
          )
        const subscribing = yield* Effect.fork(
          all(4, (index) =>
            Effect.gen(function* () {
              const child = yield* start("subscribe", Redacted.value(url), `s${index}`)
              const seen: Array<readonly [number, string]> = []
              yield* Stream.runForEach(child.messages, (said) =>
                Effect.sync(() => {
                  if ("seen" in said) seen.push(...said.seen)
                })
              )
              return seen
            })
          )
        )
        const stored = yield* all(8, (index) =>
          Effect.gen(function* () {
            const child = yield* start("mix", Redacted.value(url), `p${index}`, "100")
            const ids: Array<string> = []
            yield* Stream.runForEach(child.messages, (said) =>
              Effect.sync(() => {
                if ("stored" in said) ids.push(...said.stored)
              })
            )
            return ids
          })
        )
        yield* Events.store({ id: "end", type: "t" }).pipe(as(process))
        const [first = [], ...others] = yield* Fiber.join(subscribing)
        const ids = first.map(([, id]) => id)
        expect(ids).toHaveLength(8 * 100 + 1)
        expect(new Set(ids)).toStrictEqual(new Set([...stored.flat(), "end"]))
        expect(first.every(([position], index) => position > (first[index - 1]?.[0] ?? 0))).toBe(true)
        for (const other of others) expect(other).toStrictEqual(first)
      }),
    120_000
  )
})
