import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { turn } from "../../internal/turn.js"
import type { Step } from "./Render.js"

/**
 * How much work there is between two turns of the event loop, where writing one number is 1: it takes 1 µs once the code is
 * warm, and some 10 before, so that a slice has room to spare below 10 ms.
 */
export const sliceCost = 200

/** How much text a slice may have, in UTF-16 units: what labels are long, not many. */
export const sliceText = 64 * 1024

/** The next slice: the text of the steps until the work or the text is enough. At the end, nothing. */
export const nextSlice = (steps: Iterator<Step, void>): string | undefined => {
  let text = ""
  let cost = 0
  while (cost < sliceCost && text.length < sliceText) {
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
    const slice = Effect.suspend(() => {
      const text = nextSlice(iterator)
      return text === undefined ? Effect.fail(Option.none<never>()) : Effect.succeed(text)
    })
    return Stream.repeatEffectOption(Effect.zipLeft(slice, turn)).pipe(Stream.filter((text) => text !== ""))
  })
