import { describe, expect, it } from "@effect/vitest"
import { Duration, Option, Schema } from "effect"
import { DurationText, parseDuration } from "../../src/internal/durationText.js"

const millis = (input: unknown) => Option.map(parseDuration(input), Duration.toMillis)

describe("a duration that a person wrote", () => {
  it.each([
    [250, 250],
    ["250", 250],
    ["250ms", 250],
    ["250 millis", 250],
    ["1.5 seconds", 1500],
    ["10s", 10_000],
    ["1 minute", 60_000],
    ["2min", 120_000],
    [" 1 hour ", 3_600_000],
    ["1d", 86_400_000],
    ["infinity", Number.POSITIVE_INFINITY],
    [Duration.seconds(3), 3000]
  ])("%s is read", (input, expected) => {
    expect(millis(input)).toEqual(Option.some(expected))
  })

  it.each(["", "soon", "-5 seconds", "5 parsecs", "1 minute and a bit", -1, Number.NaN, null, {}, true])(
    "%s is refused",
    (input) => {
      expect(millis(input)).toEqual(Option.none())
    }
  )

  it("comes back from its encoding", () => {
    for (const duration of [Duration.zero, Duration.seconds(90), Duration.infinity]) {
      expect(Schema.decodeSync(DurationText)(Schema.encodeSync(DurationText)(duration))).toEqual(duration)
    }
  })
})
