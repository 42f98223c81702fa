import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Condition } from "./Foundation/Health/Condition.js"
import { type AlreadyRegistered, ConfigError, type RegistryError, type ServiceNotFound } from "./FoundationError.js"
import { accessing } from "./internal/access.js"
import type * as Backend from "./ServiceRegistry/Backend.js"
import { acceptCapacity, defaultCapacity } from "./ServiceRegistry/Capacity.js"
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
     * How many registrations and group memberships there may be together: 10,000,000 by default, 16,000,000 at most. At
     * the capacity, `register` and `join` fail with RegistryError `registry_full`; existing registrations stay.
     */
    readonly capacity?: number
  }

  interface Service {
    readonly register: (
      name: string,
      process: Process | string,
      metadata?: Metadata
    ) => Effect.Effect<Registration, AlreadyRegistered | RegistryError, Scope.Scope>
    readonly lookup: (name: string) => Effect.Effect<Registration, ServiceNotFound | RegistryError>
    readonly lookupOption: (name: string) => Effect.Effect<Option.Option<Registration>, RegistryError>
    /** `lookup` in a synchronous step, for code that has no fiber to yield to. Undefined where that fails. */
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
    readonly pick: (group: string, strategy?: Strategy) => Effect.Effect<Member, ServiceNotFound | RegistryError>
    readonly isValid: (registration: Registration | Member) => Effect.Effect<boolean>
    readonly ended: (registration: Registration | Member) => Effect.Effect<EndReason>
    readonly staleness: Effect.Effect<Duration.Duration>
    /** What `Foundation.health` says of it. Without it, it is up. */
    readonly health?: Effect.Effect<Condition>
  }
}

const make = (
  backend: ServiceRegistry.Backend,
  options: ServiceRegistry.Options = {}
): Effect.Effect<ServiceRegistry.Service, ConfigError, Telemetry> =>
  Effect.suspend(() => {
    const capacity = acceptCapacity(options.capacity)
    return capacity instanceof ConfigError
      ? Effect.fail(capacity)
      : Effect.map(makeRegistry(backend, capacity), ({ service }) => service)
  })

const using = accessing(() => ServiceRegistry)

/**
 * Registers running fibers and addresses under names, and in groups to choose from.
 *
 * A registration ends when its scope closes or its fiber ends, whichever comes first. Reads are answered from memory in
 * one synchronous step, and never return a fiber that has ended.
 */
export class ServiceRegistry extends Context.Tag("effect-foundation/ServiceRegistry")<
  ServiceRegistry,
  ServiceRegistry.Service
