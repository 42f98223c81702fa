import { describe, it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Random,
  Schedule,
  Stream,
  TestClock
} from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import { CorrelationId } from "effect-foundation/CorrelationId"
import type { CircuitOpen } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"
import { expect } from "vitest"
import { ManualClock } from "../ManualClock.js"

const provided = CircuitBreaker.layer.pipe(Layer.provideMerge(Telemetry.layer))
const test = (title: string, body: Effect.Effect<void, unknown, CircuitBreaker | Telemetry>) =>
  it.effect(title, () => body.pipe(Effect.provide(provided)))

const fails = Effect.fail("down" as const)
const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : `succeeded with ${exit.value}`
const call = <A, E, R>(effect: Effect.Effect<A, E, R>, options?: CircuitBreaker.Options<NoInfer<A>, NoInfer<E>>) =>
  Effect.exit(CircuitBreaker.execute(effect, options))
const rejectionOf = (name = "default") =>
  Effect.map(Effect.flip(CircuitBreaker.execute(Effect.void, { name })), (error) => error as CircuitOpen)

/** A call that takes so long by the test clock. */
const taking = <A, E, R>(
  duration: Duration.DurationInput,
  effect: Effect.Effect<A, E, R>,
  options: CircuitBreaker.Options
) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(call(Effect.zipRight(Effect.sleep(duration), effect), options))
    yield* TestClock.adjust(duration)
    return yield* Fiber.join(fiber)
  })

/** The events of these names while the effect runs: name and metadata. */
const recorded = <A, E, R>(selector: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const events: Array<Telemetry.Event> = []
    yield* Telemetry.attach("recorded", selector, (event) => void events.push(event))
    yield* effect
    return events
  }).pipe(Effect.scoped)

