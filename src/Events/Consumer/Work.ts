import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { EventError } from "../../FoundationError.js"
import { clockOf, monotonicMicros } from "../../internal/monotonic.js"
import type { Telemetry } from "../../Telemetry.js"
import type { Backend } from "../Backend.js"
import { everything } from "../Criteria.js"
import type { StoredEvent } from "../Event.js"
import { pageSize } from "../Streams.js"
import { attempted, type Outcome } from "./Attempts.js"
import type { DeadLetter } from "./DeadLetter.js"
import { errorText } from "./ErrorText.js"
import type { Settings } from "./Options.js"
import type { Patience } from "./Patience.js"
import type { TransactionRefused } from "./Store.js"
import { Lost, type Tenure } from "./Tenure.js"

/** How often the lag is told. */
const lagInterval = Duration.seconds(10)

/** How many events are counted for it at most. */
const maxBehind = 10_000

/** What an active consumer works with. */
export interface Active<R> {
  readonly settings: Settings<R>
  readonly backend: Backend
  readonly telemetry: Telemetry.Service
  readonly patience: Patience
  readonly tenure: Tenure
  /** Waits for new events, or for a replay. */
  readonly idle: Effect.Effect<void>
}

/**
 * Handles one event after the other, in order, and the dead letters that are to be replayed in between. It holds one
 * page of events. Fails when the lease is lost, or with a store that failed where only a new start can tell how far it
 * had come.
 */
export const work = <R>(active: Active<R>): Effect.Effect<never, Lost | EventError, R> =>
  Effect.gen(function* () {
    const { backend, patience, settings, tenure } = active
    let page: ReadonlyArray<StoredEvent> = []
    let next = 0
    let readUpTo = tenure.position
    while (true) {
      yield* tenure.held
      // One dead letter, then one event: neither holds up the other.
      if (tenure.replays) yield* replayNext(active)
      const event = page[next]
      if (event !== undefined) {
        next++
        yield* handle(active, event)
        continue
      }
      const query = { ...settings.query, afterPosition: readUpTo, limit: pageSize }
      const read = yield* patience.through(backend.read(query))
      page = read.events
      next = 0
      const seen = page.at(-1)?.position ?? readUpTo
      readUpTo = page.length === pageSize ? seen : Math.max(seen, read.head)
      if (page.length > 0) continue
      // Up to here nothing is left for this consumer. That alone is no reason to write: the next renewal does.
      tenure.position = Math.max(tenure.position, readUpTo)
      if (tenure.unsaved > 0) yield* tenure.save
      if (!tenure.replays) yield* active.idle
    }
  })

const handle = <R>(active: Active<R>, event: StoredEvent): Effect.Effect<void, Lost | EventError, R> =>
  Effect.gen(function* () {
    const { backend, settings, telemetry, tenure } = active
    const { name } = settings
    const { position, type } = event
    let confirm: (() => void) | undefined
    const commit = Effect.map(tenure.keep(position), (kept) => {
      confirm = kept
    })
    const outcome = yield* timed(active, event, settings.transactional ? commit : Effect.void)
    if (outcome.failure === undefined) {
      tenure.position = position
      if (confirm !== undefined) return confirm()
      tenure.unsaved++
      if (tenure.unsaved >= settings.checkpointEvery) yield* tenure.save
      return
    }
    // What was handled before is safe, whatever becomes of the dead letter.
    if (tenure.unsaved > 0) yield* tenure.save
    const letter = yield* letterOf(name, event, outcome, outcome.failure)
    if (!(yield* backend.consumers.bury(tenure.lease, letter))) return yield* Effect.fail(new Lost())
    tenure.position = position
    telemetry.emit("events.consumer.dead_letter", { attempts: letter.attempts }, { name, type, position })
  })

