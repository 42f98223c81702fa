import { it } from "@effect/vitest"
import { Chunk, Context, Effect, Exit, Fiber, Layer, Logger, LogLevel, Schedule, Stream } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { describe, expect } from "vitest"
import type { Move } from "../../src/CircuitBreaker/Circuit.js"
import { Knowledge } from "../../src/CircuitBreaker/Redis/Knowledge.js"
import type { View } from "../../src/CircuitBreaker/Redis/Wire.js"
import { describeRedis, freshPrefix, sharedRedis, urlOf } from "../support/redis.js"

const policy = { name: "payments", maxFailures: 4, resetTimeout: "1 minute" } as const
const fails = Effect.fail("down" as const)

const member = (options: CircuitBreakerRedis.Options, database = 0) =>
  Effect.gen(function* () {
    const redis = Redis.layer({ url: `${urlOf(yield* sharedRedis)}/${database}` })
    const context = yield* Layer.build(
      CircuitBreakerRedis.layer({ deadline: "2 seconds", ...options }).pipe(
        Layer.provide(Layer.fresh(redis)),
        Layer.provide(Layer.fresh(Telemetry.layer)),
        Layer.provide(Logger.minimumLogLevel(LogLevel.None))
      )
    )
    return Context.get(context, CircuitBreaker)
  })

/** What is told of circuits until the one that is named `marker` changes. */
const listening = (breaker: CircuitBreaker.Service) =>
  breaker.changes.pipe(
    Stream.takeUntil(({ name }) => name === "marker"),
    Stream.map(({ from, name, reason, to }) => `${name}: ${from} → ${to}, ${reason}`),
    Stream.runCollect,
    Effect.map((changes) => Chunk.toReadonlyArray(changes).slice(0, -1)),
    Effect.fork,
    Effect.tap(() => Effect.repeatN(Effect.yieldNow(), 10))
  )

const told = (fiber: Fiber.RuntimeFiber<ReadonlyArray<string>>) => Effect.timeout(Fiber.join(fiber), "5 seconds")

const call = <A, E>(breaker: CircuitBreaker.Service, effect: Effect.Effect<A, E>, options: CircuitBreaker.Options) =>
  Effect.exit(breaker.execute(effect, options))

describeRedis("circuits of two databases of one server", () => {
  it.scopedLive("have nothing to do with each other", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const [zero, one] = yield* Effect.all([member({ prefix }, 0), member({ prefix }, 1)])
      const heard = yield* listening(one)
      yield* call(one, Effect.void, policy)
      yield* call(zero, Effect.void, policy)
      yield* zero.forceOpen("payments")
      yield* zero.forceOpen("orders")
      for (let i = 0; i < 20; i++) {
        expect(Exit.isSuccess(yield* call(one, Effect.void, policy))).toBe(true)
        yield* Effect.sleep("5 millis")
      }
      yield* one.forceOpen("marker")
      expect(yield* told(heard)).toEqual([])
    })
  )
})

describeRedis("changes", () => {
  it.scopedLive("are told with their reason, however many calls end at the time", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const breaker = yield* member({ prefix })
      const heard = yield* listening(breaker)
      const names = Array.from({ length: 30 }, (_, number) => `c${number}`)
      for (const name of names) {
        yield* call(breaker, Effect.void, { ...policy, name })
        yield* Effect.replicateEffect(
          call(breaker, Effect.zipRight(Effect.sleep("2 millis"), fails), { ...policy, name }),
          40,
          { concurrency: "unbounded" }
        )
      }
      yield* breaker.forceOpen("marker")
      expect(yield* told(heard)).toEqual(names.map((name) => `${name}: closed → open, failures`))
    })
  )

  it.scopedLive("by an operator are told once where each process has a circuit of its own", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const [a, b] = yield* Effect.all([member({ prefix, mode: "local" }), member({ prefix, mode: "local" })])
      const heard = yield* Effect.forEach([a, b], listening)
      yield* a.forceOpen("orders")
      yield* Effect.repeat(b.state("orders"), { until: (state) => state === "forced_open" }).pipe(
        Effect.timeoutOption("200 millis")
      )
      yield* call(b, Effect.void, { ...policy, name: "orders" })
      yield* a.reset("orders")
      yield* a.forceOpen("marker")
      for (const each of heard) {
        expect(yield* told(each)).toEqual([
          "orders: closed → forced_open, forced_open",
          "orders: forced_open → closed, reset"
        ])
      }
    })
  )
})

describeRedis("circuits that each process has of its own", () => {
  it.scopedLive("are shown as forced open by a process that has not used them", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const [a, b] = yield* Effect.all([member({ prefix, mode: "local" }), member({ prefix, mode: "local" })])
      yield* a.forceOpen("orders")
      expect(yield* b.state("orders")).toBe("forced_open")
    })
  )

  it.scopedLive("heed an operator after Redis has come back with what it held before", () =>
    Effect.gen(function* () {
      const prefix = yield* freshPrefix
      const server = yield* sharedRedis
      const key = `${prefix}:circuit:{payments}`
      const [a, b] = yield* Effect.all([
        member({ prefix, mode: "local", staleness: "20 millis" }),
        member({ prefix, mode: "local", staleness: "20 millis" })
      ])
      const isLetThrough = Effect.map(call(a, Effect.void, policy), Exit.isSuccess)
      const eventually = (is: boolean) =>
        Effect.repeat(isLetThrough, { until: (it) => it === is, schedule: Schedule.spaced("5 millis") }).pipe(
          Effect.timeout("3 seconds")
        )
      yield* call(a, Effect.void, policy)
      yield* server.command("COPY", key, `${key}:old`)
      yield* b.forceOpen("payments")
      yield* eventually(false)
      yield* server.command("COPY", `${key}:old`, key, "REPLACE")
      yield* eventually(true)
      yield* b.forceOpen("payments")
      yield* eventually(false)
    })
  )
})

describe("what is known of a circuit", () => {
  const view = (generation: number, state: View["state"]): View => ({
    generation,
    seq: 0,
    state,
    wait: state === "open" ? 1_000_000 : 0,
    openings: 0,
    failures: 0,
    because: undefined,
    advice: []
  })
  const opened = { from: "closed", to: "open", reason: "failures" } as const

  it("tells of a change whose notification comes after the first answer", () => {
    const moves: Array<Move> = []
    const knowledge = new Knowledge(1_000_000, (move) => moves.push(move))
    knowledge.learn({ view: view(7, "open"), verdict: "reject", moves: 0 }, 0, 10)
    knowledge.hear({ name: "a", view: view(7, "open"), moves: [opened] }, 20)
    knowledge.learn({ view: view(7, "open"), verdict: "known", moves: 0 }, 600_000, 600_010)
    expect(moves).toEqual([opened])
  })

  it("tells of a change as one that was missed only where its notification has had the time to come", () => {
    const moves: Array<Move> = []
    const knowledge = new Knowledge(1_000_000, (move) => moves.push(move))
    knowledge.learn({ view: view(6, "closed"), verdict: "pass", moves: 0 }, 0, 10)
    for (const at of [20, 30, 40]) knowledge.learn({ view: view(7, "open"), verdict: "late", moves: 0 }, at, at + 5)
    expect(moves).toEqual([])
    knowledge.learn({ view: view(7, "open"), verdict: "known", moves: 0 }, 500_000, 500_030)
    expect(moves).toEqual([{ from: "closed", to: "open", reason: "synchronized" }])
  })
})
