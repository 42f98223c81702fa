import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import { toMicros } from "../internal/monotonic.js"
import type { Delays } from "./Circuit.js"
import { bounds, defaults, isSchedule, type Policy } from "./Policy.js"

/** How long the openings under this policy last. */
export const delaysOf = ({ resetTimeout }: Policy): Delays =>
  isSchedule(resetTimeout) ? new ScheduledDelays(resetTimeout) : new FixedDelay(toMicros(resetTimeout))

class FixedDelay implements Delays {
  constructor(readonly last: number) {}
  next(): number {
    return this.last
  }
  reset(): void {}
}

const longest = toMicros(bounds.resetTimeout)
/** A schedule that asks for no delay (as `Schedule.recurs` does) gets this: an opening that lasts no time is none. */
const shortest = 1000

/** Where a schedule has not said anything yet. */
const expected = isSchedule(defaults.resetTimeout) ? longest : toMicros(defaults.resetTimeout)

/**
 * Each opening is one step of the schedule. Its last delay stays when it has ended, and when a step fails or does not
 * answer at once. Time is monotonic for it too: a jump of the wall clock changes no delay.
 */
class ScheduledDelays implements Delays {
  last = expected
  private state: unknown

  constructor(private readonly schedule: Schedule.Schedule<unknown>) {
    this.state = schedule.initial
  }

  next(now: number): number {
    const millis = Math.floor(now / 1000)
    const step = Effect.suspend(() => this.schedule.step(millis, undefined, this.state))
    const exit = Runtime.runSyncExit(currentRuntime())(step)
    if (Exit.isFailure(exit)) return this.last
    const [state, , decision] = exit.value
    this.state = state
    if (ScheduleDecision.isContinue(decision)) {
      const delay = toMicros(Duration.millis(ScheduleIntervals.start(decision.intervals) - millis))
      this.last = Math.min(longest, Math.max(shortest, delay))
    }
    return this.last
  }

  reset(): void {
    this.state = this.schedule.initial
    this.last = expected
  }
}

/** That of the call which opened the circuit: a jittered schedule takes its random numbers from there. */
const currentRuntime = (): Runtime.Runtime<never> =>
  Option.match(Fiber.getCurrentFiber(), {
    onNone: () => Runtime.defaultRuntime,
    onSome: (fiber) =>
      Runtime.make({
        context: fiber.currentContext,
        fiberRefs: fiber.getFiberRefs(),
        runtimeFlags: Runtime.defaultRuntimeFlags
      })
  })
