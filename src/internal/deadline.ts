import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import { continueCorrelationId } from "../CorrelationId.js"
import { clockOf, liveClock } from "./monotonic.js"

/** What becomes of a call with a deadline. Each runs in the fiber of the caller, which cannot be interrupted there. */
export interface Ends<A, E, A2, E2> {
  /** The work ended by itself, in time. */
  readonly onExit: (exit: Exit.Exit<A, E>) => Effect.Effect<A2, E2>
  /** The time is up; the work is interrupted after this. */
  readonly onTimeout: () => Effect.Effect<A2, E2>
  /** The caller was interrupted, and the work with it: runs when the work has ended. */
  readonly onInterrupt: () => Effect.Effect<void>
}

/**
 * Runs the effect for at most so many milliseconds: `Effect.timeout`, at a fraction of its cost.
 *
 * - The work runs in a fiber of its own, started in this very step: what ends at once meets no timer and no scheduler.
 *   Context, span, log annotations and made correlation id are the caller's, and fiber refs that it sets are the
 *   caller's afterwards, as they are without a deadline.
 * - Past the deadline the work is interrupted. The caller goes on when the work has ended, or after one turn of the event
 *   loop, whichever is first: finalizers that do not wait have run, and work that does not let itself be interrupted
 *   cannot hold the caller; it ends in the background.
 * - Interruption of the caller interrupts the work, and waits for it. Work that goes on past its first step is a child of
 *   the caller: the interruption reaches what is interruptible in it also where the caller is not.
 *
 * To be called in a region that is not interruptible, so that no interruption falls between the start of the work and the
 * wait for it. `flags` are those of the caller outside of the region: the work gets them.
 */
export const within = <A, E, R, A2, E2>(
  caller: Fiber.RuntimeFiber<unknown, unknown>,
  flags: RuntimeFlags.RuntimeFlags,
  effect: Effect.Effect<A, E, R>,
  millis: number,
  ends: Ends<A, E, A2, E2>
): Effect.Effect<A2, E | E2> => {
  const updateRefs = continueCorrelationId(caller)
  const refs = caller.getFiberRefs()
  const work = start(caller, flags, refs, updateRefs, effect)
  const exit = work.unsafePoll()
  if (exit !== null) return ended(work, refs, exit, ends)

  adopt(caller, work)
  let stop: () => void = () => undefined
  const wait = Effect.async<Exit.Exit<A | Failed<E>> | undefined>((resume) => {
    stop = startTimer(caller, refs, millis, () => resume(Exit.succeed(undefined)))
    work.addObserver((exit) => {
      stop()
      resume(Exit.succeed(exit))
    })
  })
  return Effect.matchCauseEffect(RuntimeFlags.interruptible(flags) ? Effect.interruptible(wait) : wait, {
    onSuccess: (exit) => (exit === undefined ? late(caller, work, ends) : ended(work, refs, exit, ends)),
    onFailure: (cause) => {
      stop()
      return Effect.flatMap(Fiber.interruptAs(work, caller.id()), (exit) =>
        Effect.zipRight(ends.onInterrupt(), Effect.failCause(withDefects(cause, exit)))
      )
    }
  })
}

/** `within` as an effect of its own: fails with what `onTimeout` makes. */
export const deadline = <A, E, R, E2>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.DurationInput,
  onTimeout: () => E2
): Effect.Effect<A, E | E2, R> =>
  Effect.withFiberRuntime<A, E | E2, R>((fiber, status) =>
    Effect.uninterruptible(
      Effect.suspend(() =>
        within<A, E, R, A, E | E2>(fiber, status.runtimeFlags, effect, Duration.toMillis(duration), {
          onExit: (exit) => exit,
          onTimeout: () => Effect.fail(onTimeout()),
          onInterrupt: () => Effect.void
        })
      )
    )
  )

/**
 * A failure of the work, carried out of its fiber as a value: a fiber that ends in failure is logged as one with an
 * unhandled error, and this one is handled.
 */
class Failed<E> {
  constructor(readonly cause: Cause.Cause<E>) {}
}

/**
 * How many deadlines may start inside one another in one step. Each is a run loop on the stack of JavaScript, which
 * thousands would overflow; deeper ones start through the scheduler.
 */
const maxNested = 32
let nested = 0

const start = <A, E, R>(
  caller: Fiber.RuntimeFiber<unknown, unknown>,
  flags: RuntimeFlags.RuntimeFlags,
  fiberRefs: FiberRefs.FiberRefs,
  updateRefs: Runtime.RunForkOptions["updateRefs"],
  effect: Effect.Effect<A, E, R>
): Fiber.RuntimeFiber<A | Failed<E>> => {
  const runtime = Runtime.make({
    // The caller runs this effect: its context holds what the effect needs.
    context: caller.currentContext as Context.Context<R>,
    fiberRefs,
    runtimeFlags: flags
  })
  nested++
  try {
    return Runtime.runFork(
      runtime,
      Effect.catchAllCause(effect, (cause) => Effect.succeed(new Failed(cause))),
      {
        immediate: nested <= maxNested,
        updateRefs
      }
    )
  } finally {
    nested--
  }
}

