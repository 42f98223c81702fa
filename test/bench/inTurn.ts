/** The users whose limits are measured. */
export const users = Array.from({ length: 100 }, (_, user) => `user-${user}`)

/** The next of the values at each call, and the first again after the last. */
export const inTurn = <A>(values: ReadonlyArray<A>): (() => A) => {
  let call = 0
  // The remainder is a place in the array.
  return () => values[call++ % values.length] as A
}
