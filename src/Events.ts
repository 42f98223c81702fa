import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Backends from "./Events/Backend.js"
import type * as Letter from "./Events/Consumer/DeadLetter.js"
import type * as Consumers from "./Events/Consumer/Options.js"
import type * as ConsumerStores from "./Events/Consumer/Store.js"
import type * as Criterion from "./Events/Criteria.js"
import * as Definitions from "./Events/Definition.js"
import type * as Event from "./Events/Event.js"
import type * as Expectation from "./Events/Expectation.js"
import * as Memory from "./Events/Memory.js"
import { make, storesNow } from "./Events/Service.js"
import type { ConfigError, EventError, VersionConflict } from "./FoundationError.js"
import { accessing, serviceOf } from "./internal/access.js"
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
  type ConsumeCriteria = Consumers.ConsumeCriteria
  type ConsumeOptions<R = never, R2 = never, A = unknown> = Consumers.ConsumeOptions<R, R2, A>
  type Consumer = ConsumerStores.ConsumerState
  type DeadLetter = Letter.DeadLetter
  type DeadLettersOptions = Consumers.DeadLettersOptions
  type ReplayOptions = Consumers.ReplayOptions
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
    readonly consume: <R, R2 = never>(options: ConsumeOptions<R, R2>) => Effect.Effect<never, EventError, R | R2>
    readonly deadLetters: (options: DeadLettersOptions) => Effect.Effect<ReadonlyArray<DeadLetter>, EventError>
    readonly replay: (options: ReplayOptions) => Effect.Effect<number, EventError>
    readonly removeDeadLetters: (options: ReplayOptions) => Effect.Effect<number, EventError>
    readonly consumers: Effect.Effect<ReadonlyArray<Consumer>, EventError>
    readonly forgetConsumer: (name: string) => Effect.Effect<boolean, EventError>
    /**
     * Fails with the error, and tells of it as `events.rejected`: for what refuses events in front of the service, as a
     * definition does with its schema.
     */
    readonly reject: (operation: string) => (error: EventError) => Effect.Effect<never, EventError>
  }
}

const using = accessing(() => Events)

