import * as Effect from "effect/Effect"

/** To the end of this turn of the event loop. `Effect.yieldNow` stays within it, and lets no I/O through. */
export const turn: Effect.Effect<void> = Effect.async((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})
