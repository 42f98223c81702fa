import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { correlationIdOf } from "../CorrelationId.js"
import type { Events } from "../Events.js"
import type { EventError, VersionConflict } from "../FoundationError.js"
import { Behind } from "../internal/access.js"
import { Refused } from "../internal/json.js"
import { clockOf, monotonicMicros } from "../internal/monotonic.js"
import { Telemetry } from "../Telemetry.js"
import type { Appended, Backend, Expectation } from "./Backend.js"
import { consume } from "./Consumer/Consume.js"
import { decodeDeadLetters, decodeOptions, decodeReplay } from "./Consumer/Options.js"
import { choose, decodeCriteria, type Query } from "./Criteria.js"
import { decodeEvent, type Input, type NewEvent, nameProblem, type StoredEvent } from "./Event.js"
import { decodeExpectation } from "./Expectation.js"
import * as Failures from "./Failures.js"
import { appendsNow } from "./Memory.js"
import { paged, subscribed } from "./Streams.js"

/** How many events `get` answers where the criteria state no limit. */
export const defaultLimit = 1000

type Running = Fiber.RuntimeFiber<unknown, unknown>

type StoreNow = (fiber: Running, event: Input) => Effect.Effect<StoredEvent, EventError>

/** For the accessor. */
export const storesNow = new Behind<Events.Service["store"], StoreNow>()

