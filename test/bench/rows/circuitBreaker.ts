import { ConsecutiveBreaker, circuitBreaker, handleAll, TimeoutStrategy, timeout, wrap } from "cockatiel"
import { Duration, Effect, Layer } from "effect"
import { CircuitBreaker, Telemetry } from "effect-foundation"
import * as Effect4 from "effect4/Effect"
import * as CircuitBreaker4 from "effect4/persistence/CircuitBreaker"
import * as Scope4 from "effect4/Scope"
import Opossum from "opossum"
import { reasonOf, refused } from "../Refused.js"
import { inRuntime, type Row } from "../Row.js"

/** Work that goes on in a later step, as an answer from elsewhere does. */
const later = Effect.async<string>((resume) => queueMicrotask(() => resume(done)))
const done = Effect.succeed("done")

/** The same for those that know promises. */
const laterBare = () => new Promise<string>((resolve) => queueMicrotask(() => resolve("done")))

const isDone = (result: unknown) => result === "done"
const isRejection = (result: unknown) => reasonOf(result) instanceof Error

/** So many runs in one fiber of Effect 4. */
const inTurn4 = (work: Effect4.Effect<unknown, unknown>) => (runs: number) =>
  Effect4.runPromise(
    Effect4.gen(function* () {
      let last: unknown
      for (let run = 0; run < runs; run++) last = yield* work
      return last
    })
  )

const breaker4 = Effect.acquireRelease(
  Effect.sync(() => {
    const scope = Scope4.makeUnsafe()
    const breaker = CircuitBreaker4.make({ tripPolicy: CircuitBreaker4.consecutive(5), openDuration: "1 hour" }).pipe(
      Scope4.provide(scope),
      Effect4.provide(CircuitBreaker4.layerStoreMemory()),
      Effect4.runSync
    )
    return { breaker, scope }
  }),
  ({ scope }) => Effect.sync(() => Effect4.runSync(Scope4.close(scope, Effect4.runSync(Effect4.exit(Effect4.void)))))
)

const opossum = (options: Opossum.Options, action: () => Promise<string> | string) =>
  Effect.acquireRelease(
    Effect.sync(() => new Opossum(async () => action(), { resetTimeout: 3_600_000, ...options })),
    (breaker) => Effect.sync(() => breaker.shutdown())
  )

const fire = (breaker: Opossum<Array<unknown>, string>) => ({
  effect: Effect.tryPromise({ try: () => breaker.fire(), catch: refused }),
  bare: () => breaker.fire()
})

const cockatiel = () => circuitBreaker(handleAll, { halfOpenAfter: 3_600_000, breaker: new ConsecutiveBreaker(5) })

/** Calls through circuits in this process. */
export const rows = Effect.gen(function* () {
  const runtime = yield* Layer.toRuntime(Layer.provide(CircuitBreaker.layer, Telemetry.layer))
  const opens = { maxFailures: 5, resetTimeout: "1 hour" } as const
  const endless = { ...opens, timeout: Duration.infinity }
  const bounded = { ...opens, timeout: "5 seconds" } as const

  const { breaker: four } = yield* breaker4
  const rejects = { name: "rejects", ...endless }
  const closed4 = four.execute(Effect4.succeed("done"), { key: "closed" })
  const rejects4 = four.execute(Effect4.succeed("done"), { key: "rejects" })
  for (let failure = 0; failure < 5; failure++) {
    yield* Effect.provide(Effect.exit(CircuitBreaker.execute(Effect.fail("no answer"), rejects)), runtime)
    Effect4.runSyncExit(four.execute(Effect4.fail("no answer"), { key: "rejects" }))
  }
  const opossumClosed = fire(yield* opossum({ timeout: false }, () => "done"))
  const opossumBounded = fire(yield* opossum({ timeout: 5000 }, laterBare))
  const opened = yield* opossum({ timeout: false }, () => "done")
  opened.open()
  const opossumOpen = fire(opened)

  const cockatielClosed = cockatiel()
  const cockatielBounded = wrap(cockatiel(), timeout(5000, TimeoutStrategy.Aggressive))
  const cockatielOpen = cockatiel()
  const isolated = cockatielOpen.isolate()
  yield* Effect.addFinalizer(() => Effect.sync(() => isolated.dispose()))
  const through = (
    policy: { execute: (work: () => string | Promise<string>) => Promise<string> },
    work: typeof laterBare | (() => string)
  ) => ({
    effect: Effect.tryPromise({ try: () => policy.execute(work), catch: refused }),
    bare: () => policy.execute(work)
  })

  const closed: Row<CircuitBreaker> = {
    work: "circuit closed, no timeout",
    about: "Runs an effect that ends at once through a closed circuit.",
    ours: {
      name: "CircuitBreaker",
      effect: CircuitBreaker.execute(done, { name: "closed", ...endless }),
      gives: isDone
    },
    peers: [
      {
        name: "Effect 4 CircuitBreaker",
        sample: inTurn4(closed4),
        gives: isDone,
        atMost: 0.2
      },
      { name: "opossum", ...opossumClosed, gives: isDone, atMost: 0.5 },
      { name: "cockatiel", ...through(cockatielClosed, () => "done"), gives: isDone }
    ]
  }

  const suspends: Row<CircuitBreaker> = {
    work: "circuit closed, timeout, effect suspends",
    about: "Runs an effect that ends in a later step through a closed circuit, with a timeout of 5 seconds.",
    ours: {
      name: "CircuitBreaker",
      effect: CircuitBreaker.execute(later, { name: "bounded", ...bounded }),
      gives: isDone
    },
    peers: [
      { name: "Effect.timeout, no circuit", effect: Effect.timeout(later, "5 seconds"), gives: isDone, atMost: 0.4 },
      { name: "cockatiel, breaker and timeout", ...through(cockatielBounded, laterBare), gives: isDone, atMost: 0.7 },
      { name: "opossum with its timeout", ...opossumBounded, gives: isDone }
    ]
  }

  const open: Row<CircuitBreaker> = {
    work: "circuit open, rejection",
    about: "Rejects a call: the circuit is open.",
    ours: { name: "CircuitBreaker", effect: Effect.flip(CircuitBreaker.execute(done, rejects)), gives: isRejection },
    peers: [
      {
        name: "Effect 4 CircuitBreaker",
        sample: inTurn4(Effect4.flip(rejects4)),
        gives: isRejection,
        atMost: 0.15
      },
      {
        name: "opossum",
        effect: Effect.flip(opossumOpen.effect),
        bare: () => opossumOpen.bare().catch((error: unknown) => error),
        gives: isRejection,
        atMost: 0.5
      },
      {
        name: "cockatiel",
        effect: Effect.flip(through(cockatielOpen, () => "done").effect),
        bare: () =>
          through(cockatielOpen, () => "done")
            .bare()
            .catch((error: unknown) => error),
        gives: isRejection
      }
    ]
  }

  return inRuntime(runtime, [closed, suspends, open])
})
