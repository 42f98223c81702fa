import { Clock, Duration, Effect } from "effect"

/**
 * A clock that moves only when told to, and whose wall time can jump. Models move it thousands of times: TestClock waits
 * some real milliseconds each time for fibers to suspend, this only yields.
 */
export class ManualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  private micros = 0
  private wallOffset = 0
  private sleepers: Array<{ readonly at: number; readonly wake: () => void }> = []

  unsafeCurrentTimeMillis(): number {
    return this.micros / 1000 + this.wallOffset
  }
  unsafeCurrentTimeNanos(): bigint {
    return BigInt(this.micros) * 1000n
  }
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  scheduler(): Effect.Effect<Clock.ClockScheduler> {
    return Effect.dieMessage("nothing here schedules without sleeping")
  }

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    // As the live clock, whose timers count no further.
    if (Duration.toMillis(duration) > 2 ** 31 - 1) return Effect.never
    return Effect.async<void>((resume) => {
      const sleeper = { at: this.micros + Duration.toMillis(duration) * 1000, wake: () => resume(Effect.void) }
      this.sleepers.push(sleeper)
      return Effect.sync(() => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
      })
    })
  }

  /** Moves on by so many milliseconds, and wakes each sleeper in its moment: those of one moment, the latest first. */
  advance(millis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const end = this.micros + millis * 1000
      const step = (): Effect.Effect<void> => {
        const next = Math.min(end, ...this.sleepers.map(({ at }) => at))
        this.micros = Math.max(this.micros, next)
        const due = this.sleepers.filter(({ at }) => at <= this.micros)
        this.sleepers = this.sleepers.filter(({ at }) => at > this.micros)
        for (const { wake } of due.reverse()) wake()
        return Effect.zipRight(settled, due.length === 0 ? Effect.void : Effect.suspend(step))
      }
      return step()
    })
  }

  /** What somebody does who sets the clock of the machine. */
  jump(millis: number): Effect.Effect<void> {
    return Effect.sync(() => {
      this.wallOffset += millis
    })
  }
}

/** Lets the other fibers come as far as they can without time. */
export const settled = Effect.repeatN(Effect.yieldNow(), 40)
