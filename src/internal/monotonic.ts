import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type * as Fiber from "effect/Fiber"

/**
 * Elapsed time, in whole microseconds, from the `Clock` of the fiber. The live clock takes it from a source that a jump
 * of the wall clock does not move; `TestClock` moves it with the rest. Whole numbers below 2^53, so that sums and
 * differences are exact: only differences have a meaning.
 */
export const monotonicMicros = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos() / 1000n)

/** The clock of the fiber, read without an effect. */
export const clockOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Clock.Clock =>
  Context.unsafeGet(fiber.currentDefaultServices, Clock.Clock)

/** Whole microseconds, rounded up: a wait of that length is never shorter than the duration. */
export const toMicros = (duration: Duration.DurationInput): number => Math.ceil(Duration.toMillis(duration) * 1000)

/** The duration of so many microseconds, in milliseconds rounded up, since timers count whole milliseconds. */
export const waitOf = (micros: number): Duration.Duration => Duration.millis(Math.max(0, Math.ceil(micros / 1000)))