/** The service on a backend: checks, errors and telemetry, which are the same for each. */
export const make = (backend: Backend): Effect.Effect<Events.Service, never, Telemetry> =>
  Effect.map(Telemetry, (telemetry) => {
    const reject =
      (operation: string) =>
      <E extends EventError | VersionConflict>(error: E): Effect.Effect<never, E> =>
        Effect.suspend(() => {
          const reason = error._tag === "EventError" ? error.reason : error.code
          telemetry.emit("events.rejected", { count: 1 }, { operation, reason })
          return Effect.fail(error)
        })

    /** The milliseconds since now, where somebody listens. */
    const stopwatch = (event: "events.store" | "events.get", fiber: Running): (() => number) | undefined => {
      if (!telemetry.enabled(event)) return undefined
      const clock = clockOf(fiber)
      const started = monotonicMicros(clock)
      return () => (monotonicMicros(clock) - started) / 1000
    }

    const appendNow = appendsNow.get(backend.append)

    /** Checks the whole batch, then has it stored. */
    const write = <A, E>(
      fiber: Running,
      inputs: ReadonlyArray<unknown>,
      writing: Writing<A, E>
    ): Effect.Effect<A, EventError | E> => {
      const { operation, stream, expectation } = writing
      const elapsed = stopwatch("events.store", fiber)
      const surroundings = {
        timestamp: Math.floor(clockOf(fiber).unsafeCurrentTimeMillis()),
        correlationId: () => correlationIdOf(fiber),
        stream
      }
      const batch: Array<NewEvent> = []
      for (let index = 0; index < inputs.length; index++) {
        const event = decodeEvent(inputs[index], surroundings)
        if (event instanceof Refused) {
          const nth = operation === "store" ? undefined : index
          return reject(operation)(Failures.invalidEvent(inputs[index], event, nth))
        }
        batch.push(event)
      }
      if (batch.length === 0) return writing.answer([])
      if (appendNow !== undefined) return outcome(writing, batch, appendNow(batch, expectation), elapsed)
      return Effect.matchEffect(backend.append(batch, expectation), {
        onFailure: reject(operation),
        onSuccess: (appended) => outcome(writing, batch, appended, elapsed)
      })
    }

    const outcome = <A, E>(
      { answer, conflict, operation }: Writing<A, E>,
      batch: ReadonlyArray<NewEvent>,
      appended: Appended,
      elapsed: (() => number) | undefined
    ): Effect.Effect<A, EventError | E> => {
      switch (appended._tag) {
        case "Stored":
          if (elapsed !== undefined) {
            const [first] = appended.events
            const measured = { count: batch.length, duration: elapsed() }
            telemetry.emit("events.store", measured, { stream: first?.stream })
          }
          return answer(appended.events)
        case "Duplicate":
          return reject(operation)(Failures.duplicateEvent(batch[appended.index]))
        case "Full":
          return reject(operation)(Failures.storageFull(appended.bound))
        case "Conflict":
          return conflict(appended.actual)
      }
    }

    const storeNow: StoreNow = (fiber, event) => write(fiber, [event], storingOne)
    const store: Events.Service["store"] = (event) => Effect.withFiberRuntime((fiber) => storeNow(fiber, event))
    storesNow.set(store, storeNow)

    const query = (operation: string, criteria: unknown): Effect.Effect<Query, EventError> =>
      Effect.suspend(() => {
        const query = decodeCriteria(criteria)
        return query instanceof Refused ? reject(operation)(Failures.invalidCriteria(query)) : Effect.succeed(query)
      })

    const streamOf = (
      operation: string,
      criteria: unknown,
      open: (query: Query) => Stream.Stream<StoredEvent, EventError>
    ): Stream.Stream<StoredEvent, EventError> => Stream.unwrap(Effect.map(query(operation, criteria), open))

    const invalid = (operation: string, refused: Refused) => reject(operation)(Failures.invalidConsumer(refused))

    /** What is asked of the stored state of consumers, with its failures told. */
    const asked = <A>(operation: string, effect: Effect.Effect<A, EventError>): Effect.Effect<A, EventError> =>
      Effect.catchAll(effect, reject(operation))

    return {
      reject,

      store,

      storeAll: (events) =>
        Effect.withFiberRuntime((fiber) =>
          Array.isArray(events)
            ? write(fiber, events, storingAll)
            : reject("storeAll")(Failures.invalidBatch("storeAll takes a list of events"))
        ),

      append: (stream, events, options = {}) =>
        Effect.withFiberRuntime((fiber) => {
          const expectation = decodeExpectation(stream, events, options)
          if (expectation instanceof Refused) return reject("append")(Failures.invalidBatch(String(expectation)))
          if (expectation === undefined) return write(fiber, events, { ...appending, stream })
          const conflict = (actual: number) => reject("append")(Failures.versionConflict(expectation, actual))
          return write(fiber, events, { ...appending, stream, expectation, conflict })
        }),

      get: (criteria = {}) =>
        Effect.withFiberRuntime((fiber) => {
          const elapsed = stopwatch("events.get", fiber)
          const query = decodeCriteria(criteria)
          if (query instanceof Refused) return reject("get")(Failures.invalidCriteria(query))
          const bounded = query.limit === Number.POSITIVE_INFINITY ? { ...query, limit: defaultLimit } : query
          return Effect.matchEffect(backend.read(bounded), {
            onFailure: reject("get"),
            onSuccess: ({ events }) => {
              if (elapsed !== undefined) {
                telemetry.emit("events.get", { count: events.length, duration: elapsed() }, {})
              }
              return Effect.succeed(events)
            }
          })
        }),

      head: Effect.map(query("head", { limit: 0 }).pipe(Effect.flatMap(backend.read)), ({ head }) => head),

      stream: (criteria = {}) => streamOf("stream", criteria, (query) => paged(backend, query)),

      subscribe: (criteria = {}) =>
        Stream.unwrap(
          Effect.flatMap(query("subscribe", criteria), (query) => {
            const endless = endlessQuery(query)
            return endless instanceof Refused
              ? reject("subscribe")(Failures.invalidCriteria(endless))
              : Effect.succeed(subscribed(backend, query))
          })
        ),

      prune: (criteria) =>
        Effect.flatMap(query("prune", criteria), (query) => {
          if (!choose(criteria)) return reject("prune")(Failures.invalidCriteria(unbounded))
          return Effect.matchEffect(backend.remove(query), {
            onFailure: reject("prune"),
            onSuccess: (count) => {
              telemetry.emit("events.prune", { count }, {})
              return Effect.succeed(count)
            }
          })
        }),

      consume: (options) =>
        Effect.suspend(() => {
          const settings = decodeOptions(options, backend.consumers.transact !== undefined)
          if ("refused" in settings) {
            return settings.of === "criteria"
              ? reject("consume")(Failures.invalidCriteria(settings.refused))
              : invalid("consume", settings.refused)
          }
          return Effect.catchAll(consume(backend, telemetry, settings), reject("consume"))
        }),

      deadLetters: (options) =>
        Effect.suspend(() => {
          const query = decodeDeadLetters(options)
          if (query instanceof Refused) return invalid("deadLetters", query)
          return asked("deadLetters", backend.consumers.deadLetters(query.consumer, query.after, query.limit))
        }),

      replay: (options) =>
        Effect.suspend(() => {
          const chosen = decodeReplay("replay", options)
          if (chosen instanceof Refused) return invalid("replay", chosen)
          return asked("replay", backend.consumers.replay(chosen.consumer, chosen.positions))
        }),

      removeDeadLetters: (options) =>
        Effect.suspend(() => {
          const chosen = decodeReplay("removeDeadLetters", options)
          if (chosen instanceof Refused) return invalid("removeDeadLetters", chosen)
          return asked("removeDeadLetters", backend.consumers.removeDeadLetters(chosen.consumer, chosen.positions))
        }),

      consumers: asked("consumers", backend.consumers.list),

      forgetConsumer: (name) =>
        Effect.suspend(() => {
          const problem = nameProblem(name)
          if (problem !== undefined) return invalid("forgetConsumer", new Refused("name", problem))
          return Effect.flatMap(asked("forgetConsumer", backend.consumers.forget(name)), (outcome) =>
            outcome === "active"
              ? invalid("forgetConsumer", new Refused("name", `${JSON.stringify(name)} is active: end it first`))
              : Effect.succeed(outcome === "forgotten")
          )
        })
    }
  })

