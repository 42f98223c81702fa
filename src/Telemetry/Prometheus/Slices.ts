import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { clockOf, monotonicMicros } from "../../internal/monotonic.js"
import { turn } from "../../internal/turn.js"
import type { Step } from "./Render.js"

/** How much work there is between two turns of the event loop, where writing one number is 1: it takes 1 µs once warm. */
export const sliceCost = 200

/** How much text a slice may have, in UTF-16 units: what labels are long, not many. */
export const sliceText = 64 * 1024

/**
 * How long a slice may take, in milliseconds: the work that takes 0.2 when the code is warm takes 7 before it is compiled,
 * and the garbage collector may come between.
 */
export const sliceTime = 2

/** How much work there is between two looks at the clock, of which one takes less than 1 µs. */
const lookCost = 10

/**
 * The next slice: the text of the steps until the work, the text or the time is enough, by a clock in milliseconds; the step
 * that makes it enough is in it. At the end, nothing.
 */
export const nextSlice = (steps: Iterator<Step, void>, now: () => number = () => 0): string | undefined => {
  const until = now() + sliceTime
  let text = ""
  let cost = 0
  let look = lookCost
  while (cost < sliceCost && text.length < sliceText) {
    if (cost >= look) {
      if (now() >= until) return text
      look = cost + lookCost
    }
    const step = steps.next()
    if (step.done === true) return cost === 0 ? undefined : text
    text += step.value.text
    cost += step.value.cost
  }
  return text
}

/** The text of the steps, a slice in each turn of the event loop. What is not asked for is not made. */
export const streamOf = (steps: () => Iterator<Step, void>): Stream.Stream<string> =>
  Stream.suspend(() => {
    const iterator = steps()
    const slice = Effect.withFiberRuntime<string, Option.Option<never>>((fiber) => {
      const clock = clockOf(fiber)
      const text = nextSlice(iterator, () => monotonicMicros(clock) / 1000)
      return text === undefined ? Effect.fail(Option.none<never>()) : Effect.succeed(text)
    })
    // First the turn: of several that are asked for at a time, none begins in the turn of another.
    return Stream.repeatEffectOption(Effect.zipRight(turn, slice)).pipe(Stream.filter((text) => text !== ""))
  })