>() {
  /**
   * The service on the given backend, which decides between processes that claim the same name. Fails with ConfigError
   * if `capacity` is not a whole number from 1 to 16,000,000.
   */
  static readonly make = make

  /** A registry in the memory of this process, with the default capacity of 10,000,000. */
  static readonly layer: Layer.Layer<ServiceRegistry, never, Telemetry> = Layer.effect(
    ServiceRegistry,
    Effect.map(
      Effect.flatMap(Memory.make, (backend) => makeRegistry(backend, defaultCapacity)),
      ({ service }) => service
    )
  )

  /** `layer` with another capacity. Fails with ConfigError if it is not a whole number from 1 to 16,000,000. */
  static readonly layerMemory = (
    options: ServiceRegistry.Options
  ): Layer.Layer<ServiceRegistry, ConfigError, Telemetry> =>
    Layer.effect(
      ServiceRegistry,
      Effect.flatMap(Memory.make, (backend) => make(backend, options))
    )

  /**
   * Registers a process under a name until the scope closes or, if the process is a fiber, until it ends, whichever
   * comes first.
   *
   * The process is a running fiber or an address: a `URL`, or a string such as `"http://localhost:8080"`. When several
   * register the same name at the same time, exactly one succeeds; the others fail with AlreadyRegistered. Interruption
   * leaves no registration behind.
   *
   * `metadata` is public: `lookup`, `list` and `watch` return it to anyone, and it is the `holder` of AlreadyRegistered,
   * which an HTTP endpoint may send to a client. Put no secrets in it. In the error only, fields that are named like
   * secrets (`password`, `apiKey`) are redacted and long values are cut.
   *
   * Fails with RegistryError: `invalid_name` (a name has 1 to 256 characters and no control characters),
   * `invalid_process` (a fiber that has ended, or a string that is not a URL), `invalid_metadata` (not JSON, or more
   * than 16,384 bytes of it), `registry_full`.
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
   * The registration of the name. Fails with ServiceNotFound if there is none. One map read, whatever the number of
   * names.
   *
   * RegistryError `stale` is only met where a registry is shared and told to fail when what it knows is too old. In
   * memory it does not happen.
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
  ): Effect.Effect<ServiceRegistry.Registration, ServiceNotFound | RegistryError, ServiceRegistry> =>
    using((registry) => {
      const found = registry.unsafeLookup(name)
      return found === undefined ? registry.lookup(name) : Effect.succeed(found)
    })

  /** The registration of the name, if there is one. RegistryError is that of `lookup`. */
  static readonly lookupOption = (
    name: string
  ): Effect.Effect<Option.Option<ServiceRegistry.Registration>, RegistryError, ServiceRegistry> =>
    using((registry) => registry.lookupOption(name))

  /**
   * The registration of the name, as soon as there is one. It misses none: if there is none yet, it returns the first
   * that is made after the call, even if that one has ended by the time the caller continues.
   *
   * Fails with RegistryError `invalid_name` if nothing can ever be registered under the name.
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

  /** All registrations, or those selected by `name` or `prefix`, in the order in which they were made. */
  static readonly list = (
    selection?: ServiceRegistry.Selection
  ): Effect.Effect<ReadonlyArray<ServiceRegistry.Registration>, never, ServiceRegistry> =>
    using((registry) => registry.list(selection))

  /**
   * What is registered, and every change to it from then on: of all names, of one `name`, or of those with a `prefix`.
   *
   * The first element is a `Snapshot` of the current registrations. Every `Registered`, `Updated` and `Unregistered`
   * follows in order, with none missing. The stream does not end. A slow watcher delays nobody: when `buffer` changes
   * (1,024 by default) are unread and another comes, a new `Snapshot` replaces them all. A `buffer` that is not a whole
   * number from 1 is a defect (ConfigError).
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
    Stream.unwrap(using((registry) => Effect.succeed(registry.watch(options))))

  /**
   * Replaces the metadata of a registration, which then is as public as that of `register`. Anyone who knows the name may
   * do so. The token and the place in `list` stay.
   *
   * Fails with ServiceNotFound, or with RegistryError `invalid_metadata`.
   */
  static readonly update = (
    name: string,
    metadata: ServiceRegistry.Metadata
  ): Effect.Effect<ServiceRegistry.Registration, ServiceNotFound | RegistryError, ServiceRegistry> =>
    using((registry) => registry.update(name, metadata))

  /**
   * Makes a process a member of a group until the scope closes or its fiber ends. A group has any number of members, and
   * a process may be in many groups. Each call is a membership of its own: a process that joins twice is picked twice as
   * often.
   *
   * Fails with RegistryError as `register` does.
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

  /** The running members of the group, in the order in which they joined; empty if there is no such group. */
  static readonly members = (
    group: string
  ): Effect.Effect<ReadonlyArray<ServiceRegistry.Member>, never, ServiceRegistry> =>
    using((registry) => registry.members(group))

  /**
   * Chooses one running member of the group, by default in turns (`"round-robin"`); see {@link ServiceRegistry.Strategy}
   * for the others. Fails with ServiceNotFound if there is no member to choose. RegistryError is that of `lookup`.
   */
  static readonly pick = (
    group: string,
    strategy?: ServiceRegistry.Strategy
  ): Effect.Effect<ServiceRegistry.Member, ServiceNotFound | RegistryError, ServiceRegistry> =>
    using((registry) => registry.pick(group, strategy))

  /**
   * Whether this very registration or membership still counts, at this moment: it has not ended, and no other has its
   * place. Where a lease keeps it, the answer turns false before another process can take the name, also when this one
   * was stopped for a while. What is written elsewhere afterwards may still arrive late: let the other side refuse a
   * `token` that is lower than one it has seen.
   *
   * @example
   * import { ServiceRegistry, Telemetry } from "effect-foundation"
   * import { Effect, Layer } from "effect"
   *
   * const program = Effect.gen(function* () {
   *   const leader = yield* ServiceRegistry.register("leader", "http://localhost:8080")
   *   if (yield* ServiceRegistry.isValid(leader)) yield* Effect.log(`leading, with token ${leader.token}`)
   * })
   *
   * const layer = Layer.provide(ServiceRegistry.layer, Telemetry.layer)
   * program.pipe(Effect.scoped, Effect.provide(layer), Effect.runPromise)
   */
  static readonly isValid = (
    registration: ServiceRegistry.Registration | ServiceRegistry.Member
  ): Effect.Effect<boolean, never, ServiceRegistry> => using((registry) => registry.isValid(registration))

  /**
   * Waits for the end of this very registration or membership, and returns why it ended. Work that may go on no longer
   * than that races with it. If it has ended before the call, that is `"ended"` for a fiber and `"lost"` for the rest.
   *
   * @example
   * import { ServiceRegistry, Telemetry } from "effect-foundation"
   * import { Effect, Layer } from "effect"
   *
   * const lead = Effect.delay(Effect.succeed("done"), "10 millis")
   * const program = Effect.gen(function* () {
   *   const leader = yield* ServiceRegistry.register("leader", "http://localhost:8080")
   *   yield* Effect.log(yield* Effect.race(lead, ServiceRegistry.ended(leader)))
   * })
   *
   * const layer = Layer.provide(ServiceRegistry.layer, Telemetry.layer)
   * program.pipe(Effect.scoped, Effect.provide(layer), Effect.runPromise)
   */
  static readonly ended = (
    registration: ServiceRegistry.Registration | ServiceRegistry.Member
  ): Effect.Effect<ServiceRegistry.EndReason, never, ServiceRegistry> =>
    using((registry) => registry.ended(registration))

  /**
   * For how long what is known of other processes may have been out of date; 0 in memory, where there are none. What is
   * registered here is known at all times.
   */
  static readonly staleness: Effect.Effect<Duration.Duration, never, ServiceRegistry> = using(
    (registry) => registry.staleness
  )
}
