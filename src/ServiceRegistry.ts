import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type AlreadyRegistered, ConfigError, type RegistryError, type ServiceNotFound } from "./FoundationError.js"
import type * as Backend from "./ServiceRegistry/Backend.js"
import * as Memory from "./ServiceRegistry/Memory.js"
import type * as Metadata_ from "./ServiceRegistry/Metadata.js"
import type * as Pick from "./ServiceRegistry/Pick.js"
import type * as Registration_ from "./ServiceRegistry/Registration.js"
import { makeRegistry } from "./ServiceRegistry/Registry.js"
import type * as Watch from "./ServiceRegistry/Watch.js"
import type { Telemetry } from "./Telemetry.js"

export declare namespace ServiceRegistry {
  type Backend = Backend.Backend
  type Process = Registration_.Process
  type Metadata = Metadata_.Metadata
  type Registration = Registration_.Registration
  type Member = Registration_.Member
  type Change = Registration_.Change
  type EndReason = Registration_.EndReason
  type Strategy = Pick.Strategy
  type Selection = Registration_.Selection
  type WatchOptions = Watch.WatchOptions

  interface Options {
    /**
     * How many registrations and memberships there may be together: 10,000,000 by default, 16,000,000 at most. One more
     * is a RegistryError with the reason `registry_full`; those that are there stay.
     */
    readonly capacity?: number
  }

  interface Service {
    readonly register: (
      name: string,
      process: Process | string,
      metadata?: Metadata
    ) => Effect.Effect<Registration, AlreadyRegistered | RegistryError, Scope.Scope>
    readonly lookup: (name: string) => Effect.Effect<Registration, ServiceNotFound>
    readonly lookupOption: (name: string) => Effect.Effect<Option.Option<Registration>>
    /** `lookup` in a synchronous step, for code that has no fiber to yield to. */
    readonly unsafeLookup: (name: string) => Registration | undefined
    readonly waitFor: (name: string) => Effect.Effect<Registration, RegistryError>
    readonly list: (selection?: Selection) => Effect.Effect<ReadonlyArray<Registration>>
    readonly watch: (options?: WatchOptions) => Stream.Stream<Change>
    readonly update: (name: string, metadata: Metadata) => Effect.Effect<Registration, ServiceNotFound | RegistryError>
    readonly join: (
      group: string,
      process: Process | string,
      metadata?: Metadata
    ) => Effect.Effect<Member, RegistryError, Scope.Scope>
    readonly members: (group: string) => Effect.Effect<ReadonlyArray<Member>>
    readonly pick: (group: string, strategy?: Strategy) => Effect.Effect<Member, ServiceNotFound>
  }
}

const defaultCapacity = 10_000_000
/** What a `Map` of V8 can hold is a little more (2^24). */
const greatestCapacity = 16_000_000

const make = (
  backend: ServiceRegistry.Backend,
  { capacity = defaultCapacity }: ServiceRegistry.Options = {}
): Effect.Effect<ServiceRegistry.Service, ConfigError, Telemetry> =>
  Number.isSafeInteger(capacity) && capacity > 0 && capacity <= greatestCapacity
    ? makeRegistry(backend, capacity)
    : Effect.suspend(
        () =>
          new ConfigError({
            reason: "invalid_value",
            path: "serviceRegistry.capacity",
            message: `serviceRegistry.capacity must be a whole number from 1 to ${greatestCapacity}, and is ${capacity}`
          })
      )

