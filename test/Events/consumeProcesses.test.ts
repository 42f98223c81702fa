import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import { Telemetry } from "effect-foundation/Telemetry"
import { eventually } from "../contract/EventsConsumer.js"
import { type Child, startChild } from "../support/child.js"
import { stopOutsideOfWrite } from "../support/stopOutsideOfWrite.js"
import type { Heard, Said } from "./consumerChild.js"
import { places } from "./consumerDatabases.js"
import { doneRows, makeDone, processAt } from "./consumerProcess.js"

type Worker = Child<Said, Heard>

for (const engine of ["SQLite", "PostgreSQL"] as const) {
  /** A place with a table of what is done, and what starts workers there. */
  const arena = Effect.gen(function* () {
    const place = yield* places[engine]
    const context = yield* Layer.build(Layer.provideMerge(processAt(place), Telemetry.layer))
    yield* Effect.provide(makeDone, context)
    const start = (worker: string, mode: string, lease = 1000) =>
      startChild<Said, Heard>(new URL("./consumerChild.ts", import.meta.url), {
        args: [place, worker, mode, `${lease}`]
      })
    const stop = (worker: Worker) => (engine === "SQLite" ? stopOutsideOfWrite(worker, place) : worker.kill("SIGSTOP"))
    return { context, start, stop }
  })

  const until = (worker: Worker, wanted: (said: Said) => boolean) =>
    worker.receive.pipe(Effect.repeat({ until: wanted }))
  const isActive = (said: Said) => "lease" in said && said.lease === "acquired"

  const many = (count: number) => Events.storeAll(Array.from({ length: count }, () => ({ type: "t" })))
  const stateOf = Effect.map(Events.consumers, ([state]) => state)
  const reached = (position: number) => eventually(stateOf, (state) => (state?.position ?? 0) >= position)
  const last = (events: ReadonlyArray<Events.StoredEvent>) => events.at(-1)?.position ?? 0
  const positionsOf = (rows: ReadonlyArray<{ readonly position: number }>) => rows.map(({ position }) => position)

  describe(`consumers in several processes on ${engine}`, () => {
    it.scopedLive("hand over within the lease when the active one is killed", () =>
      Effect.gen(function* () {
        const { context, start } = yield* arena
        yield* Effect.gen(function* () {
          const one = yield* start("one", "gate")
          yield* until(one, isActive)
          // With a lease that a busy machine does not miss: it is handed over once.
          const other = yield* start("other", "", 5000)
          // It takes a while to start, on a busy machine seconds.
          yield* until(other, (said) => "is" in said)
          const stored = yield* many(3)
          yield* until(one, (said) => "begins" in said)
          const before = Date.now()
          yield* one.kill("SIGKILL")
          yield* until(other, isActive)
          expect(Date.now() - before).toBeLessThan(1000 + 4000)
          yield* reached(last(stored))
          expect(yield* doneRows).toStrictEqual(positionsOf(stored).map((position) => ({ position, worker: "other" })))
          expect(yield* stateOf).toMatchObject({ token: 2, deadLetters: 0 })
        }).pipe(Effect.provide(context))
      })
    )

    it.scopedLive("hand over at once when the active one ends", () =>
      Effect.gen(function* () {
        const { context, start } = yield* arena
        yield* Effect.gen(function* () {
          const one = yield* start("one", "", 60_000)
          yield* until(one, isActive)
          const other = yield* start("other", "", 60_000)
          const first = yield* many(3)
          yield* reached(last(first))
          yield* one.kill("SIGTERM")
          yield* until(one, (said) => "lease" in said && said.lease === "released")
          yield* until(other, isActive)
          const second = yield* many(3)
          yield* reached(last(second))
          expect((yield* doneRows).map(({ worker }) => worker)).toStrictEqual([
            "one",
            "one",
            "one",
            "other",
            "other",
            "other"
          ])
        }).pipe(Effect.provide(context))
      })
    )

    it.scopedLive("that were frozen past their lease move nothing when they wake, and wait again", () =>
      Effect.gen(function* () {
        const { context, start, stop } = yield* arena
        yield* Effect.gen(function* () {
          const one = yield* start("one", "gate")
          yield* until(one, isActive)
          const other = yield* start("other", "gate", 5000)
          const stored = yield* many(3)
          yield* until(one, (said) => "begins" in said)
          yield* stop(one)
          yield* until(other, (said) => "begins" in said)
          yield* other.send("go")
          yield* until(other, (said) => "begins" in said && said.begins === stored[1]?.position)
          // The other is at its second event. The one is told to go on with its first, and wakes.
          yield* one.send("go")
          yield* one.kill("SIGCONT")
          yield* until(one, (said) => "lease" in said && said.lease === "lost")
          yield* Effect.sleep("500 millis")
          expect(yield* stateOf).toMatchObject({ position: stored[0]?.position, token: 2, deadLetters: 0 })
          yield* other.kill("SIGKILL")
          yield* until(one, isActive)
          yield* one.send("go")
          yield* one.send("go")
          yield* reached(last(stored))
          expect(new Set(positionsOf(yield* doneRows))).toStrictEqual(new Set(positionsOf(stored)))
          expect((yield* doneRows).slice(-1)).toMatchObject([{ worker: "one" }])
        }).pipe(Effect.provide(context))
      })
    )

    it.scopedLive(
      "handle every event exactly once in transactions, however often they are killed",
      () =>
        Effect.gen(function* () {
          const { context, start } = yield* arena
          yield* Effect.gen(function* () {
            const stored: Array<number> = []
            const workers = new Map<number, Worker>()
            let named = 0
            for (let round = 0; round < 6; round++) {
              while (workers.size < 2) {
                const worker = yield* start(`${named++}`, "transactional slow", 400)
                workers.set(worker.pid, worker)
              }
              stored.push(...positionsOf(yield* many(30)))
              // Whichever is active, at whatever it is just doing.
              const owner = yield* eventually(stateOf, (state) => state?.owner !== undefined)
              yield* eventually(stateOf, (state) => (state?.position ?? 0) > (stored.at(-31) ?? 0) + ((round * 7) % 30))
              const pid = Number(owner?.owner?.split("/")[1])
              const active = workers.get(pid) ?? [...workers.values()][0]
              yield* active?.kill("SIGKILL") ?? Effect.void
              if (active !== undefined) {
                yield* active.exit
                workers.delete(active.pid)
              }
            }
            if (workers.size === 0) yield* start("last", "transactional", 400)
            yield* reached(stored.at(-1) ?? 0)
            expect(positionsOf(yield* doneRows)).toStrictEqual(stored)
            expect(yield* Events.deadLetters({ consumer: "a" })).toStrictEqual([])
          }).pipe(Effect.provide(context))
        }),
      60_000
    )

    it.scopedLive("pass over nothing without transactions either, and repeat one event at most for each kill", () =>
      Effect.gen(function* () {
        const { context, start } = yield* arena
        yield* Effect.gen(function* () {
          const stored = positionsOf(yield* many(60))
          const begun: Array<number> = []
          for (let kills = 0; kills < 4; kills++) {
            const worker = yield* start(`${kills}`, "slow", 400)
            yield* Stream.runForEachWhile(worker.messages, (said) =>
              Effect.sync(() => {
                if ("begins" in said) begun.push(said.begins)
                return !("ends" in said && said.ends >= (stored[kills * 12 + 11] ?? 0))
              })
            )
            yield* worker.kill("SIGKILL")
            yield* worker.exit
          }
          const last = yield* start("last", "", 400)
          yield* reached(stored.at(-1) ?? 0)
          void last
          const rows = positionsOf(yield* doneRows)
          expect([...new Set(rows)]).toStrictEqual(stored)
          expect(rows.length).toBeLessThanOrEqual(60 + 4)
        }).pipe(Effect.provide(context))
      })
    )
  })
}
