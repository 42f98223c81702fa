import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { ConfigError } from "../../FoundationError.js"
import { durationOf } from "../durationText.js"

/** Past it a timer of JavaScript would fire at once. */
const longest = 2 ** 31 - 1

/** A duration that a timer can count; `path` names the option in the error. */
export const acceptDuration = (path: string, value: unknown): Duration.Duration | ConfigError =>
  Option.getOrElse(
    Option.filter(durationOf(value), (duration) => {
      const millis = Duration.toMillis(duration)
      return millis >= 1 && millis <= longest
    }),
    () => invalidOption(path, 'must be a duration from 1 millisecond to 24 days, such as "5 seconds"')
  )

export const invalidOption = (path: string, problem: string): ConfigError =>
  new ConfigError({ reason: "invalid_value", path, message: `${path} ${problem}` })
