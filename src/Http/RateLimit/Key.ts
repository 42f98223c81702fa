import { createHash } from "node:crypto"
import { isSecret } from "../../internal/secret.js"

/** The longest key that is kept as it is; `RateLimiter` takes no more than 256 characters. */
const longest = 128

const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest()

/** The value as a key. Keys are in errors, telemetry and Redis: one that is long, or secret by its name, is hashed. */
export const keyOf = (name: string, value: string): string =>
  value.length > longest || isSecret([name], value) ? hashed(value) : value

export const hashed = (value: string): string => `sha256:${digestOf(value).toString("base64url").slice(0, 22)}`

/** What tells a client that two responses are about the same quota, without saying what the key is. */
export const partitionOf = (key: string): string => digestOf(key).subarray(0, 9).toString("base64")
