import { Refused } from "../internal/json.js"
import type { Expectation } from "./Backend.js"
import { kindOf, nameProblem } from "./Event.js"
import { suggestion } from "./Nearest.js"

/**
 * The version that a stream must be at for an append: exactly so many events (0 as `"none"`), `"none"`, `"exists"`
 * (at least one), or `"any"`, the default, which expects nothing.
 */
export type ExpectedVersion = number | "any" | "none" | "exists"

export interface AppendOptions {
  readonly expectedVersion?: ExpectedVersion
}

/** What the arguments of an append expect, if anything, or which of them is wrong. */
export const decodeExpectation = (
  stream: unknown,
  events: unknown,
  options: unknown
): Expectation | undefined | Refused => {
  const problem = nameProblem(stream)
  if (typeof stream !== "string" || problem !== undefined) return new Refused("stream", problem ?? "is not text")
  if (!Array.isArray(events)) return new Refused("append", "takes a list of events")
  if (typeof options !== "object" || options === null) return new Refused("append", "takes an object of options")
  for (const option of Object.keys(options)) {
    if (option !== "expectedVersion") {
      return new Refused(option, `is no option of append: ${suggestion(option, ["expectedVersion"])}`)
    }
  }
  const version: unknown = "expectedVersion" in options ? options.expectedVersion : "any"
  if (version === "any") return undefined
  if (version === "none" || version === "exists") return { stream, version }
  if (typeof version === "number" && Number.isSafeInteger(version) && version >= 0) return { stream, version }
  const found = typeof version === "string" ? JSON.stringify(version.slice(0, 64)) : kindOf(version)
  return new Refused("expectedVersion", `is ${found}, not a whole number from 0, "any", "none" or "exists"`)
}
