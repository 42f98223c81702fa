/**
 * The policies that something outside of the code states by name, live: what they state wins over the options in code.
 * Both reads are synchronous, so that a call may look without leaving its step.
 */
export interface NamedPolicies<P> {
  /** Another value after any change: while it is the same, an earlier answer of `get` still holds. */
  readonly revision: () => unknown
  /** What is stated for the name, or nothing. */
  readonly get: (name: string) => P | undefined
}

/** States nothing. */
export const noPolicies: NamedPolicies<never> = { revision: () => undefined, get: () => undefined }
