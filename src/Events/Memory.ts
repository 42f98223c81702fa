import * as Effect from "effect/Effect"
import { ConfigError } from "../FoundationError.js"
import { Behind } from "../internal/access.js"
import type { Appended, Backend, Expectation, Page } from "./Backend.js"
import { consumersInMemory } from "./Consumer/Memory.js"
import type { NewEvent, StoredEvent } from "./Event.js"
import { Log } from "./Log.js"
import { Signals } from "./Signals.js"

/** How much the store in memory holds. Past either bound a store fails with `storage_full`, and nothing is dropped. */
export interface Options {
  /**
   * How many events: a million by default, 16 million at most. A stream that was pruned empty takes the place of one,
   * since it remembers its version.
   */
  readonly capacity?: number
  /** How many bytes of data and metadata, measured as JSON: 256 MiB by default. */
  readonly maxBytes?: number
}

const defaults = { capacity: 1_000_000, maxBytes: 256 * 1024 * 1024 }

/** A `Map` ends at 2^24 entries. */
const maxCapacity = 16_000_000

/**
 * A backend in memory. A store is one synchronous step, which no other fiber can come between. A read that has much to
 * look at lets others run in between, and answers as of its start.
 */
export const memory = (options: Options = {}): Effect.Effect<Backend, ConfigError> =>
  Effect.gen(function* () {
    const capacity = yield* bound("capacity", options.capacity ?? defaults.capacity, maxCapacity)
    const maxBytes = yield* bound("maxBytes", options.maxBytes ?? defaults.maxBytes, Number.MAX_SAFE_INTEGER)
    return inMemory(capacity, maxBytes)
  })

/** The backend with the default bounds. */
export const memoryDefault: Effect.Effect<Backend> = Effect.sync(() => inMemory(defaults.capacity, defaults.maxBytes))

type AppendNow = (batch: ReadonlyArray<NewEvent>, expectation?: Expectation) => Appended

/** For the service, which is in a step of the fiber already. */
export const appendsNow = new Behind<Backend["append"], AppendNow>()

const inMemory = (capacity: number, maxBytes: number): Backend => {
  const log = new Log({ capacity, maxBytes })
  const signals = new Signals()
  const appendNow: AppendNow = (batch, expectation) => {
    const head = log.head
    const appended = log.append(batch, expectation)
    if (log.head > head) signals.raise()
    return appended
  }
  const append: Backend["append"] = (batch, expectation) => Effect.sync(() => appendNow(batch, expectation))
  appendsNow.set(append, appendNow)
  return {
    append,
    read: (query) =>
      Effect.suspend(() => {
        const head = log.head
        const asOfNow = { ...query, beforePosition: Math.min(query.beforePosition, head + 1) }
        const events: Array<StoredEvent> = []
        const scan = (from: number | undefined): Effect.Effect<Page> => {
          const resume = log.scan(asOfNow, events, from)
          return resume === undefined
            ? Effect.succeed({ events, head })
            : Effect.zipRight(
                Effect.yieldNow(),
                Effect.suspend(() => scan(resume))
              )
        }
        return scan(undefined)
      }),
    remove: (query) => Effect.sync(() => log.remove(query)),
    changes: signals.listen,
    consumers: consumersInMemory(log)
  }
}

const bound = (option: keyof Options, value: number, most: number): Effect.Effect<number, ConfigError> =>
  Number.isSafeInteger(value) && value >= 1 && value <= most
    ? Effect.succeed(value)
    : Effect.fail(
        new ConfigError({
          reason: "invalid_value",
          path: `events.${option}`,
          message: `events.${option} is ${value}: give a whole number from 1 to ${most}`
        })
      )
