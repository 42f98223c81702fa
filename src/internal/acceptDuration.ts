import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { ConfigError } from "../FoundationError.js"
import { durationOf } from "./durationText.js"

/** What a duration may be, in milliseconds, and how that is said. */
export interface Span {
  readonly least: number
  readonly most: number
  readonly says: string
}

/** What a timer of JavaScript can count: past it, it would fire at once. */
export const timed: Span = {
  least: 1,
  most: 2 ** 31 - 1,
  says: 'must be a duration from 1 millisecond to 24 days, such as "5 seconds"'
}

/** As {@link timed}, or no time at all. */
export const timedOrNone: Span = {
  ...timed,
  least: 0,
  says: 'must be a duration of at most 24 days, such as "5 seconds"'
}

/** For ever, too. */
export const anyLength: Span = {
  least: 0,
  most: Number.POSITIVE_INFINITY,
  says: 'must be a duration, such as "5 seconds" or "infinity"'
}

/** The duration that an option states, or why it is none; `path` names the option in the error. */
export const acceptDuration = (path: string, value: unknown, span: Span = timed): Duration.Duration | ConfigError =>
  Option.getOrElse(
    Option.filter(durationOf(value), (duration) => {
      const millis = Duration.toMillis(duration)
      return millis >= span.least && millis <= span.most
    }),
    () => new ConfigError({ reason: "invalid_value", path, message: `${path} ${span.says}` })
  )

/** As {@link acceptDuration}, for what has no errors: throws what is wrong, which is a defect where an effect does it. */
export const requireDuration = (path: string, value: unknown, span?: Span): Duration.Duration => {
  const accepted = acceptDuration(path, value, span)
  if (accepted instanceof ConfigError) throw accepted
  return accepted
}