/**
 * Stores events in order, and reads them back by criteria. An event never changes, and is removed only by `prune`.
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
  /** The service on the given backend, which decides where the events are kept. */
  static readonly make: (backend: Events.Backend) => Effect.Effect<Events.Service, never, Telemetry> = make

  /**
   * Events in the memory of this process: at most 1,000,000 events and 256 MiB of JSON. The checkpoints of consumers end
   * with the process, too; there are at most 10,000 consumers and 10,000 dead letters.
   */
  static readonly layer: Layer.Layer<Events, never, Telemetry> = Layer.effect(
    Events,
    Effect.flatMap(Memory.memoryDefault, make)
  )

  /**
   * `layer` with other bounds. Fails with ConfigError if `capacity` is not a whole number from 1 to 16,000,000, or
   * `maxBytes` is not a whole number from 1.
   */
  static readonly layerMemory = (options: Events.MemoryOptions): Layer.Layer<Events, ConfigError, Telemetry> =>
    Layer.effect(Events, Effect.flatMap(Memory.memory(options), make))

  /**
   * Stores the event, and returns it as it is stored: with its position, its timestamp and, in a stream, its version.
   *
   * To make a store safe to retry, give the event an id. If an event with that id and the same type, data, stream,
   * causation id and metadata is stored already, it is returned and nothing is added, even when the store is full. (The
   * `schemaVersion` in the metadata may differ, see `define`.) Pruning an event forgets its id.
   *
   * Fails with EventError: `invalid_event` (not an event, or data that JSON cannot hold; the message names the field),
   * `duplicate_event` (the id belongs to an event with other content), `storage_full`, `storage_unavailable`.
   */
  static readonly store = (event: Events.Input): Effect.Effect<Events.StoredEvent, EventError, Events> =>
    Effect.withFiberRuntime((fiber) => {
      const events = serviceOf(fiber, Events)
      const storeNow = storesNow.get(events.store)
      return storeNow === undefined ? events.store(event) : storeNow(fiber, event)
    })

  /**
   * Stores all of the events, at positions in their order, or none of them. Each is checked and may fail as in `store`. The
   * positions are consecutive but on PostgreSQL, where other transactions may take some in between.
   */
  static readonly storeAll = (
    events: ReadonlyArray<Events.Input>
  ): Effect.Effect<ReadonlyArray<Events.StoredEvent>, EventError, Events> =>
    using((service) => service.storeAll(events))

  /**
   * Stores all of the events in the stream, or none of them. Fails with VersionConflict if the stream is not at the
   * expected version: of several appends to the same version at the same time, one succeeds.
   *
   * If all of the events are stored already, as in a retry of an append whose result was lost, they are returned whatever
   * version the stream has reached. With an empty list nothing is stored, and the expected version is not checked.
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
   * The events that meet all of the criteria, ordered by position: at most 1,000, unless `limit` says otherwise. Use
   * `stream` to read more. Fails with EventError `invalid_criteria`, whose message names the criterion that is wrong.
   *
   * Cost in memory, in events looked at:
   * - One of `id`, `type`, `stream`, `correlationId` and `causationId`, alone or within positions and times: the events
   *   returned, whatever the size of the store. The same holds for positions and times alone.
   * - Several of those five: the events that the most selective of them leads to, not only those that meet all.
   * - `data` and `metadata` have no index. Every event that the other criteria leave is looked at, until the limit is
   *   reached: with no other criteria, that is the whole store.
   * - `after` and `before`, where the wall clock was set back by some time: also the events of that much time at each end.
   */
  static readonly get = (
    criteria?: Events.Criteria
  ): Effect.Effect<ReadonlyArray<Events.StoredEvent>, EventError, Events> => using((events) => events.get(criteria))

  /**
   * As `get`, but without the default limit of 1,000. It reads pages of 256 events, and ends with the events that were
   * stored when it started.
   */
  static readonly stream = (criteria?: Events.Criteria): Stream.Stream<Events.StoredEvent, EventError, Events> =>
    Stream.unwrap(using((events) => Effect.succeed(events.stream(criteria))))

  /**
   * The stored events that meet the criteria, followed by each new one as it is stored: in order, without gaps or
   * repetitions, until it is interrupted. An event that is pruned before it is read is not delivered.
   *
   * To resume, pass the position of the last event you processed as `afterPosition`; to get new events only, pass
   * `Events.head`. A subscriber reads pages of 256 events at its own pace: a slow one keeps one page in memory, and
   * delays neither stores nor other subscribers.
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
   * Removes the events that meet the criteria, and returns how many were removed. At least one criterion other than
   * `order` and `limit` is required; `{ afterPosition: 0 }` removes all events. Positions are never used again, and a
   * stream continues from its last version. The ids are forgotten.
   */
  static readonly prune = (criteria: Events.Criteria): Effect.Effect<number, EventError, Events> =>
    using((events) => events.prune(criteria))

  /** The position of the last event that was stored; 0 before the first. */
  static readonly head: Effect.Effect<number, EventError, Events> = using((events) => events.head)

  /**
   * Hands every event that meets the criteria to the handler, one at a time and in order, and remembers how far it has
   * come, across restarts where the events are stored outside the process. Runs until it is interrupted.
   *
   * - **At least once.** The checkpoint moves only past events that were handled or are dead letters. After a crash the
   *   events since the last checkpoint are handled again: one, unless `checkpointEvery` says otherwise. With
   *   `transactional`, what the handler did with the store's own `SqlClient` is committed with the checkpoint, or not at
   *   all.
   * - **Failures.** A failure or a defect is retried as `retry` says. After that the event becomes a dead letter and the
   *   consumer goes on; an EventError `invalid_event` is one at once. Interruption is no failure: the event is handled
   *   again.
   * - **One is active.** Of the consumers with one name, in any number of processes, one handles events and the others
   *   wait. When it ends, another takes over at once; when its process dies, after the `lease`. One that was frozen past its
   *   lease writes nothing when it wakes: its handler is interrupted, and it waits like the others.
   * - **Bounds.** It holds one page of 256 events and reads on at its own pace. Events that are pruned before they are read
   *   are passed over.
   * - A store that does not answer is tried again until it does, and told of as `events.consumer.unavailable`.
   *
   * The criteria belong to the name: another criteria under the same name would pass over what the first did not ask for,
   * and is refused. To change them use a new name, and `startAfter` to go on from where the old one stands.
   *
   * Fails with EventError: `invalid_consumer` (the message names the option), `invalid_criteria`.
   *
   * @example
   * import { Events, Telemetry } from "effect-foundation"
   * import { Console, Deferred, Effect } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const done = yield* Deferred.make<void>()
   *   const consumer = Events.consume({
   *     name: "invoices",
   *     criteria: { type: "order_placed" },
   *     handler: (event) => Effect.zipRight(Console.log("invoice for", event.data), Deferred.succeed(done, undefined))
   *   })
   *   yield* Effect.forkScoped(consumer)
   *   yield* Events.store({ type: "order_placed", data: { orderId: 123 } })
   *   yield* Deferred.await(done)
   * })
   *
   * program.pipe(Effect.scoped, Effect.provide(Events.layer), Effect.provide(Telemetry.layer), Effect.runPromise)
   */
  static readonly consume = <R = never, R2 = never>(
    options: Events.ConsumeOptions<R, R2>
  ): Effect.Effect<never, EventError, Events | R | R2> => using((events) => events.consume(options))

  /**
   * The events that a consumer could not handle, in order of position: 100, or as many as `limit` says, up to 1,000. To
   * read on, pass the last position as `after`.
   */
  static readonly deadLetters = (
    options: Events.DeadLettersOptions
  ): Effect.Effect<ReadonlyArray<Events.DeadLetter>, EventError, Events> =>
    using((events) => events.deadLetters(options))

  /**
   * Has the active consumer handle the events of dead letters again, at least once, between those that come; returns how
   * many are to be replayed. A dead letter is removed when its event was handled; otherwise it stays, with the new error
   * and more attempts. It waits while no consumer is active.
   *
   * @example
   * import { Events, Telemetry } from "effect-foundation"
   * import { Effect } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const [letter] = yield* Events.deadLetters({ consumer: "invoices" })
   *   if (letter !== undefined) yield* Events.replay({ consumer: "invoices", position: letter.position })
   *   return yield* Events.replay({ consumer: "invoices", position: "all" })
   * })
   *
   * program.pipe(Effect.provide(Events.layer), Effect.provide(Telemetry.layer), Effect.runPromise).then(console.log)
   */
  static readonly replay = (options: Events.ReplayOptions): Effect.Effect<number, EventError, Events> =>
    using((events) => events.replay(options))

  /** Removes dead letters, and returns how many. The events stay. */
  static readonly removeDeadLetters = (options: Events.ReplayOptions): Effect.Effect<number, EventError, Events> =>
    using((events) => events.removeDeadLetters(options))

  /** What is stored of each consumer: its checkpoint, how far that is behind, who is active, how many dead letters. */
  static readonly consumers: Effect.Effect<ReadonlyArray<Events.Consumer>, EventError, Events> = using(
    (events) => events.consumers
  )

  /**
   * Removes the checkpoint and the dead letters of a consumer; a consumer of this name is a new one then. Returns whether
   * there was any. Fails with EventError `invalid_consumer` while one is active.
   */
  static readonly forgetConsumer = (name: string): Effect.Effect<boolean, EventError, Events> =>
    using((events) => events.forgetConsumer(name))

  /**
   * Defines events of one type with a schema for their data, which is encoded when it is stored and decoded when it is
   * read. Fields that the schema encodes to `undefined` are left out. Data that does not fit the schema, or that a newer
   * version has stored, fails with EventError `invalid_event`.
   *
   * The version of the schema is kept in `metadata.schemaVersion`; data of an older version goes through `upcast` before
   * it is decoded. The version is not part of an event's content: a store that is retried with the same id after a
   * deployment with a new version finds the event that was stored before, if both versions encode the data alike. If the
   * new version encodes the same data differently, the retry fails with `duplicate_event`.
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