describe("execute", () => {
  test(
    "takes the effect first, or is piped, with options or none, or a policy",
    Effect.gen(function* () {
      const policy = yield* CircuitBreaker.policy({ name: "checked", maxFailures: 2 })
      expect(yield* CircuitBreaker.execute(Effect.succeed(1))).toBe(1)
      expect(yield* CircuitBreaker.execute(Effect.succeed(2), { name: "a" })).toBe(2)
      expect(yield* Effect.succeed(3).pipe(CircuitBreaker.execute())).toBe(3)
      expect(yield* Effect.succeed(4).pipe(CircuitBreaker.execute({ name: "a" }))).toBe(4)
      expect(yield* Effect.succeed(6).pipe(CircuitBreaker.execute(policy))).toBe(6)
      const breaker = yield* CircuitBreaker
      expect(yield* Effect.succeed(7).pipe(breaker.execute({ name: "a" }))).toBe(7)
      expect((yield* CircuitBreaker.states).map(({ name }) => name)).toEqual(["default", "a", "checked"])
    })
  )

  test(
    "takes an effect that is also a tag for an effect",
    Effect.gen(function* () {
      expect(yield* CircuitBreaker.execute(Telemetry)).toBe(yield* Telemetry)
    })
  )

  test(
    "without a timeout runs the effect in the fiber of the caller, and with one its end is the same",
    Effect.gen(function* () {
      const caller = yield* Effect.fiberId
      const plain = { name: "plain", timeout: Duration.infinity }
      expect(yield* CircuitBreaker.execute(Effect.fiberId, plain)).toBe(caller)
      expect(yield* CircuitBreaker.execute(Effect.fiberId)).not.toBe(caller)
      const cause = Cause.sequential(Cause.fail("a"), Cause.die("b"))
      for (const options of [plain, { name: "timed" }]) {
        const exit = yield* call(Effect.failCause(cause), options)
        expect(Exit.isFailure(exit) && exit.cause).toBe(cause)
      }
    })
  )

  it.effect("closed, by consecutive failures and without a timeout, does not read the clock", () =>
    Effect.gen(function* () {
      const clock = new ManualClock()
      const options = { timeout: Duration.infinity, maxFailures: 3 }
      const calls = Effect.gen(function* () {
        yield* call(Effect.succeed(1), options)
        yield* call(fails, options)
        yield* call(fails, options)
      })
      yield* calls.pipe(Effect.withClock(clock))
      expect(clock.reads).toBe(0)
      yield* call(fails, options).pipe(Effect.withClock(clock))
      expect(yield* CircuitBreaker.state("default")).toBe("open")
      expect(clock.reads).toBe(1)
    }).pipe(Effect.provide(provided))
  )

  for (const timeout of [Duration.infinity, Duration.minutes(1)]) {
    test(
      `reaches the work when the caller is interrupted (timeout ${Duration.format(timeout)})`,
      Effect.gen(function* () {
        const log: Array<string> = []
        const started = yield* Deferred.make<void>()
        const fiber = yield* Deferred.succeed(started, undefined).pipe(
          Effect.zipRight(Effect.never),
          Effect.onInterrupt(() =>
            Effect.zipRight(
              Effect.yieldNow(),
              Effect.sync(() => log.push("work"))
            )
          ),
          CircuitBreaker.execute({ timeout, maxFailures: 1 }),
          Effect.ensuring(Effect.sync(() => log.push("caller"))),
          Effect.fork
        )
        yield* Deferred.await(started)
        expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
        expect(log).toEqual(["work", "caller"])
        expect(yield* CircuitBreaker.state("default")).toBe("closed")
      })
    )
  }

  test(
    "says what happened and when to come back",
    Effect.gen(function* () {
      const open = { maxFailures: 2, resetTimeout: "10 seconds" } as const
      yield* call(fails, open)
      yield* call(fails, open)
      yield* TestClock.adjust("1800 millis")
      const error = yield* rejectionOf().pipe(CorrelationId.with("req-1"))
      expect(error.message).toBe('Circuit "default" is open after 2 failures in a row; next call in 8200 ms')
      expect(error).toMatchObject({ retryAfter: Duration.millis(8200), state: "open", correlationId: "req-1" })
      yield* TestClock.adjust("8200 millis")
      yield* call(fails)
      expect((yield* rejectionOf()).message).toMatch(
        /^Circuit "default" is open again, since a probe failed; next call in/
      )
      yield* CircuitBreaker.forceOpen("default")
      expect((yield* rejectionOf()).message).toBe('Circuit "default" is forced open by hand, until it is reset by hand')
    })
  )

  test(
    "tells its timeout from a TimeoutException of the effect's own",
    Effect.gen(function* () {
      const work = Effect.timeout(Effect.never, "1 second")
      const own = yield* work.pipe(CircuitBreaker.execute({ timeout: "2 seconds" }), Effect.flip, Effect.fork)
      yield* TestClock.adjust("1 second")
      expect(Cause.isTimeoutException(yield* Fiber.join(own))).toBe(true)
      const other = yield* work.pipe(CircuitBreaker.execute({ name: "b", timeout: 500 }), Effect.flip, Effect.fork)
      yield* TestClock.adjust("500 millis")
      expect(yield* Fiber.join(other)).toMatchObject({
        _tag: "OperationTimeout",
        circuit: "b",
        timeout: Duration.millis(500),
        message: expect.stringContaining("took longer than 500 ms")
      })
    })
  )

  test(
    "is not held by work that cannot be interrupted, and drops its late result",
    Effect.gen(function* () {
      const release = yield* Deferred.make<void>()
      const options = { timeout: "1 second", maxFailures: 1, resetTimeout: "10 seconds" } as const
      const fiber = yield* Effect.fork(call(Effect.uninterruptible(Deferred.await(release)), options))
      yield* TestClock.adjust("1 second")
      expect(errorOf(yield* Fiber.join(fiber))).toMatchObject({ _tag: "OperationTimeout" })
      expect(yield* CircuitBreaker.state("default")).toBe("open")
      yield* Deferred.succeed(release, undefined)
      yield* TestClock.adjust("1 second")
      expect(yield* CircuitBreaker.state("default")).toBe("open")
    })
  )

  test(
    "opens, closes and frees nothing when the wall clock jumps",
    Effect.gen(function* () {
      const clock = new ManualClock()
      const run = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.withClock(effect, clock)
      const options = { maxFailures: 1, resetTimeout: "10 seconds", timeout: "5 seconds" } as const
      yield* run(call(fails, options))
      for (const jump of [1e12, -2e12]) {
        clock.wallMillis += jump
        expect(yield* run(CircuitBreaker.state("default"))).toBe("open")
        expect((yield* run(rejectionOf())).retryAfter).toEqual(Duration.seconds(10))
      }
      clock.move(10_000_000)
      const probe = yield* Effect.fork(run(call(Effect.never, options)))
      yield* Effect.yieldNow()
      clock.wallMillis += 1e12
      expect(yield* run(rejectionOf())).toMatchObject({ state: "half_open", retryAfter: Duration.seconds(5) })
      expect(probe.unsafePoll()).toBe(null)
      clock.move(5_000_000)
      expect(errorOf(yield* Fiber.join(probe))).toMatchObject({ _tag: "OperationTimeout" })
    })
  )
})

