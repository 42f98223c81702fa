import { describe } from "@effect/vitest"
import { Cause, Chunk, Deferred, Duration, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import { Telemetry } from "effect-foundation/Telemetry"
import { expect } from "vitest"

/** What a backend needs to be put to the test. */
export interface Subject<E> {
  readonly layer: Layer.Layer<CircuitBreaker, E, Telemetry>
  /** Lets so much time pass, for the backend and for timers. */
  readonly advance: (duration: Duration.DurationInput) => Effect.Effect<void>
  /** `it.effect` where the backend goes by the clock of the fiber, `it.live` where it has a time of its own. */
  readonly it: (title: string, body: () => Effect.Effect<void, unknown>) => void
}

/** Lengths that a test can wait for in real time too. */
const resetTimeout = "200 millis"
const policy = { name: "subject", maxFailures: 3, resetTimeout, timeout: Duration.infinity } as const

const fails = Effect.fail("down" as const)
const call = <A, E, R>(effect: Effect.Effect<A, E, R>, options: CircuitBreaker.Options = policy) =>
  Effect.exit(CircuitBreaker.execute(effect, options))

const rejection = (state: string) => ({ _tag: "CircuitOpen", code: "circuit_open", circuit: "subject", state })
const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : `succeeded with ${exit.value}`

/** A call that is in flight until told how to end. */
const inFlight = (options: CircuitBreaker.Options = policy) =>
  Effect.gen(function* () {
    const started = yield* Deferred.make<void>()
    const end = yield* Deferred.make<string, "down">()
    const fiber = yield* Deferred.succeed(started, undefined).pipe(
      Effect.zipRight(Deferred.await(end)),
      CircuitBreaker.execute(options),
      Effect.fork
    )
    yield* Effect.raceFirst(Deferred.await(started), Fiber.await(fiber))
    return {
      fiber,
      succeed: Effect.zipRight(Deferred.succeed(end, "up"), Fiber.await(fiber)),
      fail: Effect.zipRight(Deferred.fail(end, "down"), Fiber.await(fiber)),
      interrupt: Fiber.interrupt(fiber)
    }
  })

const opened = (options: CircuitBreaker.Options & { readonly maxFailures: number } = policy) =>
  Effect.replicateEffect(call(fails, options), options.maxFailures, { discard: true })

/** The changes of state while the effect runs. */
const changesDuring = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker
    const fiber = yield* breaker.changes.pipe(
      Stream.takeUntil(({ name }) => name === "marker"),
      Stream.filter(({ name }) => name !== "marker"),
      Stream.runCollect,
      Effect.fork
    )
    yield* Effect.yieldNow().pipe(Effect.repeatN(10))
    yield* effect
    yield* breaker.forceOpen("marker")
    return Chunk.toReadonlyArray(yield* Fiber.join(fiber)).map(({ from, reason, to }) => `${from} → ${to}: ${reason}`)
  })

