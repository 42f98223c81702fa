import type * as Duration from "effect/Duration"
import { requireDuration } from "../../internal/acceptDuration.js"

/** How long all probes together may take: the deadline that is given, or 1 second. Throws where it is none. */
export const deadlineOf = (deadline: Duration.DurationInput = "1 second"): Duration.Duration =>
  requireDuration("health.deadline", deadline)