describe("classify", () => {
  const classify = (outcome: CircuitBreaker.Outcome) => ({ maxFailures: 1, classify: () => outcome })

  test(
    "decides what an end counts as",
    Effect.gen(function* () {
      yield* call(fails, classify("ignore"))
      yield* call(Effect.die("defect"), classify("success"))
      expect(yield* CircuitBreaker.state("default")).toBe("closed")
      expect(
        yield* call(Effect.succeed(503), {
          classify: (exit) => (Exit.isSuccess(exit) && exit.value === 503 ? "failure" : "success")
        })
      ).toEqual(Exit.succeed(503))
      expect(yield* CircuitBreaker.state("default")).toBe("open")
    })
  )

  test(
    "that throws counts as a failure, and the effect's own end stays",
    Effect.gen(function* () {
      const throwing = () => {
        throw new Error("bug")
      }
      expect(yield* call(Effect.succeed(1), { maxFailures: 2, classify: throwing })).toEqual(Exit.succeed(1))
      expect(errorOf(yield* call(fails, { maxFailures: 2, classify: throwing }))).toBe("down")
      expect(yield* CircuitBreaker.state("default")).toBe("open")
    })
  )

  test(
    "is not asked about interruptions and timeouts",
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const options = {
        maxFailures: 1,
        timeout: "1 second",
        classify: (exit: unknown): CircuitBreaker.Outcome => {
          asked.push(exit)
          return "success"
        }
      } as const
      yield* call(Effect.interrupt, options)
      yield* taking("1 second", Effect.never, options)
      expect(asked).toEqual([])
      expect(yield* CircuitBreaker.state("default")).toBe("open")
    })
  )

  test(
    "that ignores a probe frees its place",
    Effect.gen(function* () {
      yield* call(fails, { maxFailures: 1 })
      yield* TestClock.adjust("10 seconds")
      yield* call(fails, { classify: () => "ignore" })
      expect(yield* CircuitBreaker.state("default")).toBe("half_open")
      yield* call(Effect.void)
      expect(yield* CircuitBreaker.state("default")).toBe("closed")
    })
  )
})

describe("trip by rate", () => {
  test(
    "opens when the share of failures among the last calls is reached, and not before minimumCalls",
    Effect.gen(function* () {
      const options = { trip: { type: "rate", window: { count: 4 }, failureRate: 0.5, minimumCalls: 3 } } as const
      yield* call(fails, options)
      yield* call(fails, options)
      expect(yield* CircuitBreaker.state("default")).toBe("closed")
      yield* call(Effect.void, options)
      expect((yield* rejectionOf()).message).toMatch(/is open after 67% of 3 calls failed; next call in 10000 ms/)
      yield* CircuitBreaker.reset("default")
      for (const effect of [Effect.void, Effect.void, Effect.void, fails, Effect.void])
        yield* call<void, string, never>(effect, options)
      expect(yield* CircuitBreaker.state("default")).toBe("closed")
      yield* call(fails, options)
      expect(yield* CircuitBreaker.state("default")).toBe("open")
    })
  )

  test(
    "over time: what is older than the window no longer counts",
    Effect.gen(function* () {
      const options = {
        trip: { type: "rate", window: { duration: "10 seconds" }, failureRate: 0.5, minimumCalls: 2 }
      } as const
      yield* call(fails, options)
      yield* TestClock.adjust("10 seconds")
      yield* call(fails, options)
      expect(yield* CircuitBreaker.state("default")).toBe("closed")
      yield* TestClock.adjust("8 seconds")
      yield* call(fails, options)
      expect(yield* CircuitBreaker.state("default")).toBe("open")
    })
  )

  test(
    "opens when too many calls are slow, and a slow probe opens it again",
    Effect.gen(function* () {
      const options = {
        trip: {
          type: "rate",
          window: { count: 4 },
          failureRate: 1,
          slowCallRate: 0.5,
          slowCallDuration: "200 millis",
          minimumCalls: 2
        },
        resetTimeout: "10 seconds"
      } as const
      yield* taking("199 millis", Effect.void, options)
      yield* taking("200 millis", Effect.void, options)
      expect((yield* rejectionOf()).message).toMatch(/is open after 50% of 2 calls were slow/)
      yield* TestClock.adjust("10 seconds")
      yield* taking("200 millis", Effect.void, options)
      expect(yield* CircuitBreaker.state("default")).toBe("open")
      yield* TestClock.adjust("10 seconds")
      yield* taking("10 millis", Effect.void, options)
      expect(yield* CircuitBreaker.state("default")).toBe("closed")
    })
  )
})