/** What every backend must do. */
export const circuitBreakerContract = <E>(name: string, { advance, it, layer }: Subject<E>) =>
  describe(`CircuitBreaker on ${name}`, () => {
    const provided = layer.pipe(Layer.provideMerge(Telemetry.layer))
    const test = (title: string, body: Effect.Effect<void, unknown, CircuitBreaker | Telemetry>) =>
      it(title, () => body.pipe(Effect.provide(provided)))

    const halfOpen = Effect.zipRight(opened(), advance(resetTimeout))

    test(
      "is closed where it was never used, and lets calls through",
      Effect.gen(function* () {
        expect(yield* CircuitBreaker.state("never used")).toBe("closed")
        expect(yield* CircuitBreaker.states).toEqual([])
        expect(yield* call(Effect.succeed(1))).toEqual(Exit.succeed(1))
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
      })
    )

    test(
      "opens on exactly the Nth failure in a row, and then runs nothing",
      Effect.gen(function* () {
        yield* call(fails)
        yield* call(fails)
        yield* call(Effect.succeed(1))
        yield* call(fails)
        yield* call(Effect.die("defect"))
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
        expect(errorOf(yield* call(fails))).toBe("down")
        expect(yield* CircuitBreaker.state("subject")).toBe("open")
        let ran = false
        const error = errorOf(yield* call(Effect.sync(() => (ran = true))))
        expect(ran).toBe(false)
        expect(error).toMatchObject(rejection("open"))
        const { retryAfter } = error as { retryAfter: Duration.Duration }
        expect(Duration.toMillis(retryAfter)).toBeGreaterThan(0)
        expect(Duration.toMillis(retryAfter)).toBeLessThanOrEqual(200)
      })
    )

    test(
      "opens once, on the Nth failure, when many calls are in flight",
      Effect.gen(function* () {
        const changes = yield* changesDuring(
          Effect.gen(function* () {
            // As long as the calls take, where time does not stand still.
            const calls = yield* Effect.replicateEffect(inFlight({ ...policy, resetTimeout: "1 minute" }), 20)
            for (const [index, call] of calls.entries()) {
              yield* call.fail
              expect(yield* CircuitBreaker.state("subject")).toBe(index < 2 ? "closed" : "open")
            }
          })
        )
        expect(changes).toEqual(["closed → open: failures"])
      })
    )

    test(
      "passes what the effect ends with through",
      Effect.gen(function* () {
        const cause = Cause.parallel(Cause.fail("a"), Cause.die("b"))
        const exit = yield* call(Effect.failCause(cause))
        expect(Exit.isFailure(exit) && exit.cause).toBe(cause)
      })
    )

    test(
      "counts an interruption as nothing",
      Effect.gen(function* () {
        for (let i = 0; i < 5; i++) yield* (yield* inFlight()).interrupt
        yield* call(Effect.interrupt)
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
        // Nor as a success: it does not part failures.
        yield* call(fails)
        yield* call(fails)
        yield* (yield* inFlight()).interrupt
        yield* call(fails)
        expect(yield* CircuitBreaker.state("subject")).toBe("open")
      })
    )

    test(
      "lets one probe through after the opening, rejects the rest, and closes when it succeeds",
      Effect.gen(function* () {
        const changes = yield* changesDuring(
          Effect.gen(function* () {
            yield* halfOpen
            const probe = yield* inFlight()
            expect(errorOf(yield* call(Effect.void))).toMatchObject(rejection("half_open"))
            expect(yield* probe.succeed).toEqual(Exit.succeed("up"))
            expect(yield* call(Effect.succeed(1))).toEqual(Exit.succeed(1))
          })
        )
        expect(changes).toEqual([
          "closed → open: failures",
          "open → half_open: reset_timeout",
          "half_open → closed: probes_succeeded"
        ])
      })
    )

    test(
      "with more probes, closes when all have succeeded",
      Effect.gen(function* () {
        const three = { ...policy, probes: 3 }
        yield* opened(three)
        yield* advance(resetTimeout)
        const probes = yield* Effect.replicateEffect(inFlight(three), 3)
        expect(errorOf(yield* call(Effect.void, three))).toMatchObject(rejection("half_open"))
        for (const [index, probe] of probes.entries()) {
          expect(yield* CircuitBreaker.state("subject")).toBe("half_open")
          yield* probe.succeed
          if (index < 2) expect(errorOf(yield* call(Effect.void, three))).toMatchObject(rejection("half_open"))
        }
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
      })
    )

    for (const [how, probe] of [
      ["fails", fails],
      ["dies", Effect.die("defect")]
    ] as const) {
      test(
        `opens again when a probe ${how}, for as long as before`,
        Effect.gen(function* () {
          yield* halfOpen
          yield* call(probe)
          expect(errorOf(yield* call(Effect.void))).toMatchObject(rejection("open"))
          yield* advance(resetTimeout)
          expect(yield* call(Effect.succeed(1))).toEqual(Exit.succeed(1))
          expect(yield* CircuitBreaker.state("subject")).toBe("closed")
        })
      )
    }

    test(
      "is free for another probe when one is interrupted",
      Effect.gen(function* () {
        yield* halfOpen
        yield* (yield* inFlight()).interrupt
        yield* call(Effect.interrupt)
        expect(yield* CircuitBreaker.state("subject")).toBe("half_open")
        expect(yield* call(Effect.succeed(1))).toEqual(Exit.succeed(1))
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
      })
    )

    test(
      "is not held by a probe that hangs: another takes its place, and the first no longer counts",
      Effect.gen(function* () {
        yield* halfOpen
        const hanging = yield* inFlight()
        const error = errorOf(yield* call(Effect.void))
        expect(error).toMatchObject(rejection("half_open"))
        yield* advance((error as { retryAfter: Duration.Duration }).retryAfter)
        const second = yield* inFlight()
        expect(errorOf(yield* call(Effect.void))).toMatchObject(rejection("half_open"))
        yield* hanging.fail
        expect(yield* CircuitBreaker.state("subject")).toBe("half_open")
        yield* second.succeed
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
      })
    )

    test(
      "drops results of calls that began before a change of state",
      Effect.gen(function* () {
        const [success, failure, another] = [yield* inFlight(), yield* inFlight(), yield* inFlight()]
        yield* opened()
        yield* success.succeed
        expect(yield* CircuitBreaker.state("subject")).toBe("open")
        yield* advance(resetTimeout)
        const probe = yield* inFlight()
        yield* failure.fail
        expect(yield* CircuitBreaker.state("subject")).toBe("half_open")
        yield* probe.succeed
        yield* another.fail
        yield* call(fails)
        yield* call(fails)
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
      })
    )

    test(
      "interrupts work that takes too long, and counts it as a failure",
      Effect.gen(function* () {
        const timed = { ...policy, maxFailures: 1, timeout: "100 millis" } as const
        const interrupted = yield* Deferred.make<void>()
        const fiber = yield* Effect.never.pipe(
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)),
          CircuitBreaker.execute(timed),
          Effect.flip,
          Effect.fork
        )
        yield* advance("100 millis")
        const error = yield* Fiber.join(fiber)
        expect(error).toMatchObject({ _tag: "OperationTimeout", code: "timeout", circuit: "subject" })
        expect(yield* Deferred.isDone(interrupted)).toBe(true)
        expect(yield* CircuitBreaker.state("subject")).toBe("open")
      })
    )

    test(
      "frees the circuit when a probe times out, by opening it again",
      Effect.gen(function* () {
        const timed = { ...policy, timeout: "100 millis" } as const
        yield* opened(timed)
        yield* advance(resetTimeout)
        const probe = yield* inFlight(timed)
        yield* advance("100 millis")
        expect(errorOf(yield* Fiber.await(probe.fiber))).toMatchObject({ _tag: "OperationTimeout" })
        expect(yield* CircuitBreaker.state("subject")).toBe("open")
      })
    )

    test(
      "is forced open until it is reset",
      Effect.gen(function* () {
        const changes = yield* changesDuring(
          Effect.gen(function* () {
            const running = yield* inFlight()
            yield* CircuitBreaker.forceOpen("subject")
            yield* CircuitBreaker.forceOpen("subject")
            const error = errorOf(yield* call(Effect.void))
            expect(error).toMatchObject(rejection("forced_open"))
            expect(Duration.toMillis((error as { retryAfter: Duration.Duration }).retryAfter)).toBe(200)
            yield* advance(resetTimeout)
            yield* running.succeed
            expect(yield* CircuitBreaker.state("subject")).toBe("forced_open")
            yield* CircuitBreaker.reset("subject")
            expect(yield* call(Effect.succeed(1))).toEqual(Exit.succeed(1))
          })
        )
        expect(changes).toEqual(["closed → forced_open: forced_open", "forced_open → closed: reset"])
      })
    )

    test(
      "lets all through and counts nothing while it is disabled",
      Effect.gen(function* () {
        yield* opened()
        yield* CircuitBreaker.disable("subject")
        yield* opened()
        expect(errorOf(yield* call(fails))).toBe("down")
        expect(yield* CircuitBreaker.state("subject")).toBe("disabled")
        const running = yield* inFlight()
        yield* CircuitBreaker.reset("subject")
        yield* running.fail
        yield* call(fails)
        yield* call(fails)
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
      })
    )

    test(
      "forgets what was counted when it is reset",
      Effect.gen(function* () {
        yield* call(fails)
        yield* call(fails)
        yield* CircuitBreaker.reset("subject")
        yield* call(fails)
        yield* call(fails)
        expect(yield* CircuitBreaker.state("subject")).toBe("closed")
        yield* opened()
        yield* CircuitBreaker.reset("subject")
        expect(yield* call(Effect.succeed(1))).toEqual(Exit.succeed(1))
      })
    )

    test(
      "keeps circuits of other names apart, and lists them",
      Effect.gen(function* () {
        yield* opened()
        yield* call(Effect.void, { ...policy, name: "other" })
        const states = yield* CircuitBreaker.states
        expect(states.map(({ name, state }) => `${name}: ${state}`).sort()).toEqual(["other: closed", "subject: open"])
        const status = yield* CircuitBreaker.status("subject")
        expect(Duration.toMillis(status.retryAfter)).toBeGreaterThan(0)
        expect(status.policy).toMatchObject({ maxFailures: 3, probes: 1 })
      })
    )
  })