/**
 * Makes the work, which `Runtime.runFork` starts as a root, a child of the caller until it ends: the runtime passes the
 * interruption of a fiber on to its children at once, whether the fiber itself is interruptible or not.
 */
const adopt = (caller: Fiber.RuntimeFiber<unknown, unknown>, work: Fiber.RuntimeFiber<unknown>): void => {
  parentOf(caller).addChild(work)
  work.addObserver(() => parentOf(caller).removeChild(work))
}

/** Every fiber of the runtime has these methods, with which it keeps its own children; the public interface has none. */
const parentOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>) =>
  fiber as unknown as Record<"addChild" | "removeChild", (child: Fiber.RuntimeFiber<unknown>) => void>

const ended = <A, E, A2, E2>(
  work: Fiber.RuntimeFiber<A | Failed<E>>,
  refs: FiberRefs.FiberRefs,
  exit: Exit.Exit<A | Failed<E>>,
  ends: Ends<A, E, A2, E2>
): Effect.Effect<A2, E2> => {
  const own = ownExit(exit)
  return hasChanged(refs, work.getFiberRefs())
    ? Effect.zipRight(
        work.inheritAll,
        Effect.suspend(() => ends.onExit(own))
      )
    : ends.onExit(own)
}

const ownExit = <A, E>(exit: Exit.Exit<A | Failed<E>>): Exit.Exit<A, E> => {
  if (Exit.isFailure(exit)) return Exit.failCause(exit.cause)
  return exit.value instanceof Failed ? Exit.failCause(exit.value.cause) : Exit.succeed(exit.value)
}

/** Most work sets no fiber ref: to see that costs a fifth of joining them. */
const hasChanged = (before: FiberRefs.FiberRefs, after: FiberRefs.FiberRefs): boolean => {
  for (const [ref, stack] of after.locals) {
    // The flags of an ended fiber always differ.
    if (ref === FiberRef.currentRuntimeFlags) continue
    const stackBefore = before.locals.get(ref)
    if (stack[0][1] !== (stackBefore ? stackBefore[0][1] : FiberRefs.getOrDefault(before, ref))) return true
  }
  return false
}

const late = <A, E, A2, E2>(
  caller: Fiber.RuntimeFiber<unknown, unknown>,
  work: Fiber.RuntimeFiber<A | Failed<E>>,
  ends: Ends<A, E, A2, E2>
): Effect.Effect<A2, E2> =>
  Effect.flatMap(Effect.exit(ends.onTimeout()), (end) =>
    Effect.async((resume) => {
      // A fiber waits at its end for its children, and late work may take its time.
      parentOf(caller).removeChild(work)
      // Measures no time, only the turn of the loop: so not by the clock, which a test may have stopped.
      // @effect-diagnostics-next-line globalTimers:off
      const turn = setTimeout(() => resume(end), 0)
      work.addObserver(() => {
        clearTimeout(turn)
        resume(end)
      })
      work.unsafeInterruptAsFork(caller.id())
    })
  )

/** The interruption of the caller, with what went wrong while the work gave way to it. */
const withDefects = (cause: Cause.Cause<never>, exit: Exit.Exit<unknown>): Cause.Cause<never> => {
  const left: Cause.Cause<never> =
    Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause) ? exit.cause : Cause.empty
  return Cause.isEmpty(left) ? cause : Cause.sequential(cause, left)
}

/** Past it a timer of JavaScript would fire at once; the live clock never fires then, and neither does this. */
const maxTimerMillis = 2 ** 31 - 1

/** Calls `fire` after the time by the clock of the fiber. The live clock sleeps by a timer: this sets the same, with no fiber. */
const startTimer = (
  caller: Fiber.RuntimeFiber<unknown, unknown>,
  fiberRefs: FiberRefs.FiberRefs,
  millis: number,
  fire: () => void
): (() => void) => {
  const clock = clockOf(caller)
  if (clock === liveClock) {
    if (millis > maxTimerMillis) return () => undefined
    // @effect-diagnostics-next-line globalTimers:off
    const timer = setTimeout(fire, Math.ceil(millis))
    return () => clearTimeout(timer)
  }
  const runtime = Runtime.make({
    context: caller.currentContext,
    fiberRefs,
    runtimeFlags: Runtime.defaultRuntimeFlags
  })
  const sleeper = Runtime.runFork(runtime, clock.sleep(Duration.millis(millis)))
  sleeper.addObserver((exit) => {
    if (Exit.isSuccess(exit)) fire()
  })
  return () => sleeper.unsafeInterruptAsFork(FiberId.none)
}
