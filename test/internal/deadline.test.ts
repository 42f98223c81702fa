import { describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberRef,
  HashMap,
  Logger,
  LogLevel,
  Option,
  Supervisor,
  TestClock
} from "effect"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { expect } from "vitest"
import { deadline } from "../../src/internal/deadline.js"

const late = () => "late" as const
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) => deadline(effect, "1 second", late)

/** Ends after so many turns of the scheduler, so that the work is waited for. */
const suspended = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.zipRight(Effect.yieldNow(), effect)

/** The live clock, with a count of those who sleep. */
const countingClock = (clock: Clock.Clock) => {
  const counting = {
    sleeping: 0,
    slept: 0,
    clock: {
      ...clock,
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
      sleep: (duration: Duration.Duration) =>
        Effect.suspend(() => {
          counting.sleeping++
          counting.slept++
          return Effect.ensuring(
            clock.sleep(duration),
            Effect.sync(() => counting.sleeping--)
          )
        })
    } as Clock.Clock
  }
  return counting
}

describe("deadline", () => {
  for (const [how, start] of [
    ["at once", <A, E, R>(effect: Effect.Effect<A, E, R>) => effect],
    ["after a suspension", suspended]
  ] as const) {
    describe(`of work that ends ${how}`, () => {
      it.effect("answers what it answers", () =>
        Effect.gen(function* () {
          expect(yield* inTime(start(Effect.succeed(1)))).toBe(1)
        })
      )

      it.effect("passes the cause of a failure through, whatever its kind", () =>
        Effect.gen(function* () {
          const causes: ReadonlyArray<Cause.Cause<unknown>> = [
            Cause.fail(new Error("typed")),
            Cause.die(new Error("defect")),
            Cause.parallel(Cause.fail(1), Cause.sequential(Cause.die(2), Cause.fail(3)))
          ]
          for (const cause of causes) {
            const exit = yield* Effect.exit(inTime(start(Effect.failCause(cause))))
            expect(Exit.isFailure(exit) && exit.cause).toBe(cause)
          }
        })
      )

      it.effect("passes an interruption inside through, and the caller goes on", () =>
        Effect.gen(function* () {
          const exit = yield* Effect.exit(inTime(start(Effect.interrupt)))
          expect(Exit.isInterrupted(exit)).toBe(true)
          expect(yield* inTime(Effect.succeed("alive"))).toBe("alive")
        })
      )

      it.effect("gives it the context, the span and the annotations of the caller", () =>
        Effect.gen(function* () {
          class Name extends Context.Tag("Name")<Name, string>() {}
          const seen = yield* inTime(
            start(
              Effect.all({
                name: Name,
                span: Effect.map(Effect.currentSpan, (span) => span.name),
                annotations: Effect.map(FiberRef.get(FiberRef.currentLogAnnotations), HashMap.toEntries)
              })
            )
          ).pipe(Effect.annotateLogs("key", "value"), Effect.withSpan("outer"), Effect.provideService(Name, "Ada"))
          expect(seen).toEqual({ name: "Ada", span: "outer", annotations: [["key", "value"]] })
        })
      )

      it.effect("leaves the fiber refs that it set, also when it fails", () =>
        Effect.gen(function* () {
          const ref = yield* FiberRef.make("before")
          yield* inTime(start(FiberRef.set(ref, "set")))
          expect(yield* FiberRef.get(ref)).toBe("set")
          yield* Effect.exit(inTime(start(Effect.zipRight(FiberRef.set(ref, "and failed"), Effect.fail("no")))))
          expect(yield* FiberRef.get(ref)).toBe("and failed")
        }).pipe(Effect.scoped)
      )

      it.effect("shares the correlation id with the caller, whichever makes it", () =>
        Effect.gen(function* () {
          const inside = yield* Effect.fork(
            Effect.flatMap(inTime(start(CorrelationId.current)), (first) =>
              Effect.map(CorrelationId.current, (second) => [first, second])
            )
          )
          const [first, second] = yield* Fiber.join(inside)
          expect(first).toBe(second)
          const outer = yield* CorrelationId.current
          expect(yield* inTime(start(CorrelationId.current))).toBe(outer)
          const set = inTime(start(CorrelationId.current)).pipe(CorrelationId.with("set"))
          expect(yield* set).toBe("set")
        })
      )

      it.effect("interrupts what it has forked, when it ends", () =>
        Effect.gen(function* () {
          const interrupted = yield* Deferred.make<void>()
          const forked = Effect.never.pipe(
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)),
            Effect.fork,
            Effect.zipRight(Effect.yieldNow())
          )
          yield* inTime(start(forked))
          yield* Deferred.await(interrupted)
        })
      )

      it.effect("logs no failure as unhandled", () =>
        Effect.gen(function* () {
          const logged: Array<unknown> = []
          const logger = Logger.make<unknown, void>(({ message }) => void logged.push(message))
          yield* Effect.exit(inTime(start(Effect.fail("handled")))).pipe(
            Logger.withMinimumLogLevel(LogLevel.All),
            Effect.provide(Logger.replace(Logger.defaultLogger, logger))
          )
          expect(logged).toEqual([])
        })
      )
    })
  }

  it.effect("interrupts late work, and lets its finalizers run before the caller goes on", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const fiber = yield* Effect.never.pipe(
        Effect.onInterrupt(() => suspended(Effect.sync(() => log.push("finalized")))),
        inTime,
        Effect.flip,
        Effect.tap((error) => log.push(error)),
        Effect.fork
      )
      yield* TestClock.adjust("999 millis")
      expect(log).toEqual([])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      expect(log).toEqual(["finalized", "late"])
    })
  )

  it.effect("is not held by work that does not let itself be interrupted, which ends in the background", () =>
    Effect.gen(function* () {
      const release = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const fiber = yield* Deferred.await(release).pipe(
        Effect.zipRight(Deferred.succeed(ended, undefined)),
        Effect.uninterruptible,
        inTime,
        Effect.flip,
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("late")
      expect(yield* Deferred.isDone(ended)).toBe(false)
      yield* Deferred.succeed(release, undefined)
      yield* Deferred.await(ended)
    })
  )

  it.effect("is not held by a finalizer that waits", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.never.pipe(
        Effect.onInterrupt(() => Effect.sleep("1 hour")),
        inTime,
        Effect.flip,
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("late")
    })
  )

  it.effect("interrupts the work when the caller is interrupted, and waits for its finalizers", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const started = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const fiber = yield* Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() =>
          Effect.zipRight(
            Deferred.await(release),
            Effect.sync(() => log.push("work"))
          )
        ),
        inTime,
        Effect.ensuring(Effect.sync(() => log.push("caller"))),
        Effect.fork
      )
      yield* Deferred.await(started)
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 minute")
      expect(log).toEqual([])
      yield* Deferred.succeed(release, undefined)
      expect(Exit.isInterrupted(yield* Fiber.join(interruption))).toBe(true)
      expect(log).toEqual(["work", "caller"])
    })
  )

  it.effect("keeps a defect that the work dies with while it is interrupted", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const fiber = yield* Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Effect.never),
        Effect.ensuring(Effect.die("finalizer")),
        inTime,
        Effect.fork
      )
      yield* Deferred.await(started)
      const exit = yield* Fiber.interrupt(fiber)
      expect(Exit.isFailure(exit) && [...Cause.defects(exit.cause)]).toEqual(["finalizer"])
      expect(Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)).toBe(true)
    })
  )

  it.effect("leaves no work behind when the work itself interrupts the caller in its first step", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const fiber = yield* Effect.withFiberRuntime<never, string>((caller) =>
        inTime(
          Effect.zipRight(
            Effect.sync(() => caller.unsafeInterruptAsFork(caller.id())),
            Effect.never
          ).pipe(Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)))
        )
      ).pipe(Effect.fork)
      expect(Exit.isInterrupted(yield* Fiber.await(fiber))).toBe(true)
      expect(yield* Deferred.isDone(interrupted)).toBe(true)
    })
  )

  it.effect("leaves no work behind wherever the interruption falls", () =>
    Effect.gen(function* () {
      // The run loop yields every 2048 operations: with these many before it, the yield falls on each step of the call.
      for (let before = 2030; before < 2060; before++) {
        let running = 0
        const work = Effect.acquireUseRelease(
          Effect.sync(() => running++),
          () => Effect.never,
          () => Effect.sync(() => running--)
        )
        let count = 0
        const busy = Effect.whileLoop({ while: () => count < before, body: () => Effect.void, step: () => count++ })
        const fiber = yield* Effect.fork(Effect.zipRight(busy, inTime(work)))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
        expect(running).toBe(0)
      }
    })
  )

  it.effect("does not make work interruptible where the caller is not", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const fiber = yield* Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Deferred.await(release)),
        Effect.as("done"),
        inTime,
        Effect.uninterruptible,
        Effect.tap((value) => expect(value).toBe("done")),
        Effect.fork
      )
      yield* Deferred.await(started)
      yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(release, undefined)
      expect(Exit.isInterrupted(yield* Fiber.await(fiber))).toBe(true)
    })
  )

  it.effect("leaves late work to its end where the caller is not interruptible, and does not wait for it", () =>
    Effect.gen(function* () {
      const release = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<string>()
      const fiber = yield* Deferred.await(release).pipe(
        Effect.onExit((exit) => Deferred.succeed(ended, exit._tag)),
        inTime,
        Effect.flip,
        Effect.uninterruptible,
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toBe("late")
      yield* Deferred.succeed(release, undefined)
      expect(yield* Deferred.await(ended)).toBe("Success")
    })
  )

  it.effect("interrupts work that lets itself be interrupted within a region that does not", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const log: Array<string> = []
      const fiber = yield* Effect.uninterruptibleMask((restore) =>
        inTime(
          Effect.zipRight(
            Deferred.succeed(started, undefined),
            restore(Effect.never).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push("work"))))
          )
        ).pipe(Effect.ensuring(Effect.sync(() => log.push("caller"))))
      ).pipe(Effect.fork)
      yield* Deferred.await(started)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(log).toEqual(["work", "caller"])
    })
  )

  type Timed = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, unknown, R>
  const alike: ReadonlyArray<readonly [string, Timed]> = [
    ["deadline", inTime],
    ["Effect.timeout", Effect.timeout("1 second")]
  ]
  for (const [by, timed] of alike) {
    it.effect(`shows work that goes on among the children of the caller and to its supervisor, with ${by}`, () =>
      Effect.gen(function* () {
        const supervisor = yield* Supervisor.track
        const started = yield* Deferred.make<Fiber.RuntimeFiber<unknown, unknown>>()
        const release = yield* Deferred.make<void>()
        const isReleased = yield* Deferred.make<void>()
        const caller = yield* Effect.withFiberRuntime<void>((self) => Deferred.succeed(started, self)).pipe(
          Effect.zipRight(Deferred.await(release)),
          timed,
          Effect.zipRight(Deferred.succeed(isReleased, undefined)),
          Effect.zipRight(Effect.never),
          Effect.supervised(supervisor),
          Effect.fork
        )
        const work = yield* Deferred.await(started)
        yield* Effect.yieldNow()
        expect(yield* Fiber.children(caller)).toContain(work)
        expect(yield* supervisor.value).toContain(work)
        yield* Deferred.succeed(release, undefined)
        yield* Deferred.await(isReleased)
        yield* Effect.yieldNow()
        expect(yield* Fiber.children(caller)).toEqual([])
        expect(yield* supervisor.value).not.toContain(work)
        yield* Fiber.interrupt(caller)
      })
    )
  }

  it.effect("leaves no late work among the children of the caller, which would wait for it", () =>
    Effect.gen(function* () {
      const release = yield* Deferred.make<void>()
      const isLate = yield* Deferred.make<void>()
      const caller = yield* Deferred.await(release).pipe(
        Effect.uninterruptible,
        inTime,
        Effect.flip,
        Effect.zipRight(Deferred.succeed(isLate, undefined)),
        Effect.zipRight(Effect.never),
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      yield* Deferred.await(isLate)
      expect(yield* Fiber.children(caller)).toEqual([])
      expect(Exit.isInterrupted(yield* Fiber.interrupt(caller))).toBe(true)
      yield* Deferred.succeed(release, undefined)
    })
  )

  it.effect("nests: the shorter one is met", () =>
    Effect.gen(function* () {
      const run = (inner: Duration.DurationInput, outer: Duration.DurationInput) =>
        deadline(
          deadline(Effect.never, inner, () => "inner" as const),
          outer,
          () => "outer" as const
        ).pipe(Effect.flip, Effect.fork)
      const first = yield* run("1 second", "2 seconds")
      const second = yield* run("2 seconds", "1 second")
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(first)).toBe("inner")
      expect(yield* Fiber.join(second)).toBe("outer")
    })
  )

  it.live("nests thousands deep", () =>
    Effect.gen(function* () {
      const nest = (depth: number): Effect.Effect<number, "late"> =>
        depth === 0
          ? Effect.succeed(0)
          : inTime(
              Effect.map(
                Effect.suspend(() => nest(depth - 1)),
                (n) => n + 1
              )
            )
      expect(yield* nest(2000)).toBe(2000)
    })
  )

  it.live("sets no timer for work that ends at once, and leaves none behind for work that does not", () =>
    Effect.gen(function* () {
      const counting = countingClock(yield* Clock.clockWith(Effect.succeed))
      const run = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.exit(deadline(effect, "1 hour", late)).pipe(Effect.withClock(counting.clock))
      yield* run(Effect.succeed(1))
      yield* run(Effect.fail(1))
      expect(counting.slept).toBe(0)
      yield* run(suspended(Effect.succeed(1)))
      yield* run(suspended(Effect.fail(1)))
      const fiber = yield* Effect.fork(run(Effect.never))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      expect(counting.slept).toBe(3)
      yield* Effect.yieldNow()
      expect(counting.sleeping).toBe(0)
    })
  )

  it.live("sets and clears a plain timer by the live clock", () =>
    Effect.gen(function* () {
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
      const before = timers()
      for (let i = 0; i < 100; i++) yield* deadline(suspended(Effect.succeed(i)), "1 hour", late)
      expect(timers() - before).toBeLessThan(10)
      expect(yield* Effect.flip(deadline(Effect.never, "5 millis", late))).toBe("late")
    })
  )

  it.live("has no end where the time is longer than a timer counts", () =>
    Effect.gen(function* () {
      const work = Effect.sleep("5 millis").pipe(Effect.as("done"))
      expect(yield* deadline(work, Duration.days(365), late)).toBe("done")
      expect(yield* deadline(work, Duration.infinity, late)).toBe("done")
    })
  )

  it.effect("is not moved by a jump of the wall clock", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.clockWith(Effect.succeed)
      const jumping = Object.assign(Object.create(clock), { unsafeCurrentTimeMillis: () => 9e12 }) as Clock.Clock
      const fiber = yield* Effect.never.pipe(inTime, Effect.withClock(jumping), Effect.fork)
      yield* TestClock.adjust("999 millis")
      expect(Option.isNone(yield* Fiber.poll(fiber))).toBe(true)
      yield* TestClock.adjust("1 millis")
      expect(yield* Effect.flip(Fiber.join(fiber))).toBe("late")
    })
  )
})
