import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Backends from "./Events/Backend.js"
import type * as Criterion from "./Events/Criteria.js"
import * as Definitions from "./Events/Definition.js"
import type * as Event from "./Events/Event.js"
import type * as Expectation from "./Events/Expectation.js"
import * as Memory from "./Events/Memory.js"
import { make } from "./Events/Service.js"
import type { ConfigError, EventError, VersionConflict } from "./FoundationError.js"
import { accessing } from "./internal/access.js"
import type { Telemetry } from "./Telemetry.js"

export declare namespace Events {
  type Input = Event.Input
  type StoredEvent<A = unknown> = Event.StoredEvent<A>
  type Criteria = Criterion.Criteria
  /** Criteria without those that would end the subscription. */
  type SubscribeCriteria = Omit<Criteria, "before" | "beforePosition" | "order" | "limit">
  type ExpectedVersion = Expectation.ExpectedVersion
  type AppendOptions = Expectation.AppendOptions
  type MemoryOptions = Memory.Options
  type Backend = Backends.Backend
  type DefineOptions = Definitions.DefineOptions
  type Definition<Type extends string, A, I, R> = Definitions.Definition<Type, A, I, R>

  /** Each is described at the static of the same name. */
  interface Service {
    readonly store: (event: Input) => Effect.Effect<StoredEvent, EventError>
    readonly storeAll: (events: ReadonlyArray<Input>) => Effect.Effect<ReadonlyArray<StoredEvent>, EventError>
    readonly append: (
      stream: string,
      events: ReadonlyArray<Input>,
      options?: AppendOptions
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, EventError | VersionConflict>
    readonly get: (criteria?: Criteria) => Effect.Effect<ReadonlyArray<StoredEvent>, EventError>
    readonly stream: (criteria?: Criteria) => Stream.Stream<StoredEvent, EventError>
    readonly subscribe: (criteria?: SubscribeCriteria) => Stream.Stream<StoredEvent, EventError>
    readonly prune: (criteria: Criteria) => Effect.Effect<number, EventError>
    readonly head: Effect.Effect<number, EventError>
    /**
     * Fails with the error, and tells of it as `events.rejected`: for what refuses events in front of the service, as a
     * definition does with its schema.
     */
    readonly reject: (operation: string) => (error: EventError) => Effect.Effect<never, EventError>
  }
}

const using = accessing(() => Events)

/**
 * What happened, in order, kept: events are stored once, never changed, and leave only when they are pruned.
 *
 * @example
 * import { Events, Telemetry } from "effect-foundation"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* Events.store({ type: "order_placed", data: { orderId: 123 } })
 *   const orders = yield* Events.get({ type: "order_placed" })
 *   console.log(orders.map((order) => order.data)) // [ { orderId: 123 } ]
 * })
 *
 * program.pipe(Effect.provide(Events.layer), Effect.provide(Telemetry.layer), Effect.runPromise)
 */
export class Events extends Context.Tag("effect-foundation/Events")<Events, Events.Service>() {
  /** The service on a backend, which states where events are kept, and nothing else. */
  static readonly make: (backend: Events.Backend) => Effect.Effect<Events.Service, never, Telemetry> = make

  /** Events in memory, up to a million of them and 256 MiB of JSON. */
  static readonly layer: Layer.Layer<Events, never, Telemetry> = Layer.effect(
    Events,
    Effect.flatMap(Memory.memoryDefault, make)
  )

  /** Events in memory, with other bounds. A bound that is not a whole number from 1 is a `ConfigError`. */
  static readonly layerMemory = (options: Events.MemoryOptions): Layer.Layer<Events, ConfigError, Telemetry> =>
    Layer.effect(Events, Effect.flatMap(Memory.memory(options), make))

  /**
   * Stores the event, and answers it as it is stored: with its position, timestamp and, in a stream, version.
   *
   * An id that is there already, with the same type, data, stream, causation id and metadata, is the same event: it is
   * answered as it was stored, and nothing is added, however full the store is. So a store may be retried, if the id is
   * the caller's own. Pruning an event forgets its id.
   *
   * Fails with `EventError`: `invalid_event` (not an event, or data that JSON cannot hold; the message names the field),
   * `duplicate_event` (the id belongs to other content), `storage_full`, `storage_unavailable`.
   */
  static readonly store = (event: Events.Input): Effect.Effect<Events.StoredEvent, EventError, Events> =>
    using((events) => events.store(event))

  /** Stores all of the events, at positions that follow each other, or none. Each as by `store`. */
  static readonly storeAll = (
    events: ReadonlyArray<Events.Input>
  ): Effect.Effect<ReadonlyArray<Events.StoredEvent>, EventError, Events> =>
    using((service) => service.storeAll(events))

