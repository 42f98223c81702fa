import * as Duration from "effect/Duration"

/** The longest wait that a header states: nobody waits longer for an answer, and integers of headers have 15 digits. */
const most = 366 * 24 * 60 * 60

/** Whole seconds, rounded up, so that who comes then is not too early; headers know no smaller unit. */
export const wholeSeconds = (duration: Duration.Duration): number =>
  Math.min(most, Math.ceil(Duration.toMillis(duration) / 1000))

/** As `Retry-After` states it: at least 1, since 0 would invite to try again at once. */
export const retryAfterSeconds = (retryAfter: Duration.Duration): number => Math.max(1, wholeSeconds(retryAfter))