describe("resetTimeout by a schedule", () => {
  const openings = (resetTimeout: Schedule.Schedule<unknown>, count: number) =>
    Effect.gen(function* () {
      const waits: Array<number> = []
      for (let i = 0; i < count; i++) {
        yield* call(fails, { maxFailures: 1, resetTimeout })
        const { retryAfter } = yield* rejectionOf()
        waits.push(Duration.toMillis(retryAfter))
        yield* TestClock.adjust(retryAfter)
      }
      return waits
    })

  test(
    "takes a step with each opening, and starts anew when the circuit has closed",
    Effect.gen(function* () {
      const exponential = Schedule.exponential("1 second")
      expect(yield* openings(exponential, 4)).toEqual([1000, 2000, 4000, 8000])
      yield* call(Effect.void)
      expect(yield* CircuitBreaker.state("default")).toBe("closed")
      expect(yield* openings(exponential, 2)).toEqual([1000, 2000])
      yield* CircuitBreaker.reset("default")
      expect(yield* openings(exponential, 2)).toEqual([1000, 2000])
    })
  )

  test(
    "stays with the last delay when it ends",
    Effect.gen(function* () {
      const two = Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(2)))
      expect(yield* openings(two, 5)).toEqual([1000, 2000, 2000, 2000, 2000])
    })
  )

  test(
    "takes its random numbers from the fiber of the call",
    Effect.gen(function* () {
      const jittered = Schedule.jittered(Schedule.spaced("1 second"))
      const run = Effect.suspend(() => openings(jittered, 3).pipe(Effect.withRandom(Random.make("seed"))))
      const first = yield* run
      yield* CircuitBreaker.reset("default")
      expect(new Set(first).size).toBe(3)
      expect(yield* run).toEqual(first)
    })
  )

  test(
    "always ends in a finite delay above zero",
    Effect.gen(function* () {
      const ofName = (name: string, resetTimeout: Schedule.Schedule<unknown>) =>
        Effect.zipRight(call(fails, { name, maxFailures: 1, resetTimeout }), rejectionOf(name)).pipe(
          Effect.map(({ retryAfter }) => Duration.toMillis(retryAfter))
        )
      expect(yield* ofName("no delay", Schedule.recurs(3))).toBe(1)
      expect(yield* ofName("for ever", Schedule.spaced(Duration.infinity))).toBe(2 ** 31 - 1)
      expect(yield* ofName("waits", Schedule.spaced(1).pipe(Schedule.tapOutput(() => Effect.sleep("1 hour"))))).toBe(
        10_000
      )
      expect(yield* ofName("dies", Schedule.spaced(1).pipe(Schedule.tapOutput(() => Effect.die("bug"))))).toBe(10_000)
      expect(yield* ofName("ended", Schedule.stop)).toBe(10_000)
    })
  )
})

describe("bounds", () => {
  const few = Layer.effect(CircuitBreaker, CircuitBreaker.make({ maxCircuits: 3 })).pipe(
    Layer.provideMerge(Telemetry.layer)
  )
  const names = Effect.map(CircuitBreaker.states, (states) =>
    states
      .map(({ name }) => name)
      .sort()
      .join()
  )

  it.effect("forgets the closed circuit that was used longest ago", () =>
    Effect.gen(function* () {
      for (const name of ["a", "b", "c"]) yield* call(Effect.void, { name })
      yield* call(Effect.void, { name: "a" })
      yield* call(Effect.void, { name: "d" })
      expect(yield* names).toBe("a,c,d")
      expect(yield* call(Effect.succeed("again"), { name: "b" })).toEqual(Exit.succeed("again"))
      expect(yield* names).toBe("a,b,d")
    }).pipe(Effect.provide(few))
  )

  it.effect("keeps those that are not closed, as long as there is another", () =>
    Effect.gen(function* () {
      yield* call(fails, { name: "open", maxFailures: 1 })
      yield* CircuitBreaker.forceOpen("forced")
      for (let i = 0; i < 100; i++) yield* call(Effect.void, { name: `n${i}` })
      expect(yield* names).toBe("forced,n99,open")
      yield* CircuitBreaker.forceOpen("n99")
      yield* call(Effect.void, { name: "new" })
      expect((yield* names).split(",")).toHaveLength(3)
      expect(yield* names).toContain("new")
    }).pipe(Effect.provide(few))
  )

  it.effect("is not grown by those who only look", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 10; i++) {
        expect(yield* CircuitBreaker.state(`n${i}`)).toBe("closed")
        yield* CircuitBreaker.reset(`n${i}`)
      }
      expect(yield* CircuitBreaker.states).toEqual([])
    }).pipe(Effect.provide(few))
  )

  it.effect("must be whole numbers from 1 on", () =>
    Effect.gen(function* () {
      for (const maxCircuits of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        const error = yield* Effect.flip(CircuitBreaker.make({ maxCircuits }))
        expect(error).toMatchObject({ _tag: "ConfigError", path: "circuitBreaker.maxCircuits" })
      }
    }).pipe(Effect.provide(Telemetry.layer))
  )

  test(
    "hold for a subscriber that does not keep up: it loses the oldest changes",
    Effect.gen(function* () {
      const { changes } = yield* CircuitBreaker
      const go = yield* Deferred.make<void>()
      const fiber = yield* changes.pipe(
        Stream.tap(() => Deferred.await(go)),
        Stream.takeUntil(({ name }) => name === "last"),
        Stream.runCollect,
        Effect.fork
      )
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      for (let i = 0; i < 1500; i++) {
        yield* CircuitBreaker.forceOpen("a")
        yield* CircuitBreaker.reset("a")
      }
      yield* CircuitBreaker.forceOpen("last")
      yield* Deferred.succeed(go, undefined)
      const seen = yield* Fiber.join(fiber)
      // What it was at when it stopped, and what was kept for it since.
      expect(Chunk.size(seen)).toBeLessThanOrEqual(2 * 1024)
      expect(Chunk.unsafeLast(seen).name).toBe("last")
    })
  )
})

