import type { Duration } from "effect"

/** What somebody may give as a duration, in spite of the types, and is none. */
export const noDurations: ReadonlyArray<Duration.DurationInput> = [
  "soon",
  "-1 second",
  "",
  -1,
  Number.NaN,
  {},
  Object.create(null),
  true,
  ["1", "2"]
].map((value) => value as Duration.DurationInput)
