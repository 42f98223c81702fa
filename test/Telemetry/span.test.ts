import { describe, expect, it } from "@effect/vitest"
import { Cause, type Clock, Effect, Exit, Fiber, FiberId, Option, type Scope, TestClock } from "effect"
import { Telemetry } from "effect-foundation/Telemetry"

const withTelemetry = <A, E>(effect: Effect.Effect<A, E, Telemetry | Scope.Scope>): Effect.Effect<A, E> =>
  effect.pipe(Effect.scoped, Effect.provide(Telemetry.layer))

const collect = (selector = "*") =>
  Effect.gen(function* () {
    const events: Array<Pick<Telemetry.Event, "name" | "measurements" | "metadata">> = []
    yield* Telemetry.attach("collect", selector, ({ measurements, metadata, name }) => {
      events.push({ name, measurements, metadata })
    })
    return events
  })

const boom = new Error("boom")

describe("a span", () => {
  it.effect("of an effect that succeeds is a start and a stop", () =>
    Effect.gen(function* () {
      const events = yield* collect()
      yield* TestClock.adjust("1 second")
      const work = Effect.as(Effect.sleep("250 millis"), "result").pipe(Telemetry.span("work", { of: "x" }))
      const fiber = yield* Effect.fork(work)
      yield* TestClock.adjust("10 seconds")
      expect(yield* Fiber.join(fiber)).toBe("result")
      expect(events).toEqual([
        { name: "work.start", measurements: { monotonicTime: 1000, systemTime: 1000 }, metadata: { of: "x" } },
        { name: "work.stop", measurements: { duration: 250 }, metadata: { of: "x" } }
      ])
    }).pipe(withTelemetry)
  )

  const kinds: ReadonlyArray<[string, Effect.Effect<never, unknown>, { kind: string; reason: unknown }]> = [
    ["failure", Effect.fail(boom), { kind: "failure", reason: boom }],
    ["defect", Effect.die(boom), { kind: "defect", reason: boom }],
    ["interruption", Effect.interrupt, { kind: "interruption", reason: "interrupted" }],
    [
      "failure with an interruption beside it",
      Effect.failCause(Cause.parallel(Cause.interrupt(FiberId.none), Cause.fail(boom))),
      { kind: "failure", reason: boom }
    ]
  ]
  for (const [what, end, told] of kinds) {
    it.effect(`of an effect that ends in ${what} is a start and an exception, and the cause is as it was`, () =>
      Effect.gen(function* () {
        const events = yield* collect()
        const work = Effect.zipRight(Effect.sleep("250 millis"), end)
        const fiber = yield* Effect.fork(Telemetry.span(work, "work", { of: "x" }))
        const plain = yield* Effect.fork(work)
        yield* TestClock.adjust("10 seconds")
        const [exit, expected] = [yield* Fiber.await(fiber), yield* Fiber.await(plain)]
        const kindOf = (exit: Exit.Exit<unknown, unknown>) =>
          Exit.isFailure(exit) ? [...Cause.failures(exit.cause), ...Cause.defects(exit.cause)] : "success"
        expect(kindOf(exit)).toEqual(kindOf(expected))
        expect(Exit.isInterrupted(exit)).toBe(Exit.isInterrupted(expected))
        expect(events.map((event) => event.name)).toEqual(["work.start", "work.exception"])
        expect(events[1]).toEqual({
          name: "work.exception",
          measurements: { duration: 250 },
          metadata: { of: "x", ...told }
        })
      }).pipe(withTelemetry)
    )
  }

  it.effect("of an effect that another fiber interrupts is an exception of that kind", () =>
    Effect.gen(function* () {
      const events = yield* collect()
      const fiber = yield* Effect.fork(Telemetry.span(Effect.never, "work"))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.interrupt(fiber)
      expect(events[1]).toEqual({
        name: "work.exception",
        measurements: { duration: 3000 },
        metadata: { kind: "interruption", reason: "interrupted" }
      })
    }).pipe(withTelemetry)
  )

  it.effect("that is interrupted before its effect has begun has its end too", () =>
    Effect.gen(function* () {
      let begun = false
      const events = yield* collect()
      yield* Telemetry.attach("interrupts", "work.start", () =>
        Option.map(Fiber.getCurrentFiber(), (emitter) => emitter.unsafeInterruptAsFork(emitter.id())).pipe(
          Effect.ignore
        )
      )
      const work = Effect.sync(() => {
        begun = true
      })
      const exit = yield* Effect.flatMap(Effect.fork(Telemetry.span(work, "work")), Fiber.await)
      expect(Exit.isInterrupted(exit)).toBe(true)
      expect(begun).toBe(false)
      expect(events.map((event) => [event.name, event.metadata.kind])).toEqual([
        ["work.start", undefined],
        ["work.exception", "interruption"]
      ])
    }).pipe(withTelemetry)
  )

  it.effect("adds to its stop what a function of the result answers", () =>
    Effect.gen(function* () {
      const events = yield* collect("*")
      yield* Effect.succeed([1, 2, 3]).pipe(
        Telemetry.span("piped", { a: 1 }, (rows: ReadonlyArray<number>) => ({ rows: rows.length }))
      )
      yield* Telemetry.span(Effect.succeed("x"), "first", {}, (text) => ({ text }))
      expect(events.filter((event) => event.name.endsWith("stop")).map((event) => event.metadata)).toEqual([
        { a: 1, rows: 3 },
        { text: "x" }
      ])
    }).pipe(withTelemetry)
  )

  it.effect("does not disturb its effect where that function, the metadata or a handler throws", () =>
    Effect.gen(function* () {
      const events = yield* collect("work.*")
      yield* Telemetry.attach("bad", "*", () => {
        throw boom
      })
      const unreadable = {
        get of(): string {
          throw boom
        }
      }
      const result = yield* Telemetry.span(Effect.succeed(1), "work", unreadable, () => {
        throw boom
      })
      const exit = yield* Effect.exit(Telemetry.span(Effect.fail("no"), "work", unreadable))
      expect(result).toBe(1)
      expect(exit).toEqual(Exit.fail("no"))
      expect(events.map((event) => event.name)).toEqual(["work.start", "work.stop", "work.start", "work.exception"])
      expect(events.at(-1)?.metadata).toEqual({ kind: "failure", reason: "no" })
    }).pipe(withTelemetry)
  )

  it.effect("measures in microseconds, and a jump of the wall clock changes nothing", () =>
    Effect.gen(function* () {
      let wall = 1_700_000_000_000
      let nanos = 5_000_000_000n
      const real = yield* Effect.clock
      const clock: Clock.Clock = Object.assign(Object.create(real) as Clock.Clock, {
        unsafeCurrentTimeMillis: () => wall,
        currentTimeMillis: Effect.sync(() => wall),
        unsafeCurrentTimeNanos: () => nanos,
        currentTimeNanos: Effect.sync(() => nanos)
      })
      const events = yield* collect()
      const work = Effect.sync(() => {
        wall -= 3_600_000
        nanos += 1_234_567n
      })
      yield* work.pipe(Telemetry.span("work"), Effect.withClock(clock))
      expect(events.map((event) => event.measurements)).toEqual([
        { monotonicTime: 5000, systemTime: 1_700_000_000_000 },
        { duration: 1.234 }
      ])
    }).pipe(withTelemetry)
  )

  it.effect("spans nest, and each is of its own effect", () =>
    Effect.gen(function* () {
      const events = yield* collect()
      const inner = Telemetry.span(Effect.sleep("1 second"), "inner")
      const fiber = yield* Effect.fork(Telemetry.span(Effect.zipRight(inner, Effect.sleep("1 second")), "outer"))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      expect(events.map((event) => [event.name, event.measurements.duration])).toEqual([
        ["outer.start", undefined],
        ["inner.start", undefined],
        ["inner.stop", 1000],
        ["outer.stop", 2000]
      ])
    }).pipe(withTelemetry)
  )

  it.effect("that nobody takes an event of is the effect alone", () =>
    Effect.gen(function* () {
      const events = yield* collect("other")
      let reads = 0
      const real = yield* Effect.clock
      const clock: Clock.Clock = Object.assign(Object.create(real) as Clock.Clock, {
        unsafeCurrentTimeNanos: () => {
          reads++
          return 0n
        }
      })
      expect(yield* Effect.succeed(1).pipe(Telemetry.span("work"), Effect.withClock(clock))).toBe(1)
      expect(events).toEqual([])
      expect(reads).toBe(0)
    }).pipe(withTelemetry)
  )

  it.effect("is measured where only one of its events is taken", () =>
    Effect.gen(function* () {
      for (const [selector, effect] of [
        ["work.start", Effect.void],
        ["work.stop", Effect.void],
        ["work.exception", Effect.fail("no")]
      ] as const) {
        const names = yield* Effect.scoped(
          Effect.gen(function* () {
            const events = yield* collect(selector)
            yield* Effect.exit(Telemetry.span(effect, "work"))
            return events.map((event) => event.name)
          })
        )
        expect(names).toEqual([selector])
      }
    }).pipe(withTelemetry)
  )
})