describe("telemetry", () => {
  test(
    "tells of each call how it ended and how long it took",
    Effect.gen(function* () {
      const options = { maxFailures: 10, timeout: "1 second" } as const
      const events = yield* recorded(
        "circuit_breaker.call",
        Effect.gen(function* () {
          yield* taking("100 millis", Effect.void, options)
          yield* call(fails, options)
          yield* call(fails, { ...options, classify: () => "ignore" })
          yield* call(Effect.interrupt, options)
          yield* taking("1 second", Effect.never, options)
          for (const [name, timeout] of [
            ["timed", "1 second"],
            ["plain", Duration.infinity]
          ] as const) {
            const fiber = yield* Effect.fork(call(Effect.never, { name, timeout }))
            yield* Effect.yieldNow()
            yield* Fiber.interrupt(fiber)
          }
        })
      )
      expect(
        events.map(({ measurements, metadata }) => [metadata.name, metadata.outcome, measurements.duration])
      ).toEqual([
        ["default", "success", 100],
        ["default", "failure", 0],
        ["default", "ignore", 0],
        ["default", "interrupted", 0],
        ["default", "timeout", 1000],
        ["timed", "interrupted", 0],
        ["plain", "interrupted", 0]
      ])
    })
  )

  test(
    "tells of rejections and changes of state, under the correlation id of the call",
    Effect.gen(function* () {
      const events = yield* recorded(
        "circuit_breaker.*",
        Effect.zipRight(
          call(fails, { maxFailures: 1 }).pipe(CorrelationId.with("req-1")),
          call(Effect.void).pipe(CorrelationId.with("req-2"))
        )
      )
      expect(events.filter(({ name }) => name !== "circuit_breaker.call")).toEqual([
        {
          name: "circuit_breaker.transition",
          measurements: { count: 1 },
          metadata: { name: "default", from: "closed", to: "open", reason: "failures" },
          correlationId: "req-1"
        },
        {
          name: "circuit_breaker.rejected",
          measurements: { count: 1, retryAfter: 10_000 },
          metadata: { name: "default", state: "open" },
          correlationId: "req-2"
        }
      ])
    })
  )

  test(
    "lets a handler act on the circuit that it hears of",
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker
      yield* Telemetry.attach("closer", "circuit_breaker.transition", (event) =>
        event.metadata.to === "open" ? breaker.reset("default") : Effect.void
      )
      yield* call(fails, { maxFailures: 1 })
      expect(yield* CircuitBreaker.state("default")).toBe("closed")
      expect(yield* call(Effect.succeed(1))).toEqual(Exit.succeed(1))
    }).pipe(Effect.scoped)
  )

  it.effect("goes by the clock of the call", () =>
    Effect.gen(function* () {
      // A circuit that is used under two clocks reads each where it is in force.
      const clock = new ManualClock()
      clock.micros = 1_000_000_000
      const both = Effect.zip(Clock.currentTimeNanos, Clock.currentTimeNanos.pipe(Effect.withClock(clock)))
      expect(yield* both).toEqual([0n, 1_000_000_000_000n])
      yield* call(fails, { maxFailures: 1 })
      expect((yield* rejectionOf()).retryAfter).toEqual(Duration.seconds(10))
      expect(yield* CircuitBreaker.state("default").pipe(Effect.withClock(clock))).toBe("half_open")
    }).pipe(Effect.provide(provided))
  )
})
