import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Layer, Option, TestClock } from "effect"
import { ConfigError, Foundation } from "effect-foundation"
import { Shutdown } from "effect-foundation/Foundation/Shutdown"
import { FoundationTest } from "effect-foundation/Testing"
import { noDurations } from "../support/noDurations.js"

const launched = <E, R>(layer: Layer.Layer<never, E, R>) =>
  Shutdown.launch({ delay: "5 seconds", deadline: "20 seconds" })(layer)

/** As `runMain` does on SIGTERM. */
const terminate = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) =>
  Effect.zipRight(Fiber.interruptFork(fiber), Effect.yieldNow())

describe("Shutdown", () => {
  it.effect("lowers readiness, waits out the delay, then the work, then closes in reverse order", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const say = (what: string) => Effect.sync(() => void log.push(what))
      const up = yield* Deferred.make<Effect.Effect<Foundation.Health>>()
      const gate = yield* Deferred.make<void>()
      const program = Layer.scopedDiscard(
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => say("closed"))
          yield* Shutdown.whileOpen(Effect.acquireRelease(say("announced"), () => say("taken back")))
          yield* Effect.forkDaemon(Shutdown.track(Effect.zipRight(Deferred.await(gate), say("work ended"))))
          const context = yield* Effect.context<Foundation>()
          const shutdown = yield* Shutdown
          yield* Deferred.succeed(
            up,
            Foundation.health.pipe(Effect.provide(context), Effect.provideService(Shutdown, shutdown))
          )
        })
      )
      const fiber = yield* Effect.fork(
        launched(program).pipe(Effect.ensuring(say("outer closed")), Effect.provide(FoundationTest))
      )
      const health = yield* Deferred.await(up)
      expect(yield* health).toMatchObject({ ready: true, draining: false })
      yield* terminate(fiber)
      yield* TestClock.adjust("1 second")
      expect(yield* health).toMatchObject({ status: "up", ready: false, draining: true })
      expect(log).toEqual(["announced", "taken back"])
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("3 seconds")
      expect(log).toEqual(["announced", "taken back", "work ended"])
      yield* TestClock.adjust("1 second")
      expect(Exit.isInterrupted(yield* Fiber.await(fiber))).toBe(true)
      expect(log).toEqual(["announced", "taken back", "work ended", "closed", "outer closed"])
    })
  )

  it.effect.each(
    noDurations.flatMap(
      (value) =>
        [
          ["delay", value],
          ["deadline", value]
        ] as const
    )
  )("dies of a %s that is none before it launches anything (%#)", ([option, value]) =>
    Effect.gen(function* () {
      const built: Array<string> = []
      const program = Layer.effectDiscard(Effect.sync(() => void built.push("built")))
      const exit = yield* Effect.exit(Shutdown.launch({ [option]: value })(program))
      const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined
      expect(error).toBeInstanceOf(ConfigError)
      expect(error).toMatchObject({ reason: "invalid_value", path: `shutdown.${option}` })
      expect(built).toEqual([])
    })
  )

  it.effect("may have no delay, and no deadline", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const program = Layer.scopedDiscard(Effect.forkDaemon(Shutdown.track(Deferred.await(gate))))
      const fiber = yield* Effect.fork(Shutdown.launch({ delay: 0, deadline: Duration.infinity })(program))
      yield* Effect.yieldNow()
      yield* terminate(fiber)
      yield* TestClock.adjust("100 days")
      expect(yield* fiber.poll).toEqual(Option.none())
      yield* Deferred.succeed(gate, undefined)
      expect(Exit.isInterrupted(yield* Fiber.await(fiber))).toBe(true)
    })
  )

  it.effect("interrupts what has not ended by the deadline, and leaves what does not close", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const say = (what: string) => Effect.sync(() => void log.push(what))
      const program = Layer.scopedDiscard(
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => Effect.never)
          yield* Effect.forkDaemon(Shutdown.track(Effect.onInterrupt(Effect.never, () => say("interrupted"))))
          yield* Effect.forkDaemon(Shutdown.track(Effect.uninterruptible(Effect.never)))
        })
      )
      const fiber = yield* Effect.fork(launched(program))
      yield* TestClock.adjust("1 second")
      yield* terminate(fiber)
      yield* TestClock.adjust("19 seconds")
      expect(log).toEqual([])
      yield* TestClock.adjust("1 second")
      expect(log).toEqual(["interrupted"])
      yield* TestClock.adjust("2 seconds")
      expect(fiber.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 second")
      expect(Exit.isInterrupted(yield* Fiber.await(fiber))).toBe(true)
    })
  )

  it.effect("fails at once where the layer cannot be built, and closes what was", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const first = Layer.scopedDiscard(Effect.addFinalizer(() => Effect.sync(() => void log.push("closed"))))
      const program = Layer.provide(Layer.effectDiscard(Effect.fail("no")), first)
      expect(yield* Effect.flip(launched(program))).toBe("no")
      expect(log).toEqual(["closed"])
    })
  )

  it.effect("lets loops hear that it begins, and interruption of work counts it out", () =>
    Effect.gen(function* () {
      const heard = yield* Deferred.make<number>()
      const program = Layer.scopedDiscard(
        Effect.gen(function* () {
          const shutdown = yield* Shutdown
          const work = yield* Effect.forkDaemon(Shutdown.track(Effect.never))
          while (shutdown.inFlight() === 0) yield* Effect.yieldNow()
          yield* Fiber.interrupt(work)
          yield* Effect.forkDaemon(
            Effect.zipRight(Shutdown.begun, Deferred.complete(heard, Effect.sync(shutdown.inFlight)))
          )
        })
      )
      const ready = yield* Deferred.make<void>()
      const whole = Layer.provide(Layer.effectDiscard(Deferred.succeed(ready, undefined)), program)
      const fiber = yield* Effect.fork(launched(whole))
      yield* Deferred.await(ready)
      yield* TestClock.adjust("1 second")
      yield* terminate(fiber)
      expect(yield* Deferred.await(heard)).toBe(0)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.await(fiber)
    })
  )
})
