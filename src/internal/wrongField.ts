import { ConfigError } from "../FoundationError.js"
import { jsonSafe } from "./jsonSafe.js"

/** One field of a policy, and what it must be, which it is not. */
export interface Wrong {
  readonly name: unknown
  readonly field: string
  readonly value: unknown
  readonly must: string
}

/** The mistake as an error, with the value: of code, whose values are no secret. */
export const wrongField = (
  component: "circuitBreaker" | "rateLimiter",
  subject: "circuit" | "limit",
  { field, must, name, value }: Wrong
): ConfigError => {
  const shown = typeof name === "string" && name !== "" ? name.slice(0, 32) : "?"
  const got = value === undefined ? "not stated" : show(value)
  return new ConfigError({
    reason: "invalid_value",
    path: `${component}.${shown}.${field}`,
    message: `${field} of the ${subject} ${JSON.stringify(shown)} must be ${must}, but is ${got}`
  })
}

const show = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 64))
  const safe = jsonSafe(value)
  return typeof safe === "object" ? JSON.stringify(safe) : String(safe)
}
