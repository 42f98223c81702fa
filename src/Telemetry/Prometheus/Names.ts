import type { Family, Kind, Label } from "./Family.js"
import { labelValue } from "./Text.js"

interface Unit {
  /** The base unit, in which Prometheus wants every value: "Metric and label naming", "Base units". */
  readonly base: string
  /** What a value is divided by. */
  readonly per: number
  /** The unit in words, which a name may end with. */
  readonly words: ReadonlyArray<string>
}

const unit = (base: string, per: number, ...words: ReadonlyArray<string>): Unit => ({ base, per, words })

/** By their names in UCUM and in words. A value is divided, never multiplied by a fraction, which would not be exact. */
const units: ReadonlyMap<string, Unit> = new Map(
  Object.entries({
    ns: unit("seconds", 1e9, "nanoseconds", "nanos"),
    us: unit("seconds", 1e6, "microseconds", "micros"),
    ms: unit("seconds", 1e3, "milliseconds", "millis"),
    s: unit("seconds", 1, "seconds"),
    min: unit("seconds", 1 / 60, "minutes"),
    h: unit("seconds", 1 / 3600, "hours"),
    d: unit("seconds", 1 / 86_400, "days"),
    By: unit("bytes", 1, "bytes"),
    KBy: unit("bytes", 1e-3, "kilobytes"),
    MBy: unit("bytes", 1e-6, "megabytes"),
    GBy: unit("bytes", 1e-9, "gigabytes"),
    KiBy: unit("bytes", 1 / 1024, "kibibytes"),
    MiBy: unit("bytes", 1 / 1024 ** 2, "mebibytes"),
    GiBy: unit("bytes", 1 / 1024 ** 3, "gibibytes"),
    "%": unit("ratio", 100, "percent"),
    Cel: unit("celsius", 1, "celsius"),
    m: unit("meters", 1, "meters"),
    V: unit("volts", 1, "volts"),
    A: unit("amperes", 1, "amperes"),
    J: unit("joules", 1, "joules"),
    g: unit("grams", 1, "grams"),
    Hz: unit("hertz", 1, "hertz")
  }).flatMap(([symbol, known]) => [symbol, ...known.words].map((name) => [name, known] as const))
)

/** What is per so much: `By/s` are bytes per second. */
const singular: Readonly<Record<string, string>> = { s: "second", min: "minute", h: "hour", d: "day" }

/** A unit of the program's own that can stand in a name. */
const word = /^[a-z][a-z0-9_]{0,31}$/

interface Suffix {
  readonly text: string
  readonly per: number
  /** What a name may end with already. */
  readonly words: ReadonlyArray<string>
}

const none: Suffix = { text: "", per: 1, words: [] }

const suffixOf = (given: string | undefined, kind: Kind): Suffix => {
  // In braces are notes, not units: `{call}`.
  const plain = given?.replace(/\{[^}]*\}/g, "") ?? ""
  if (plain === "") return none
  if (plain === "1") return kind === "gauge" ? { text: "ratio", per: 1, words: ["ratio"] } : none
  const known = units.get(plain)
  if (known !== undefined) return { text: known.base, per: known.per, words: [plain, ...known.words] }
  const [of = "", per = ""] = plain.split("/")
  const over = singular[per]
  if (over !== undefined && plain === `${of}/${per}`) {
    const counted = suffixOf(of, "counter")
    const text = counted.text === "" ? `per_${over}` : `${counted.text}_per_${over}`
    return { text, per: counted.per, words: [text] }
  }
  return word.test(plain) ? { text: plain, per: 1, words: [plain] } : none
}

/** Whether the text can be told as the unit of a metric. What cannot stays a label. */
export const isUnit = (text: string): boolean =>
  suffixOf(text, "gauge") !== none || text.replace(/\{[^}]*\}/g, "") === ""

/** What a family is called, and what its values are divided by. */
export interface Exposed {
  /** The name of the family in OpenMetrics: a counter's samples have `_total` besides. */
  readonly name: string
  readonly unit: string
  readonly per: number
}

/** The name of the family: of the letters that are allowed, with its unit, in the base unit. */
export const exposedOf = ({ kind, name, unit }: Pick<Family, "kind" | "name" | "unit">): Exposed => {
  const suffix = suffixOf(unit, kind)
  const total = kind === "counter" ? without(metricName(name), "total") : metricName(name)
  const bare = [...suffix.words, suffix.text].reduce(without, total)
  return {
    name: suffix.text === "" ? total : bare === suffix.text ? bare : `${bare}_${suffix.text}`,
    unit: suffix.text,
    per: suffix.per
  }
}

/** The name without the word at its end, unless that is all of it. */
const without = (name: string, end: string): string =>
  end !== "" && name.length > end.length + 1 && name.endsWith(`_${end}`) ? name.slice(0, -end.length - 1) : name

const metricName = (name: string): string => {
  const clean = name.replace(/[^A-Za-z0-9_:]+/g, "_")
  return /^[A-Za-z_:]/.test(clean) ? clean : `_${clean}`
}

const isLabelName = /^(?!__)[A-Za-z_][A-Za-z0-9_]*$/

const labelName = (name: string): string => {
  if (isLabelName.test(name)) return name
  const clean = name.replace(/[^A-Za-z0-9_]/g, "_")
  // Names that begin with two underscores are Prometheus' own.
  return (/^[A-Za-z_]/.test(clean) ? clean : `_${clean}`).replace(/^__+/, "_")
}

/** The labels that say which sample of a series it is. */
const reserved: Readonly<Record<Kind, string | undefined>> = {
  counter: undefined,
  gauge: undefined,
  histogram: "le",
  summary: "quantile"
}

/**
 * The labels as a sample has them, without the braces: sorted, so that a series is the same text in whichever order its
 * labels were given. Labels of one name are joined with `;`, as the OpenTelemetry specification has it ("Prometheus and
 * OpenMetrics compatibility", "Metric attributes"). An empty label is no label to Prometheus, and is left out.
 */
export const labelsText = (labels: ReadonlyArray<Label>, kind: Kind): string => {
  const own = reserved[kind]
  const named: Array<readonly [name: string, value: string, given: string]> = []
  for (const [given, value] of labels) {
    if (value === "") continue
    const name = labelName(given)
    named.push([name === own ? `exported_${name}` : name, labelValue(value), given])
  }
  if (named.length > 1) named.sort(byName)
  let text = ""
  let last: string | undefined
  for (const [name, value] of named) {
    if (name === last) {
      text = `${text.slice(0, -1)};${value}"`
    } else {
      text += `${last === undefined ? "" : ","}${name}="${value}"`
      last = name
    }
  }
  return text
}

const byName = (
  [name, value, given]: readonly [string, string, string],
  [otherName, otherValue, otherGiven]: readonly [string, string, string]
): number => compare(name, otherName) || compare(given, otherGiven) || compare(value, otherValue)

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)
