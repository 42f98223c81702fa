import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { parseDuration } from "../internal/durationText.js"
import type { Entry } from "./Entry.js"
import { Problem } from "./Problem.js"
import { reveal, unquotable } from "./Secret.js"
import type { Decoded } from "./Snapshot.js"
import { textToBigint, textToBoolean, textToList, textToNumber } from "./Text.js"

type Primitive = string | number | boolean | bigint

/** What may stand as the default of a read, and says by its type which type the value must have. */
export type Default = Primitive | Duration.Duration | Redacted.Redacted<string> | ReadonlyArray<Primitive>

/** The type that a default stands for: `8080` for any number. */
export type Widened<D> = D extends string
  ? string
  : D extends number
    ? number
    : D extends boolean
      ? boolean
      : D extends bigint
        ? bigint
        : D extends ReadonlyArray<infer Item>
          ? ReadonlyArray<[Item] extends [never] ? string : Widened<Item>>
          : D extends Duration.Duration
            ? Duration.Duration
            : D extends Redacted.Redacted<string>
              ? Redacted.Redacted<string>
              : never

type Scalar = "string" | "number" | "boolean" | "bigint"
/** A type by default, as a name: reads of the same path and type share one. */
export type Kind = Scalar | `list of ${Scalar}s` | "duration" | "secret"

/** The kind that the default stands for; none for a value that cannot be one. An empty list is one of strings. */
export const kindOf = (value: unknown): Kind | undefined => {
  if (typeof value !== "object") return scalarOf(value)
  if (Array.isArray(value)) {
    const item = value.length === 0 ? "string" : scalarOf(value[0])
    return item === undefined ? undefined : `list of ${item}s`
  }
  if (Duration.isDuration(value)) return "duration"
  return Redacted.isRedacted(value) ? "secret" : undefined
}

const scalarOf = (value: unknown): Scalar | undefined => {
  const type = typeof value
  return type === "string" || type === "number" || type === "boolean" || type === "bigint" ? type : undefined
}

/** The value of the entry, as one of this kind. */
export const readAs = (kind: Kind, entry: Entry): Decoded => {
  const hidden = Redacted.isRedacted(entry.value)
  if (kind === "secret" && hidden && typeof Redacted.value(entry.value as Redacted.Redacted<unknown>) === "string") {
    return { value: entry.value }
  }
  const raw = hidden ? reveal(entry.value) : entry.value
  const value = entry.section ? undefined : convert(kind, raw, entry.text)
  if (value !== undefined) return { value }
  const found = entry.section ? "a section" : hidden ? "<redacted>" : describe(raw)
  return new Problem(
    "invalid_value",
    `expected ${expectation[kind] ?? `a ${kind}`}, found ${found}`,
    entry.path,
    entry.source
  )
}

const expectation: { readonly [kind in Kind]?: string } = {
  bigint: "a whole number",
  boolean: "true or false",
  duration: 'a duration, as milliseconds or as text like "5 seconds"',
  secret: "a secret text"
}

const convert = (kind: Kind, raw: unknown, text: boolean): unknown => {
  switch (kind) {
    case "string":
    case "number":
    case "boolean":
    case "bigint":
      return convertScalar(kind, raw, text)
    case "duration":
      // Text in every format: no format has durations of its own. Of a variable, "250" is milliseconds too.
      return Option.getOrUndefined(parseDuration(raw))
    case "secret":
      return typeof raw === "string" ? Redacted.make(raw) : undefined
    default: {
      const items = Array.isArray(raw) ? raw : text && typeof raw === "string" ? textToList(raw) : undefined
      const scalar = kind.slice("list of ".length, -1) as Scalar // what is left of the name of a list
      const out = items?.map((item) => convertScalar(scalar, item, text))
      return out === undefined || out.includes(undefined) ? undefined : Object.freeze(out)
    }
  }
}

const convertScalar = (kind: Scalar, raw: unknown, text: boolean): unknown => {
  // No format but code can state a bigint: a whole number, or its digits, will do.
  if (kind === "bigint") {
    if (typeof raw === "number") return Number.isSafeInteger(raw) ? BigInt(raw) : undefined
    return typeof raw === "string" ? textToBigint(raw) : typeof raw === "bigint" ? raw : undefined
  }
  if (kind === "number" && Number.isNaN(raw)) return undefined
  if (scalarOf(raw) === kind) return raw
  if (!text || typeof raw !== "string") return undefined
  return kind === "number" ? textToNumber(raw) : kind === "boolean" ? textToBoolean(raw) : undefined
}

/** A value for a message: its type, and its beginning where it is short. */
export const describe = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "a list"
  switch (typeof value) {
    case "string":
      if (unquotable(value)) return "a text (not shown, for it looks like a credential)"
      return `the text ${JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value)}`
    case "number":
    case "bigint":
      return `the number ${value}`
    case "boolean":
      return String(value)
    default:
      return "an object"
  }
}
