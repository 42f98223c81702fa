/** A promise that was rejected, as a value: to make an error of it would cost a peer what is not its own. */
export interface Refused {
  readonly _tag: "Refused"
  readonly reason: unknown
}

export const refused = (reason: unknown): Refused => ({ _tag: "Refused", reason })

/** What a promise was rejected with, in Effect or without. */
export const reasonOf = (result: unknown): unknown =>
  typeof result === "object" && result !== null && "_tag" in result && result._tag === "Refused" && "reason" in result
    ? result.reason
    : result
