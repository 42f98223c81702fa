import { Clock, Duration, Effect } from "effect"

/** A clock that a test moves in one synchronous step: for models of many thousand steps. Its wall time goes its own ways. */
export class ManualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  micros = 1_000_000_000
  wallMillis = 1_763_791_000_000
  reads = 0
  private sleepers: Array<{ readonly until: number; readonly wake: () => void }> = []

  unsafeCurrentTimeMillis() {
    return this.wallMillis
  }
  unsafeCurrentTimeNanos() {
    this.reads++
    return BigInt(this.micros) * 1000n
  }
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const sleeper = { until: this.micros + Duration.toMillis(duration) * 1000, wake: () => resume(Effect.void) }
      this.sleepers.push(sleeper)
      return Effect.sync(() => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
      })
    })
  }

  advance(micros: number): void {
    this.micros += micros
    const due = this.sleepers.filter(({ until }) => until <= this.micros)
    this.sleepers = this.sleepers.filter(({ until }) => until > this.micros)
    for (const { wake } of due) wake()
  }
}

/** Lets all fibers go on until they wait. */
export const settled = Effect.repeatN(Effect.yieldNow(), 20)
