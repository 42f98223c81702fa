import { Clock, Duration, Effect } from "effect"

/**
 * A clock that moves only when told to, and whose wall time can jump. Models move it thousands of times: TestClock
 * waits some real milliseconds each time for fibers to suspend, this does not.
 */
export class ManualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  micros = 0
  /** What somebody has added to the wall time. */
  wallMillis = 0
  reads = 0
  private sleepers: Array<{ readonly until: number; readonly wake: () => void }> = []

  unsafeCurrentTimeMillis(): number {
    return this.micros / 1000 + this.wallMillis
  }
  unsafeCurrentTimeNanos(): bigint {
    this.reads++
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
      const sleeper = { until: this.micros + Duration.toMillis(duration) * 1000, wake: () => resume(Effect.void) }
      this.sleepers.push(sleeper)
      return Effect.sync(() => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
      })
    })
  }

  /** Moves on in one synchronous step. Those that wake in it run when the caller lets them. */
  move(micros: number): void {
    this.micros += micros
    for (const { wake } of this.takeDue()) wake()
  }

  /** Moves on by so many milliseconds, and wakes each sleeper in its moment: those of one moment, the latest first. */
  advance(millis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const end = this.micros + millis * 1000
      const step = (): Effect.Effect<void> => {
        const next = Math.min(end, ...this.sleepers.map(({ until }) => until))
        this.micros = Math.max(this.micros, next)
        const due = this.takeDue()
        for (const { wake } of due.reverse()) wake()
        return Effect.zipRight(settled, due.length === 0 ? Effect.void : Effect.suspend(step))
      }
      return step()
    })
  }

  /** What somebody does who sets the clock of the machine. */
  jump(millis: number): Effect.Effect<void> {
    return Effect.sync(() => {
      this.wallMillis += millis
    })
  }

  private takeDue() {
    const due = this.sleepers.filter(({ until }) => until <= this.micros)
    this.sleepers = this.sleepers.filter(({ until }) => until > this.micros)
    return due
  }
}

/** Lets the other fibers come as far as they can without time. */
export const settled = Effect.repeatN(Effect.yieldNow(), 40)
