/** What becomes of a batch after an answer of the receiver. */
export type Verdict = "taken" | "refused" | "later"

/** The statuses after which a request is sent again; after any other it must not be (OTLP 1.x, "OTLP/HTTP Response"). */
const retryable: ReadonlySet<number> = new Set([429, 502, 503, 504])

export const verdictOf = (status: number): Verdict => {
  if (status >= 200 && status < 300) return "taken"
  return retryable.has(status) ? "later" : "refused"
}

/** The waits between two tries, in milliseconds, whatever the receiver asks for: the least and the most. */
const [minWait, maxWait] = [100, 30_000]

/** The wait before the next try, in milliseconds: what the receiver asks for, or 1, 2, 4 … seconds. */
export const waitAfter = (failures: number, retryAfter: string | undefined): number => {
  const asked = retryAfter !== undefined && /^\d{1,9}$/.test(retryAfter.trim()) ? Number(retryAfter) * 1000 : undefined
  return Math.min(Math.max(asked ?? 1000 * 2 ** Math.min(failures - 1, 10), minWait), maxWait)
}
