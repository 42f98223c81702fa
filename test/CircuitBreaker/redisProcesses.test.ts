import { it } from "@effect/vitest"
import { Effect } from "effect"
import { expect } from "vitest"
import { startChild } from "../support/child.js"
import { describeRedis, freshPrefix, sharedRedis, urlOf } from "../support/redis.js"
import type { Said, Told } from "./redisWorker.js"

const lease = 600

/** Four processes that share a circuit. */
const fleet = Effect.gen(function* () {
  const url = urlOf(yield* sharedRedis)
  const prefix = yield* freshPrefix
  const workers = yield* Effect.replicateEffect(
    startChild<Said, Told>(new URL("./redisWorker.ts", import.meta.url), { args: [url, prefix, String(lease)] }),
    4,
    { concurrency: "unbounded" }
  )
  for (const worker of workers) expect(yield* worker.receive).toEqual({ said: "ready" })
  return workers
})

type Worker = Effect.Effect.Success<typeof fleet>[number]

/** The next of this kind that the worker says. */
const next = <K extends Said["said"]>(worker: Worker, kind: K) =>
  Effect.repeat(worker.receive, { until: ({ said }) => said === kind }) as Effect.Effect<Extract<Said, { said: K }>>

const call = (worker: Worker, end: "succeed" | "fail") =>
  Effect.zipRight(
    worker.send({ do: "call", end }),
    Effect.map(next(worker, "ended"), ({ how }) => how)
  )

/** Calls until it ends so. */
const callUntil = (worker: Worker, isSo: (how: string) => boolean) =>
  Effect.repeat(Effect.delay(call(worker, "succeed"), "5 millis"), { until: isSo })

describeRedis("a circuit of four processes", () => {
  it.scopedLive(
    "opens in all of them on the Nth failure, whichever it is in",
    () =>
      Effect.gen(function* () {
        const workers = yield* fleet
        for (const worker of workers) expect(yield* call(worker, "succeed")).toBe("up")
        for (let i = 0; i < 7; i++) expect(yield* call(workers[i % 3] as Worker, "fail")).toBe("down")
        const [first, , , last] = workers as [Worker, Worker, Worker, Worker]
        // The circuit is closed until then: a success would part the failures, so a failure shows it.
        expect(yield* call(last, "fail")).toBe("down")
        expect(yield* call(last, "succeed")).toBe("circuit_open")
        for (const worker of workers)
          if (worker !== last) expect(yield* next(worker, "changed")).toMatchObject({ to: "open" })
        expect(yield* call(first, "succeed")).toBe("circuit_open")
      }),
    60_000
  )

  it.scopedLive(
    "frees the place of a probe whose process was killed, with its lease",
    () =>
      Effect.gen(function* () {
        const [first, second, third, fourth] = (yield* fleet) as [Worker, Worker, Worker, Worker]
        for (let i = 0; i < 8; i++) yield* call(first, "fail")
        yield* next(second, "changed")
        yield* Effect.sleep("450 millis")
        yield* first.send({ do: "hang" })
        yield* next(first, "hanging")
        // It is renewed: after more than its length it still holds.
        yield* Effect.sleep(2 * lease)
        for (const worker of [second, third, fourth]) expect(yield* call(worker, "succeed")).toBe("circuit_open")
        yield* first.kill("SIGKILL")
        // Its policy would let it hold the place for 30 seconds.
        expect(
          yield* Effect.timeout(
            callUntil(second, (how) => how === "up"),
            "10 seconds"
          )
        ).toBe("up")
        expect(yield* callUntil(third, (how) => how === "up")).toBe("up")
      }),
    60_000
  )

  it.scopedLive(
    "is forced open in all of them",
    () =>
      Effect.gen(function* () {
        const workers = yield* fleet
        const [first] = workers as [Worker, Worker, Worker, Worker]
        for (const worker of workers) yield* call(worker, "succeed")
        yield* first.send({ do: "forceOpen" })
        for (const worker of workers) {
          expect(yield* next(worker, "changed")).toMatchObject({ to: "forced_open" })
          expect(yield* call(worker, "succeed")).toBe("circuit_open")
        }
      }),
    60_000
  )

  it.scopedLive(
    "gives the place of a probe whose process stands still to another, and hears nothing of it when it wakes",
    () =>
      Effect.gen(function* () {
        const [first, second, third] = (yield* fleet) as [Worker, Worker, Worker, Worker]
        for (let i = 0; i < 8; i++) yield* call(first, "fail")
        yield* next(second, "changed")
        yield* Effect.sleep("450 millis")
        yield* first.send({ do: "hang" })
        yield* next(first, "hanging")
        yield* first.kill("SIGSTOP")
        expect(
          yield* Effect.timeout(
            callUntil(second, (how) => how === "up"),
            "10 seconds"
          )
        ).toBe("up")
        yield* first.kill("SIGCONT")
        expect(yield* callUntil(first, (how) => how === "up")).toBe("up")
        expect(yield* callUntil(third, (how) => how === "up")).toBe("up")
      }),
    60_000
  )
})