/** The attempts at an event, told to telemetry. */
const timed = <R>(
  { backend, settings, telemetry }: Active<R>,
  event: StoredEvent,
  commit: Effect.Effect<void, Lost | EventError | TransactionRefused>
): Effect.Effect<Outcome, Lost | EventError, R> =>
  Effect.withFiberRuntime((fiber) => {
    const { name } = settings
    const { position, type } = event
    const clock = clockOf(fiber)
    const started = monotonicMicros(clock)
    const retrying = (attempt: number) => telemetry.emit("events.consumer.retry", { attempt }, { name, type, position })
    return Effect.map(attempted(settings, backend.consumers, event, commit, retrying), (outcome) => {
      if (outcome.failure === undefined && telemetry.enabled("events.consumer.handled")) {
        const duration = (monotonicMicros(clock) - started) / 1000
        telemetry.emit("events.consumer.handled", { duration, attempts: outcome.attempts }, { name, type })
      }
      return outcome
    })
  })

const letterOf = (
  consumer: string,
  { id, position, type }: StoredEvent,
  { attempts }: Outcome,
  failure: Parameters<typeof errorText>[0]
): Effect.Effect<DeadLetter> =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    consumer,
    position,
    id,
    type,
    error: errorText(failure),
    attempts,
    failedAt: Math.floor(now),
    replaying: false
  }))

/** Gives the event of a dead letter to the handler again. The letter goes when it succeeds, and else stays. */
const replayNext = <R>(active: Active<R>): Effect.Effect<void, Lost | EventError, R> =>
  Effect.gen(function* () {
    const { backend, patience, settings, telemetry, tenure } = active
    const { consumers } = backend
    const letter = yield* patience.through(consumers.nextReplay(settings.name))
    if (letter === undefined) {
      tenure.replays = false
      return
    }
    const { position, type } = letter
    const settling = (left: DeadLetter | undefined) =>
      Effect.flatMap(consumers.settle(tenure.lease, position, left), (held) =>
        held ? Effect.void : Effect.fail(new Lost())
      )
    const settle = (left: DeadLetter | undefined) => Effect.catchTag(settling(left), "TransactionRefused", Effect.die) // there is none
    const only = { ...everything, afterPosition: position - 1, beforePosition: position + 1, limit: 1 }
    const [event] = (yield* patience.through(backend.read(only))).events
    const failedAt = Math.floor(yield* Clock.currentTimeMillis)
    if (event === undefined) {
      const error = "The event was pruned, and cannot be replayed: remove the dead letter"
      return yield* settle({ ...letter, error, failedAt, replaying: false })
    }
    const commit = settings.transactional ? settling(undefined) : Effect.void
    const outcome = yield* timed(active, event, commit)
    if (outcome.failure === undefined) {
      if (!settings.transactional) yield* settle(undefined)
      return
    }
    const left = yield* letterOf(settings.name, event, outcome, outcome.failure)
    const attempts = letter.attempts + outcome.attempts
    yield* settle({ ...left, attempts })
    telemetry.emit("events.consumer.dead_letter", { attempts }, { name: settings.name, type, position })
  })

/** Tells how far the consumer is behind, at once and then every 10 seconds, where somebody listens. */
export const reportLag = <R>({ backend, settings, telemetry, tenure }: Active<R>): Effect.Effect<never> =>
  Effect.gen(function* () {
    if (!telemetry.enabled("events.consumer.lag")) return
    const rest = { ...settings.query, afterPosition: tenure.position }
    const [oldest] = (yield* backend.read({ ...rest, limit: 1 })).events
    const behind = oldest === undefined ? 0 : yield* backend.consumers.count({ ...rest, limit: maxBehind })
    const now = yield* Clock.currentTimeMillis
    const age = oldest === undefined ? 0 : Math.max(0, now - oldest.timestamp)
    telemetry.emit("events.consumer.lag", { behind, age }, { name: settings.name })
  }).pipe(
    // A store that does not answer is told of by the work.
    Effect.ignore,
    Effect.zipRight(Effect.sleep(lagInterval)),
    Effect.forever
  )
