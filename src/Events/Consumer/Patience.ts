import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { EventError } from "../../FoundationError.js"
import { type Pace, waitAfter } from "../../Retry/Pace.js"
import type { Telemetry } from "../../Telemetry.js"

/** How a consumer waits for a store that is not available: from 0.1 s up to 5 s, half of it random. */
const pace: Pace = { base: 100, factor: 2, maxDelay: 5000, jitter: 0.5 }

/** How a consumer gets over a store that is not available, or full, for a while. */
export interface Patience {
  /** Tries the effect again until the store answers. */
  readonly through: <A, R>(effect: Effect.Effect<A, EventError, R>) => Effect.Effect<A, EventError, R>
  /** Tells of a failure, the n-th in a row from 0, and waits before the next attempt, for so many milliseconds at most. */
  readonly wait: (error: EventError, failures: number, atMost?: number) => Effect.Effect<void>
}

export const patienceOf = (telemetry: Telemetry.Service, name: string): Patience => {
  const wait: Patience["wait"] = (error, failures, atMost = Number.POSITIVE_INFINITY) =>
    Effect.flatMap(Random.next, (random) => {
      const delay = Math.min(waitAfter(pace, failures, 0, random), atMost)
      telemetry.emit("events.consumer.unavailable", { count: 1, delay }, { name, reason: error.reason })
      return Effect.sleep(Duration.millis(delay))
    })
  const through: Patience["through"] = (effect) => {
    const attempt = (failures: number): typeof effect =>
      Effect.catchAll(effect, (error) =>
        passes(error) ? Effect.zipRight(wait(error, failures), attempt(failures + 1)) : Effect.fail(error)
      )
    return attempt(0)
  }
  return { through, wait }
}

/** Whether the failure is one of the store, which may be over later. */
export const passes = ({ reason }: EventError): boolean => reason === "storage_unavailable" || reason === "storage_full"
