import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import type * as Fiber from "effect/Fiber"

/** The clock of a program that was given no other. */
export const liveClock: Clock.Clock = Context.get(DefaultServices.liveServices, Clock.Clock)

/** Where the live clock counts from: another clock of its kind agrees with it. */
const origin = Number(liveClock.unsafeCurrentTimeNanos() / 1000n) - performance.now() * 1000

/**
 * Elapsed time, in whole microseconds, from the `Clock` of the fiber. The live clock takes it from a source that a jump
 * of the wall clock does not move; `TestClock` moves it with the rest. Whole numbers below 2^53, so that sums and
 * differences are exact: only differences have a meaning.
 */
export const monotonicMicros = (clock: Clock.Clock): number =>
  // The live clock's own source without its bigints, of which there are four: 0.02 µs in place of 0.27.
  clock === liveClock ? Math.floor(origin + performance.now() * 1000) : Number(clock.unsafeCurrentTimeNanos() / 1000n)

/** The clock of the fiber, read without an effect. Every fiber has one: to look for it first, as `Context.get` does, is 0.05 µs. */
export const clockOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Clock.Clock =>
  fiber.currentDefaultServices.unsafeMap.get(Clock.Clock.key)

/** Whole microseconds, rounded up: a wait of that length is never shorter than the duration. */
export const toMicros = (duration: Duration.DurationInput): number => Math.ceil(Duration.toMillis(duration) * 1000)

/** So many microseconds in milliseconds, rounded up, since timers count whole milliseconds. */
export const millisOf = (micros: number): number => Math.max(0, Math.ceil(micros / 1000))

/** As `millisOf`, as a duration. */
export const waitOf = (micros: number): Duration.Duration => Duration.millis(millisOf(micros))
