import * as Effect from "effect/Effect"
import { type Condition, degraded, down, up } from "../Foundation/Health/Condition.js"
import type { Redis } from "../Redis.js"

/** How long Redis has for an answer, in milliseconds: longer than a call waits, which is not to say that all is lost. */
const patience = 500

/** How what is on Redis fares: by whether that answers, and by what becomes of calls where it does not. */
export const reachable = (
  redis: Redis.Service,
  onUnavailable: "allow" | "fail" | "local" = "local"
): Effect.Effect<Condition> =>
  Effect.match(redis.ping(patience), {
    onSuccess: () => up,
    onFailure: () => {
      const status = redis.unsafeStatus()
      const problem = `Redis does not answer${status.available ? "" : `: ${status.problem}`}`
      if (onUnavailable === "fail") return down(`${problem}. Calls fail`)
      return degraded(
        onUnavailable === "allow" ? `${problem}. All calls are let through` : `${problem}. This process decides alone`
      )
    }
  })
