import { StoreUnavailable } from "../../FoundationError.js"
import { hotError } from "../../internal/hotError.js"

/** The error of what takes Redis, which gives no answer. */
export const unavailable = (name: string, problem: string, correlationId: string): StoreUnavailable =>
  hotError(
    StoreUnavailable,
    "store_unavailable",
    {
      message: `Circuit ${JSON.stringify(name)} is shared through Redis, which cannot be asked now: ${problem}`,
      component: "circuit_breaker",
      context: { circuit: name }
    },
    correlationId
  )