  /**
   * Stores all of the events in the stream, or none, if the stream is at the expected version; else `VersionConflict`.
   * Of several that append to the same version at the same time, one succeeds.
   *
   * Where all of the events are there already, it answers them, whatever version the stream is at by now: a retry of
   * an append whose answer was lost. An empty list stores and expects nothing.
   *
   * @example
   * import { Events, Telemetry } from "effect-foundation"
   * import { Effect } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   yield* Events.append("account-1", [{ type: "opened" }], { expectedVersion: "none" })
   *   const history = yield* Events.get({ stream: "account-1" })
   *   yield* Events.append("account-1", [{ type: "deposited", data: { amount: 50 } }], {
   *     expectedVersion: history.at(-1)?.version ?? 0
   *   })
   *   return yield* Events.append("account-1", [{ type: "closed" }], { expectedVersion: 1 })
   * }).pipe(Effect.catchTag("VersionConflict", (conflict) => Effect.succeed(`it is at version ${conflict.actual}`)))
   *
   * program.pipe(Effect.provide(Events.layer), Effect.provide(Telemetry.layer), Effect.runPromise).then(console.log)
   */
  static readonly append = (
    stream: string,
    events: ReadonlyArray<Events.Input>,
    options?: Events.AppendOptions
  ): Effect.Effect<ReadonlyArray<Events.StoredEvent>, EventError | VersionConflict, Events> =>
    using((service) => service.append(stream, events, options))

  /**
   * The events that meet all of the criteria, in the order of their positions; 1,000 of them at most, unless `limit`
   * says otherwise. `stream` is for more. `EventError` with `invalid_criteria` names the criterion that is wrong.
   *
   * It costs what it looks at: `id`, `type`, `stream`, `correlationId`, `causationId`, positions and times lead straight
   * to the events, `metadata` and `data` are looked for among those that the other criteria leave.
   */
  static readonly get = (
    criteria?: Events.Criteria
  ): Effect.Effect<ReadonlyArray<Events.StoredEvent>, EventError, Events> => using((events) => events.get(criteria))

  /** As `get`, with no limit but the stated one: reads pages of 256. It ends with what was stored when it started. */
  static readonly stream = (criteria?: Events.Criteria): Stream.Stream<Events.StoredEvent, EventError, Events> =>
    Stream.unwrap(using((events) => Effect.succeed(events.stream(criteria))))

  /**
   * The events that meet the criteria and are stored already, and then each that is stored, as it is: in order, none
   * left out and none twice, until it is interrupted. `afterPosition` resumes behind the last event that was dealt with;
   * `Events.head` as that takes only what is new. An event that is pruned before it is read is not delivered.
   *
   * A subscriber reads pages of 256 from the store at its own pace: a slow one holds one page, and holds up nobody.
   *
   * @example
   * import { Events, Telemetry } from "effect-foundation"
   * import { Effect, Stream } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   yield* Events.store({ type: "job_done", data: 1 })
   *   yield* Effect.fork(Events.store({ type: "job_done", data: 2 }))
   *   return yield* Events.subscribe({ type: "job_done" }).pipe(
   *     Stream.map((event) => event.data),
   *     Stream.take(2),
   *     Stream.runCollect
   *   )
   * })
   *
   * program.pipe(Effect.provide(Events.layer), Effect.provide(Telemetry.layer), Effect.runPromise).then(console.log)
   */
  static readonly subscribe = (
    criteria?: Events.SubscribeCriteria
  ): Stream.Stream<Events.StoredEvent, EventError, Events> =>
    Stream.unwrap(using((events) => Effect.succeed(events.subscribe(criteria))))

  /**
   * Removes the events that meet the criteria, and tells how many: the only way that an event leaves. At least one
   * criterion beside `order` and `limit` must be stated; `{ afterPosition: 0 }` is all events. Positions are not used
   * again, and the versions of a stream go on. The ids are forgotten.
   */
  static readonly prune = (criteria: Events.Criteria): Effect.Effect<number, EventError, Events> =>
    using((events) => events.prune(criteria))

  /** The position of the last event that was stored; 0 before the first. */
  static readonly head: Effect.Effect<number, EventError, Events> = using((events) => events.head)

  /**
   * Events of one type with a schema for their data: encoded when they are stored, decoded when they are read. The
   * version of the schema is kept in `metadata.schemaVersion`, and data of an older version goes through `upcast` first.
   * What does not fit, or is of a version that is not known yet, is an `EventError` with `invalid_event`.
   *
   * @example
   * import { Events, Telemetry } from "effect-foundation"
   * import { Effect, Schema } from "effect"
   *
   * // Version 1 was { orderId: "7" }.
   * const OrderPlaced = Events.define("order_placed", Schema.Struct({ orderId: Schema.Number, at: Schema.Date }), {
   *   version: 2,
   *   upcast: (data) => ({ orderId: Number((data as { orderId: string }).orderId), at: "2020-01-01T00:00:00Z" })
   * })
   *
   * const program = Effect.gen(function* () {
   *   yield* Events.store({ type: "order_placed", data: { orderId: "7" } })
   *   yield* OrderPlaced.store({ orderId: 8, at: new Date() }, { stream: "order-8" })
   *   const orders = yield* OrderPlaced.get()
   *   console.log(orders.map((order) => order.data.orderId + 1)) // [ 8, 9 ]
   * })
   *
   * program.pipe(Effect.provide(Events.layer), Effect.provide(Telemetry.layer), Effect.runPromise)
   */
  static readonly define = <const Type extends string, A, I, R>(
    type: Type,
    schema: Schema.Schema<A, I, R>,
    options?: Events.DefineOptions
  ): Events.Definition<Type, A, I, R> => Definitions.define(using, type, schema, options)
}
