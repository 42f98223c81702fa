import * as Effect from "effect/Effect"

/** Whoever waits for a turn, in line. */
const waiting = new Set<() => void>()

let isCalled = false

const call = (): void => {
  if (isCalled || waiting.size === 0) return
  isCalled = true
  setImmediate(next)
}

const next = (): void => {
  isCalled = false
  const [resume] = waiting
  if (resume === undefined) return
  waiting.delete(resume)
  // Whoever is called from within a turn comes in the one after it, and I/O in between.
  call()
  resume()
}

/**
 * To the end of this turn of the event loop, and of the line: one goes on in each turn, so that however many do long work
 * in slices, a turn is no longer than one of these. `Effect.yieldNow` stays within the turn, and lets no I/O through.
 */
export const turn: Effect.Effect<void> = Effect.async((resume) => {
  const mine = () => resume(Effect.void)
  waiting.add(mine)
  call()
  return Effect.sync(() => void waiting.delete(mine))
})
