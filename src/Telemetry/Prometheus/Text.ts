import type { Format } from "./Family.js"

/** A number as a sample has it. */
export const numberText = (value: number | bigint): string => {
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  if (value === Number.NEGATIVE_INFINITY) return "-Inf"
  return String(value)
}

/**
 * A number as the labels `le` and `quantile` have it. They are text to Prometheus, so one number must always be the same
 * text: that of Go's `%g`, and in OpenMetrics with a decimal point or an exponent (OpenMetrics 1.0.0, "Considerations:
 * Canonical Numbers").
 */
export const canonicalNumber = (value: number, format: Format): string => {
  // A program has few bounds, and each of its histograms has them all.
  const known = canonical[format].get(value)
  if (known !== undefined) return known
  const text = canonicalText(value, format)
  if (canonical[format].size < maxCanonical) canonical[format].set(value, text)
  return text
}

/** How many numbers' texts are remembered. */
const maxCanonical = 4096

const canonical: Readonly<Record<Format, Map<number, string>>> = { text: new Map(), openmetrics: new Map() }

const canonicalText = (value: number, format: Format): string => {
  if (!Number.isFinite(value)) return numberText(value)
  if (value === 0) return format === "openmetrics" ? "0.0" : "0"
  const [mantissa = "", power = ""] = value.toExponential().split("e")
  const exponent = Number(power)
  if (exponent >= -4 && exponent < 6) {
    const text = String(value)
    return format === "openmetrics" && !text.includes(".") ? `${text}.0` : text
  }
  const digits = String(Math.abs(exponent)).padStart(2, "0")
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${digits}`
}

const needsEscape = /[\\"\n]|[\ud800-\udfff]/
const loneSurrogate = /[\ud800-\udfff]/gu

/** What an encoder would make of text that is not Unicode; done here, so that equal series are seen to be equal. */
const wellFormed = (text: string): string => text.replace(loneSurrogate, "\ufffd")

/** The value of a label, between its quotes. */
export const labelValue = (text: string): string =>
  needsEscape.test(text)
    ? wellFormed(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
    : text

/** The text of HELP: the quote is escaped in OpenMetrics only. */
export const helpText = (text: string, format: Format): string => {
  const escaped = wellFormed(text).replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
  return format === "openmetrics" ? escaped.replaceAll('"', '\\"') : escaped
}
