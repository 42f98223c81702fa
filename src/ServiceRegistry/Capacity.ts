import { ConfigError } from "../FoundationError.js"

export const defaultCapacity = 10_000_000
/** What a `Map` of V8 can hold is a little more (2^24). */
const greatestCapacity = 16_000_000

export const acceptCapacity = (capacity: number = defaultCapacity): number | ConfigError =>
  Number.isSafeInteger(capacity) && capacity > 0 && capacity <= greatestCapacity
    ? capacity
    : new ConfigError({
        reason: "invalid_value",
        path: "serviceRegistry.capacity",
        message: `serviceRegistry.capacity must be a whole number from 1 to ${greatestCapacity}, and is ${capacity}`
      })
