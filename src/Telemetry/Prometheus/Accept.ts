import type { Format } from "./Family.js"

export const contentTypes: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
}

/** How much of the header is read, in UTF-16 units. */
const maxLength = 4096

/**
 * The format that the `Accept` header likes best: by weight, and of equal weights the one that is named first. A version that
 * this does not write is as if it were not named. Where nothing fits, the older text, which every scraper reads.
 */
export const negotiate = (accept: string | undefined): Format => {
  let best: Format = "text"
  let bestWeight = 0
  for (const range of (accept ?? "").slice(0, maxLength).split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase())
    const format = formatOf(type, parameterOf(parameters, "version"))
    const weight = weightOf(parameterOf(parameters, "q"))
    if (format !== undefined && weight > bestWeight) {
      best = format
      bestWeight = weight
    }
  }
  return best
}

const formatOf = (type: string, version: string | undefined): Format | undefined => {
  switch (type) {
    case "application/openmetrics-text":
      return version === undefined || version === "1.0.0" ? "openmetrics" : undefined
    case "text/plain":
      return version === undefined || version === "0.0.4" ? "text" : undefined
    case "text/*":
    case "*/*":
      return "text"
    default:
      return undefined
  }
}

const parameterOf = (parameters: ReadonlyArray<string>, name: string): string | undefined => {
  const found = parameters.find((parameter) => parameter.startsWith(`${name}=`))
  return found?.slice(name.length + 1).replace(/^"(.*)"$/, "$1")
}

/** As in RFC 9110, 12.4.2. What is no weight is the least that is still above none. */
const weightOf = (text: string | undefined): number => {
  if (text === undefined) return 1
  return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(text) ? Number(text) : 0.001
}
