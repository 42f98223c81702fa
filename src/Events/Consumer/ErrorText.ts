import * as Cause from "effect/Cause"
import { jsonSafe, jsonSafeRecord } from "../../internal/jsonSafe.js"

/** How much of an error a dead letter keeps, in characters. */
export const maxErrorText = 2000

/** How many causes inside one another are told. */
const maxCauses = 4

/**
 * What the handler failed with, in words that a store takes: the error and what caused it, bounded, without what looks
 * like a credential. Never throws.
 */
export const errorText = (cause: Cause.Cause<unknown>): string => {
  const parts: Array<string> = []
  try {
    let error: unknown = Cause.squash(cause)
    while (error !== undefined && error !== null && parts.length < maxCauses) {
      parts.push(describe(error).slice(0, 2 * maxErrorText))
      error = error instanceof Error ? error.cause : undefined
    }
  } catch {
    parts.push("<unreadable>")
  }
  const text = withoutSecrets(parts.join(", caused by ")).replace(/\0|\p{Surrogate}/gu, "\uFFFD")
  if (text.length <= maxErrorText) return text === "" ? "no message" : text
  // Not within a pair of surrogates.
  return `${text.slice(0, maxErrorText - 1).replace(/[\uD800-\uDBFF]$/, "")}…`
}

const describe = (error: unknown): string => {
  if (typeof error === "string") return error
  if (!(error instanceof Error)) return JSON.stringify(jsonSafe(error))
  const tag: unknown = Reflect.get(error, "_tag")
  const name = typeof tag === "string" ? tag : error.name
  if (error.message !== "") return `${name}: ${error.message}`
  // A tagged error says what it has to say in its fields.
  const {
    _tag: _,
    cause: __,
    message: ___,
    name: ____,
    stack: _____,
    ...fields
  } = { ...error } as Record<string, unknown>
  return Object.keys(fields).length === 0 ? name : `${name} ${JSON.stringify(jsonSafeRecord(fields))}`
}

const field = /(?:password|passwd|pwd|secret|token|api[-_]?key|account[-_]?key|authorization)\\?["']?\s*[=:]\s*/.source

/** What looks like a credential, wherever it stands in a text. */
const secrets: ReadonlyArray<readonly [RegExp, string]> = [
  [/-----BEGIN[\s\S]*?(-----END[^-]{0,64}-----|$)/g, "<redacted>"],
  [/\b([a-z][a-z0-9+.-]{0,31}:\/\/[^/?#\s:@]*):[^/?#\s]*@/gi, "$1:<redacted>@"],
  [/\b(Bearer|Basic)\s+[\w+/=.~-]+/gi, "$1 <redacted>"],
  [new RegExp(`(${field})(["'])(?:\\\\.|(?!\\2)[^\\\\])*\\2`, "gi"), "$1$2<redacted>$2"],
  [new RegExp(`(${field})\\\\?["']?[^\\s,;&"'<}\\\\]+`, "gi"), "$1<redacted>"],
  [/\b([srp]k[-_]|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA|eyJ)[\w+/=.-]{8,}/g, "<redacted>"]
]

const withoutSecrets = (text: string): string =>
  secrets.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), text)
