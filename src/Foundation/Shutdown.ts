import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { anyLength, requireDuration, timedOrNone } from "../internal/acceptDuration.js"
import { type Phase as DrainPhase, Work } from "./Shutdown/Work.js"

export declare namespace Shutdown {
  /**
   * `open` until a shutdown begins; `draining` while those who send work are to notice; `closing` from when no new work is
   * taken.
   */
  type Phase = DrainPhase

  interface Options {
    /**
     * For how long requests are served while readiness is down already, so that load balancers notice: 5 seconds. Longer
     * than they take to look, and to look as often as they do before they believe it.
     */
    readonly delay?: Duration.DurationInput
    /**
     * How long from the beginning of the shutdown, the delay included, until what is still in flight is interrupted: 20
     * seconds. It has a second to end then, and what was launched 2 seconds to close.
     */
    readonly deadline?: Duration.DurationInput
  }

  interface Service {
    readonly phase: () => Phase
    readonly isDraining: () => boolean
    /** How much work is in flight. */
    readonly inFlight: () => number
    /** Answers when a shutdown begins. */
    readonly begun: Effect.Effect<void>
    /** Counts what the fiber does as in flight, until the answer is called. */
    readonly unsafeEnter: (fiber: Fiber.RuntimeFiber<unknown, unknown>) => () => void
    /** Closes the scope when a shutdown begins. */
    readonly announce: (scope: Scope.CloseableScope) => Effect.Effect<void>
  }
}

/** How long interrupted work has to end, and what was announced to be taken back. */
const endWithin = Duration.seconds(1)
const takeBackWithin = Duration.seconds(2)

/** How long what was launched has to close. */
const closeWithin = Duration.seconds(2)

/** Waits at most so long, and answers whether it has ended. What it waits for goes on. */
const within = (fiber: Fiber.RuntimeFiber<unknown, unknown>, duration: Duration.Duration): Effect.Effect<boolean> =>
  Fiber.await(fiber).pipe(Effect.interruptible, Effect.timeoutOption(duration), Effect.map(Option.isSome))

const launch =
  (options: Shutdown.Options = {}) =>
  <A, E, R>(layer: Layer.Layer<A, E, R>): Effect.Effect<never, E, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        // At the start: at the end it would keep the work from being drained.
        const pace = paceOf(options)
        const work = new Work()
        const scope = yield* Scope.make()
        const build = Effect.provideService(Layer.buildWithScope(layer, scope), Shutdown, work)
        const end = yield* Effect.exit(restore(Effect.zipRight(build, Effect.never)))
        if (Exit.isSuccess(end)) return end.value
        // A layer that cannot be built serves nobody. One that is interrupted while it is built may do so already.
        if (Cause.isInterrupted(end.cause)) yield* drain(work, pace)
        const closing = yield* Effect.forkDaemon(Scope.close(scope, end))
        if (!(yield* within(closing, closeWithin))) {
          yield* Effect.logWarning("What was launched does not close, and is left as it is")
        }
        return yield* end
      })
    )

/** How long the delay is, and the rest from then to the deadline. Throws where an option is no duration. */
const paceOf = (options: Shutdown.Options) => {
  const delay = requireDuration("shutdown.delay", options.delay ?? "5 seconds", timedOrNone)
  const deadline = requireDuration("shutdown.deadline", options.deadline ?? "20 seconds", anyLength)
  return { delay, rest: Duration.subtract(deadline, delay) }
}

const drain = (work: Work, { delay, rest }: ReturnType<typeof paceOf>): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* Effect.logInfo(`Shutting down, with ${work.inFlight()} in flight`)
    const takingBack = yield* Effect.forkDaemon(work.begin)
    yield* Effect.all([Effect.sleep(delay), within(takingBack, takeBackWithin)], { concurrency: 2, discard: true })
    work.close()
    if (yield* within(yield* Effect.forkDaemon(work.idle), rest)) return
    yield* Effect.logWarning(`Interrupting what has not ended in time: ${work.inFlight()} in flight`)
    work.interrupt()
    yield* within(yield* Effect.forkDaemon(work.idle), endWithin)
  })

/**
 * Ends a program with care. Readiness goes down first; work that is in flight ends, within a deadline; then what the program
 * has opened is closed, in reverse order.
 *
 * What counts as in flight is what runs in `Shutdown.track`, and requests, with `Http/Shutdown`. A program that has nobody to
 * begin a shutdown is `open` for ever.
 */
export class Shutdown extends Context.Reference<Shutdown>()("effect-foundation/Shutdown", {
  defaultValue: (): Shutdown.Service => new Work()
}) {
  /**
   * Runs what the layer serves until it is interrupted, which `NodeRuntime.runMain` does on SIGTERM and SIGINT. Then
   *
   * 1. `Foundation.health` is not ready, and what was opened by `Shutdown.whileOpen` is closed: registrations. Requests
   *    are served for `delay`, and asked to take another connection next time.
   * 2. What is in flight ends; new requests get 503. At the `deadline` the rest is interrupted.
   * 3. The layer is closed. What does not close is given up after 2 seconds.
   *
   * Dies with ConfigError where an option is no duration, before anything is launched.
   *
   * Then whatever was provided to it is closed by whoever provided it: give it the services that the work needs, and the
   * exporters of telemetry, so that they outlive the work, and so that work which never ends does not keep them from
   * closing.
   *
   * @example
   * import { Foundation, FoundationLive, ServiceRegistry } from "effect-foundation"
   * import { Shutdown } from "effect-foundation/Foundation/Shutdown"
   * import { Effect, Layer } from "effect"
   *
   * const Registration = Layer.scopedDiscard(
   *   Shutdown.whileOpen(ServiceRegistry.register("orders", "http://10.0.0.7:8080"))
   * )
   *
   * const main = Registration.pipe(
   *   Shutdown.launch({ delay: "50 millis", deadline: "1 second" }),
   *   Effect.provide(FoundationLive)
   * )
   *
   * // NodeRuntime.runMain(main), which SIGTERM interrupts, as here the end of the time:
   * Effect.runPromise(Effect.timeoutOption(main, "100 millis"))
   */
  static readonly launch = launch

  /**
   * Counts the effect as in flight: a shutdown waits for it, and interrupts it at the deadline.
   */
  static readonly track = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Shutdown, (shutdown) =>
      Effect.acquireUseRelease(
        Effect.withFiberRuntime<() => void>((fiber) => Effect.succeed(shutdown.unsafeEnter(fiber))),
        () => effect,
        (leave) => Effect.sync(leave)
      )
    )

  /**
   * Runs the effect in a scope that closes when a shutdown begins, or with the scope around it: for what says to others that
   * work can be sent here, such as a registration.
   */
  static readonly whileOpen = <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const shutdown = yield* Shutdown
        const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
        const value = yield* restore(Scope.extend(effect, scope))
        yield* shutdown.announce(scope)
        return value
      })
    )

  /** Waits until a shutdown begins: for loops that are not to begin anything new then. */
  static readonly begun: Effect.Effect<void> = Effect.flatMap(Shutdown, (shutdown) => shutdown.begun)
}
