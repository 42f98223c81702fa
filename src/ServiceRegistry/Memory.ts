import * as Effect from "effect/Effect"
import type { Backend } from "./Backend.js"

/** One process alone: its table decides, in one step, so that every claim is granted as far as others are concerned. */
export const make: Effect.Effect<Backend> = Effect.sync(() => {
  let last = 0
  let revision = 1
  const next = Effect.sync(() => ({ token: ++last }))
  return {
    claim: () => next,
    join: () => next,
    update: () => Effect.sync(() => ++revision),
    release: () => Effect.void
  }
})