const using = <A, E, R>(
  use: (registry: ServiceRegistry.Service) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | ServiceRegistry> => Effect.flatMap(ServiceRegistry, use)

/**
 * Names for running fibers and addresses, and groups of them to choose from.
 *
 * A registration ends with its scope or with its fiber, whichever is first. All reads are local and synchronous, and
 * never answer a dead fiber.
 */
export class ServiceRegistry extends Context.Tag("effect-foundation/ServiceRegistry")<
  ServiceRegistry,
  ServiceRegistry.Service
>() {
  /** A registry over the backend, which decides between processes. */
  static readonly make = make

  /** A registry for this process alone. */
  static readonly layer: Layer.Layer<ServiceRegistry, never, Telemetry> = Layer.effect(
    ServiceRegistry,
    Effect.flatMap(Memory.make, (backend) => makeRegistry(backend, defaultCapacity))
  )

  /** As `layer`, with options. Fails with a ConfigError when an option is out of range. */
  static readonly layerMemory = (
    options: ServiceRegistry.Options
  ): Layer.Layer<ServiceRegistry, ConfigError, Telemetry> =>
    Layer.effect(
      ServiceRegistry,
      Effect.flatMap(Memory.make, (backend) => make(backend, options))
    )

  /**
   * Registers a process under a name until the scope closes or, if it is a fiber, until it ends, whichever is first.
   *
   * The process is a running fiber, or an address (a URL, or its full text). Exactly one of any number of racing
   * registrations gets the name; the others get AlreadyRegistered, which carries the holder's metadata. The end removes
   * this registration only, also when the name has gone to another. Interruption leaves no name behind.
   *
   * RegistryError: `invalid_name` (1 to 256 characters, no control characters), `invalid_process` (a fiber that has
   * ended, a text that is no address), `invalid_metadata` (not JSON, or over 16,384 bytes of it in UTF-8),
   * `registry_full`.
   *
   * @example
   * import { ServiceRegistry, Telemetry } from "effect-foundation"
   * import { Effect, Layer } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const worker = yield* Effect.fork(Effect.never)
   *   yield* ServiceRegistry.register("worker", worker, { queue: "mail" })
   *   yield* ServiceRegistry.register("auth_service", "http://localhost:8080")
   *   const refused = yield* Effect.flip(ServiceRegistry.register("worker", worker))
   *   yield* Effect.log(refused.message)
   * })
   *
   * const layer = Layer.provide(ServiceRegistry.layer, Telemetry.layer)
   * program.pipe(Effect.scoped, Effect.provide(layer), Effect.runPromise)
   */
  static readonly register = (
    name: string,
    process: ServiceRegistry.Process | string,
    metadata?: ServiceRegistry.Metadata
  ): Effect.Effect<ServiceRegistry.Registration, AlreadyRegistered | RegistryError, ServiceRegistry | Scope.Scope> =>
    using((registry) => registry.register(name, process, metadata))

  /**
   * The registration of the name, or ServiceNotFound. One map read, whatever the number of names.
   *
   * @example
   * import { ServiceRegistry, Telemetry } from "effect-foundation"
   * import { Effect, Layer } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   yield* ServiceRegistry.register("auth_service", new URL("http://localhost:8080"), { region: "eu" })
   *   const auth = yield* ServiceRegistry.lookup("auth_service")
   *   yield* Effect.log(`${auth.process} in ${auth.metadata.region}`)
   * })
   *
   * const layer = Layer.provide(ServiceRegistry.layer, Telemetry.layer)
   * program.pipe(Effect.scoped, Effect.provide(layer), Effect.runPromise)
   */
  static readonly lookup = (
    name: string
  ): Effect.Effect<ServiceRegistry.Registration, ServiceNotFound, ServiceRegistry> =>
    // One operation of the fiber in place of three: this is read for every call that a service makes to another.
    Effect.withFiberRuntime<ServiceRegistry.Registration, ServiceNotFound, ServiceRegistry>((fiber) => {
      const registry = Context.unsafeGet(fiber.currentContext, ServiceRegistry)
      const found = registry.unsafeLookup(name)
      return found === undefined ? registry.lookup(name) : Effect.succeed(found)
    })

  /** The registration of the name, if there is one. */
  static readonly lookupOption = (
    name: string
  ): Effect.Effect<Option.Option<ServiceRegistry.Registration>, never, ServiceRegistry> =>
    using((registry) => registry.lookupOption(name))

  /**
   * The registration of the name, as soon as there is one. It misses none: it answers with the first that is made after
   * the call, even if that has ended again before the caller goes on. RegistryError `invalid_name`: nothing can ever
   * be registered under that name.
   *
   * @example
   * import { ServiceRegistry, Telemetry } from "effect-foundation"
   * import { Effect, Fiber, Layer } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const client = yield* Effect.fork(ServiceRegistry.waitFor("database"))
   *   yield* ServiceRegistry.register("database", "postgres://localhost:5432")
   *   const { process } = yield* Fiber.join(client)
   *   yield* Effect.log(`connecting to ${process}`)
   * })
   *
   * const layer = Layer.provide(ServiceRegistry.layer, Telemetry.layer)
   * program.pipe(Effect.scoped, Effect.provide(layer), Effect.runPromise)
   */
  static readonly waitFor = (
    name: string
  ): Effect.Effect<ServiceRegistry.Registration, RegistryError, ServiceRegistry> =>
    using((registry) => registry.waitFor(name))

  /** The registrations, all or those whose name starts with `prefix`, in the order in which they were made. */
  static readonly list = (
    selection?: ServiceRegistry.Selection
  ): Effect.Effect<ReadonlyArray<ServiceRegistry.Registration>, never, ServiceRegistry> =>
    using((registry) => registry.list(selection))

  /**
   * The state of the names, and each of its changes from then on; of all names, of one, or of those with a prefix.
   *
   * First comes a `Snapshot` of what is registered, then every `Registered`, `Updated` and `Unregistered` in order, with
   * nothing missing between. A watcher holds nobody up: when it has `buffer` changes (1024) yet to read, one more
   * replaces them all by a new `Snapshot`, which stands in place of everything before it. The stream does not end.
   *
   * @example
   * import { ServiceRegistry, Telemetry } from "effect-foundation"
   * import { Effect, Layer, Stream } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const mail = Effect.scoped(ServiceRegistry.register("mail", "http://localhost:8025"))
   *   yield* Effect.fork(Effect.delay(mail, "10 millis"))
   *   yield* ServiceRegistry.watch().pipe(
   *     Stream.take(3), // Snapshot, Registered, Unregistered
   *     Stream.runForEach((change) => Effect.log(change._tag))
   *   )
   * })
   *
   * const layer = Layer.provide(ServiceRegistry.layer, Telemetry.layer)
   * program.pipe(Effect.provide(layer), Effect.runPromise)
   */
  static readonly watch = (
    options?: ServiceRegistry.WatchOptions
  ): Stream.Stream<ServiceRegistry.Change, never, ServiceRegistry> =>
    Stream.unwrap(Effect.map(ServiceRegistry, (registry) => registry.watch(options)))

  /**
   * Replaces the metadata of a registration; whoever knows the name may. Its token and its place in `list` stay.
   * ServiceNotFound, or RegistryError `invalid_metadata`.
   */
  static readonly update = (
    name: string,
    metadata: ServiceRegistry.Metadata
  ): Effect.Effect<ServiceRegistry.Registration, ServiceNotFound | RegistryError, ServiceRegistry> =>
    using((registry) => registry.update(name, metadata))

  /**
   * Makes a process a member of a group until the scope closes or its fiber ends. A group has any number of members, and
   * a process may be in many groups. Each call is a membership of its own: who joins twice is picked twice as often.
   * RegistryError as in `register`.
   *
   * @example
   * import { ServiceRegistry, Telemetry } from "effect-foundation"
   * import { Effect, Layer } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   yield* ServiceRegistry.join("resize", "http://10.0.0.1:9000")
   *   yield* ServiceRegistry.join("resize", "http://10.0.0.2:9000")
   *   const first = yield* ServiceRegistry.pick("resize")
   *   const second = yield* ServiceRegistry.pick("resize")
   *   const same = yield* ServiceRegistry.pick("resize", { key: "image-17" })
   *   yield* Effect.log(`${first.process} ${second.process} ${same.process}`)
   * })
   *
   * const layer = Layer.provide(ServiceRegistry.layer, Telemetry.layer)
   * program.pipe(Effect.scoped, Effect.provide(layer), Effect.runPromise)
   */
  static readonly join = (
    group: string,
    process: ServiceRegistry.Process | string,
    metadata?: ServiceRegistry.Metadata
  ): Effect.Effect<ServiceRegistry.Member, RegistryError, ServiceRegistry | Scope.Scope> =>
    using((registry) => registry.join(group, process, metadata))

  /** The living members of the group, in the order in which they joined. */
  static readonly members = (
    group: string
  ): Effect.Effect<ReadonlyArray<ServiceRegistry.Member>, never, ServiceRegistry> =>
    using((registry) => registry.members(group))

  /**
   * One living member of the group, by turns (`"round-robin"`) where no other strategy is given; see
   * {@link ServiceRegistry.Strategy}. ServiceNotFound when there is none.
   */
  static readonly pick = (
    group: string,
    strategy?: ServiceRegistry.Strategy
  ): Effect.Effect<ServiceRegistry.Member, ServiceNotFound, ServiceRegistry> =>
    using((registry) => registry.pick(group, strategy))
}
