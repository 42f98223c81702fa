/**
 * The fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11, in the form that they have since
 * version 08: lists of structured fields (RFC 9651), each item the name of a policy as a string.
 */

/** A policy of a limit. */
export interface PolicyItem {
  readonly name: string
  readonly quota: number
  /** In seconds. */
  readonly window: number
  /** What tells whose quota it is, in base64. */
  readonly partition: string | undefined
}

/** How a limit stands. */
export interface LimitItem {
  readonly name: string
  readonly remaining: number
  /** For how many seconds no more than that can be used (the "effective window"). */
  readonly reset: number
  readonly partition: string | undefined
}

export const policyField = (items: ReadonlyArray<PolicyItem>): string =>
  items.map(({ name, partition, quota, window }) => item(name, { q: quota, w: window }, partition)).join(", ")

export const limitField = (items: ReadonlyArray<LimitItem>): string =>
  items.map(({ name, partition, remaining, reset }) => item(name, { r: remaining, t: reset }, partition)).join(", ")

const item = (name: string, parameters: Readonly<Record<string, number>>, partition: string | undefined): string => {
  const numbers = Object.entries(parameters).map(([key, value]) => `;${key}=${sfInteger(value)}`)
  return `${sfString(name)}${numbers.join("")}${partition === undefined ? "" : `;pk=:${partition}:`}`
}

/** A string has visible ASCII and spaces only; of other text, the bytes of UTF-8 are percent-encoded. */
export const sfString = (text: string): string => {
  const ascii = text.replace(/[^ -~]+/g, percentEncoded)
  return `"${ascii.replace(/[\\"]/g, "\\$&")}"`
}

const percentEncoded = (text: string): string =>
  Array.from(new TextEncoder().encode(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

/** An integer has at most 15 digits; these are never below 0. */
export const sfInteger = (value: number): string =>
  String(Math.min(999_999_999_999_999, Math.max(0, Math.floor(value))))
