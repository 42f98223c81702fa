import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

const units: Readonly<Record<string, string>> = {
  ns: "nanos",
  us: "micros",
  ms: "millis",
  s: "seconds",
  sec: "seconds",
  m: "minutes",
  min: "minutes",
  h: "hours",
  d: "days",
  w: "weeks"
}

/**
 * The duration that a person wrote: a number of milliseconds (`250`), a number and a unit (`"5 seconds"`, `"1 minute"`,
 * `"250ms"`, `"10s"`), or `"infinity"`. Negative and malformed ones are none.
 */
export const parseDuration = (input: unknown): Option.Option<Duration.Duration> => {
  if (Duration.isDuration(input)) return Option.some(input)
  if (typeof input === "number") {
    if (input === Number.POSITIVE_INFINITY) return Option.some(Duration.infinity)
    return input >= 0 && Number.isFinite(input) ? Option.some(Duration.millis(input)) : Option.none()
  }
  if (typeof input !== "string") return Option.none()
  const text = input.trim()
  if (/^infinity$/i.test(text)) return Option.some(Duration.infinity)
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text)
  if (match === null) return Option.none()
  const [, amount = "", unit = ""] = match
  if (unit === "") return Option.some(Duration.millis(Number(amount)))
  const name = units[unit.toLowerCase()] ?? unit.toLowerCase().replace(/s?$/, "s")
  return Duration.decodeUnknown(`${amount} ${name}`)
}

/** The duration that a value in code states: in the forms of {@link parseDuration}, or in another of `DurationInput`. */
export const durationOf = (value: unknown): Option.Option<Duration.Duration> =>
  typeof value === "number" || typeof value === "string" ? parseDuration(value) : Duration.decodeUnknown(value)

/** A `Duration` from the forms that {@link parseDuration} reads; encoded as milliseconds. */
export const DurationText: Schema.Schema<Duration.Duration, string | number> = Schema.transformOrFail(
  Schema.Union(Schema.String, Schema.Number),
  Schema.DurationFromSelf,
  {
    strict: true,
    decode: (input, _, ast) =>
      Option.match(parseDuration(input), {
        onNone: () =>
          ParseResult.fail(
            new ParseResult.Type(ast, input, 'a duration is written as milliseconds or as text like "5 seconds"')
          ),
        onSome: ParseResult.succeed
      }),
    encode: (duration) => ParseResult.succeed(Duration.isFinite(duration) ? Duration.toMillis(duration) : "infinity")
  }
).annotations({ identifier: "DurationText" })