const unexpected = (): Effect.Effect<never> => Effect.dieMessage("The backend answered what it was not asked for")

const unbounded = new Refused(
  "the criteria",
  "state nothing to choose events by: to remove all of them, say so with { afterPosition: 0 }"
)

/** How a batch is stored. */
interface Writing<A, E> {
  readonly operation: string
  /** The stream of all of them. */
  readonly stream: string | undefined
  readonly expectation: Expectation | undefined
  /** What a conflict with the expectation comes to. */
  readonly conflict: (actual: number) => Effect.Effect<never, E>
  /** What is answered of the events as they are stored. */
  readonly answer: (stored: ReadonlyArray<StoredEvent>) => Effect.Effect<A>
}

const storingAll: Writing<ReadonlyArray<StoredEvent>, never> = {
  operation: "storeAll",
  stream: undefined,
  expectation: undefined,
  conflict: unexpected,
  answer: Effect.succeed
}

const appending = { ...storingAll, operation: "append" }

const storingOne: Writing<StoredEvent, never> = {
  ...storingAll,
  operation: "store",
  answer: ([stored]) => (stored === undefined ? unexpected() : Effect.succeed(stored))
}

/** A subscription has no end, and so none of the criteria that set one. */
const endlessQuery = (query: Query): Refused | undefined => {
  const ends = "has no place in a subscription, which has no end: leave it out, or use stream"
  if (query.limit !== Number.POSITIVE_INFINITY) return new Refused("limit", ends)
  if (query.order !== "asc") return new Refused("order", ends)
  if (query.before !== Number.POSITIVE_INFINITY) return new Refused("before", ends)
  if (query.beforePosition !== Number.POSITIVE_INFINITY) return new Refused("beforePosition", ends)
  return undefined
}
