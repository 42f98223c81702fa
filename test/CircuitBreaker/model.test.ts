import { it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { expect } from "vitest"
import { parsePolicy, termsOf } from "../../src/CircuitBreaker/Policy.js"
import { ManualClock, settled } from "../ManualClock.js"
import { Oracle } from "./Oracle.js"

const ms = 1000

const step = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ do: "call" as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      which: fc.nat(9),
      how: fc.constantFrom("succeed", "fail", "fail", "fail", "die", "interrupt", "interruptInside")
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      millis: fc.oneof(fc.constantFrom(1, 99, 100, 101, 199, 200, 300, 500), fc.nat(600)),
      jump: fc.constantFrom(0, -1e9, 1e9)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("forceOpen" as const, "disable" as const, "reset" as const) })
  }
)

const shared = {
  timeout: fc.constantFrom<Duration.DurationInput>(Duration.infinity, "250 millis"),
  resetTimeout: fc.constant("200 millis" as const),
  probes: fc.integer({ min: 1, max: 2 })
}
const consecutive = fc.record({ ...shared, maxFailures: fc.integer({ min: 1, max: 3 }) })
const byRate = fc.record({
  ...shared,
  trip: fc.constantFrom<CircuitBreaker.Trip>(
    { type: "rate", window: { count: 4 }, failureRate: 0.5, minimumCalls: 2 },
    {
      type: "rate",
      window: { duration: "1 second" },
      failureRate: 0.6,
      slowCallRate: 0.5,
      slowCallDuration: 200,
      minimumCalls: 3
    }
  )
})
const options = fc.oneof(consecutive, { weight: 2, arbitrary: byRate })

/** A call in flight, and what the oracle must hear when it ends. */
interface InFlight {
  readonly id: number
  readonly since: number
  readonly end: Deferred.Deferred<string, string>
  readonly fiber: Fiber.RuntimeFiber<Exit.Exit<string, unknown>>
}

/** Runs the steps against the service, with real fibers, and against the oracle, and compares after each. */
const compare = (
  options: CircuitBreaker.PolicyOptions,
  steps: ReadonlyArray<typeof step extends fc.Arbitrary<infer S> ? S : never>
) =>
  Effect.gen(function* () {
    const clock = yield* Effect.map(Effect.clock, (clock) => clock as ManualClock)
    const terms = termsOf(yield* parsePolicy(options))
    const oracle = new Oracle(terms.rules, [200 * ms])
    let calls: Array<InFlight> = []

    const timedOut = (at: number) => {
      for (const { id, since } of calls.filter(({ since }) => at - since >= terms.timeoutMillis * ms)) {
        oracle.settle(id, "failure", terms.timeoutMillis * ms, since + terms.timeoutMillis * ms)
      }
      calls = calls.filter(({ since }) => at - since < terms.timeoutMillis * ms)
    }

    for (const [id, step] of steps.entries()) {
      switch (step.do) {
        case "call": {
          const end = yield* Deferred.make<string, string>()
          const started = yield* Deferred.make<void>()
          const fiber = yield* Deferred.succeed(started, undefined).pipe(
            Effect.zipRight(Deferred.await(end)),
            CircuitBreaker.execute(options),
            Effect.exit,
            Effect.fork
          )
          yield* settled
          const expected = oracle.acquire(id, clock.micros)
          expect(yield* Deferred.isDone(started)).toBe(expected.admitted)
          if (expected.admitted) {
            calls.push({ id, since: clock.micros, end, fiber })
          } else {
            const exit = yield* Fiber.join(fiber)
            const { retryAfter, state } = expected
            expect(Exit.isFailure(exit) && exit.cause).toMatchObject({
              error: { _tag: "CircuitOpen", state, retryAfter: Duration.millis(Math.ceil(retryAfter / ms)) }
            })
          }
          break
        }
        case "end": {
          const call = calls[step.which % Math.max(1, calls.length)]
          if (call === undefined) break
          calls = calls.filter((other) => other !== call)
          const elapsed = clock.micros - call.since
          const { end, fiber } = call
          if (step.how === "succeed") yield* Deferred.succeed(end, "up")
          else if (step.how === "fail") yield* Deferred.fail(end, "down")
          else if (step.how === "die") yield* Deferred.die(end, "broken")
          else if (step.how === "interrupt") yield* Fiber.interrupt(fiber)
          else yield* Deferred.interrupt(end)
          yield* settled
          expect(fiber.unsafePoll()).not.toBe(null)
          const outcome =
            step.how === "succeed" ? "success" : step.how === "fail" || step.how === "die" ? "failure" : "ignore"
          oracle.settle(call.id, outcome, elapsed, clock.micros)
          break
        }
        case "wait":
          clock.wallMillis += step.jump
          // In the steps of the timers, so that each timeout happens at its own time.
          for (let left = step.millis; left > 0; left--) {
            clock.move(ms)
            if (calls.some(({ since }) => clock.micros - since >= terms.timeoutMillis * ms)) {
              yield* settled
              timedOut(clock.micros)
            }
          }
          break
        default: {
          yield* CircuitBreaker[step.do]("default")
          oracle[step.do]()
        }
      }
      const { retryAfter, state } = yield* CircuitBreaker.status("default")
      oracle.look(clock.micros)
      expect(state).toBe(oracle.state)
      expect(Duration.isFinite(retryAfter)).toBe(true)
    }
    yield* Effect.forEach(calls, ({ fiber }) => Fiber.interrupt(fiber))
  }).pipe(Effect.provide(Layer.provide(CircuitBreaker.layer, Telemetry.layer)), Effect.withClock(new ManualClock()))

it.live("calls through the service do what a circuit does that keeps its whole history", () =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(options, fc.array(step, { minLength: 5, maxLength: 40 }), (options, steps) =>
        Effect.runPromise(compare(options, steps))
      ),
      { numRuns: 150 }
    )
  )
)
