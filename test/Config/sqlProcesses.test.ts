import { describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { startChild } from "../support/child.js"
import type { Command, Said } from "./sqlChild.js"
import { type Database, engines, processOn, reaches } from "./sqlDatabases.js"

const startProcess = (database: Database) =>
  Effect.gen(function* () {
    const child = yield* startChild<Said, Command>(new URL("./sqlChild.ts", import.meta.url), {
      args: [database.address]
    })
    yield* child.receive
    return {
      ...child,
      tell: (command: Command) => Effect.zipRight(child.send(command), child.receive)
    }
  })

const next = (value: unknown): number => (typeof value === "number" ? value : 0) + 1

for (const [engine, fresh] of engines) {
  describe(`processes on one ${engine}`, () => {
    it.scopedLive("have what each of them sets", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const here = yield* processOn(database)
        const there = yield* startProcess(database)
        for (let value = 1; value <= 5; value++) {
          yield* there.tell({ do: "set", key: "a", value })
          yield* reaches(here, "a", value)
          yield* here.set("b", { value })
          yield* there.tell({ do: "await", key: "b", value: { value } })
        }
        expect(yield* there.tell({ do: "get", key: "a" })).toEqual({ done: "get", value: 5 })
      })
    )

    it.scopedLive("lose no update, though one of them is killed in the middle of its own", () =>
      Effect.gen(function* () {
        const database = yield* fresh
        const here = yield* processOn(database, { deadline: "20 seconds" })
        const processes = yield* Effect.forEach(Array.from({ length: 3 }), () => startProcess(database), {
          concurrency: "unbounded"
        })
        const victim = yield* startProcess(database)
        yield* victim.send({ do: "increment", key: "other", times: 1_000_000 })
        const begun = here.watch("other").pipe(
          Stream.filter((value) => typeof value === "number" && value >= 5),
          Stream.runHead
        )
        yield* Effect.all(
          [
            Effect.forEach(processes, (one) => one.tell({ do: "increment", key: "count", times: 15 }), {
              concurrency: "unbounded"
            }),
            Effect.forEach(Array.from({ length: 15 }), () => here.update("count", next)),
            Effect.zipRight(begun, victim.kill("SIGKILL"))
          ],
          { concurrency: "unbounded" }
        )
        yield* victim.exit
        yield* reaches(here, "count", 60)
        yield* Effect.forEach(processes, (one) => one.tell({ do: "await", key: "count", value: 60 }))
        // What the dead one has counted is whole, and it holds up nobody.
        const counted = yield* here.get("other", 0)
        expect(yield* here.update("other", next)).toBeGreaterThan(counted)
      })
    )
  })
}
