/** What all workers share: the limit on calls to the provider, and the circuit before it. */
export const limit = { name: "provider", maxRequests: 60, interval: "1 second" } as const
export const circuit = { name: "provider", maxFailures: 5, resetTimeout: "700 millis", timeout: "5 seconds" } as const

/** How often each worker wants to call: four of them together, far more often than the limit lets them. */
export const pause = "20 millis"

/** What became of a call: the limit or the circuit stopped it, or it went out. */
export type End = "limited" | "rejected" | "failed" | "ok"

/** Times are milliseconds of this machine's clock, which all processes read. */
export type Said =
  /** The limit was asked about a call, and has let it through, somewhere between the two times. */
  | { readonly said: "admitted"; readonly asked: number; readonly answered: number }
  | { readonly said: "ended"; readonly end: End }
  | { readonly said: "changed"; readonly to: string; readonly at: number }
