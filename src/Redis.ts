import * as Clock from "effect/Clock"
import type * as EffectConfig from "effect/Config"
import type { ConfigError as EffectConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ConfigError } from "./FoundationError.js"
import { type Client, clientOver, connect as connectClient, type Argument as RedisArgument } from "./Redis/Client.js"
import { clientOf, disconnect, type IoRedis as IoRedisType, keyspaceOf, linkOf } from "./Redis/IoRedis.js"
import type { Done } from "./Redis/Lane.js"
import { gap, type Notification as RedisNotification } from "./Redis/Notification.js"
import type {
  ClusterOptions as RedisClusterOptions,
  Options as RedisOptions,
  SentinelOptions as RedisSentinelOptions,
  UrlOptions as RedisUrlOptions
} from "./Redis/Options.js"
import { unreachable } from "./Redis/Problem.js"
import type { RedisError as RedisErrorType } from "./Redis/RedisError.js"
import { type Script as RedisScript, script } from "./Redis/Script.js"
import { type Listener as RedisListener, Subscriptions } from "./Redis/Subscriptions.js"
import { type Target, targetOf } from "./Redis/Target.js"
import { Telemetry } from "./Telemetry.js"

export declare namespace Redis {
  /** One server, the master that sentinels name, or a cluster. */
  type Options = RedisOptions
  type UrlOptions = RedisUrlOptions
  type SentinelOptions = RedisSentinelOptions
  type ClusterOptions = RedisClusterOptions
  /** A connection of ioredis that is there already. */
  type IoRedis = IoRedisType
  /** A Lua script, as `Redis.script` makes it. */
  type Script = RedisScript
  type Argument = RedisArgument
  type Error = RedisErrorType
  type Notification = RedisNotification
  type Listener = RedisListener
  /** Whether commands are sent now; and where not, why. */
  type Status = { readonly available: true } | { readonly available: false; readonly problem: string }

  interface Service {
    /** Whether this is a cluster, where all keys of one script must be in one slot: have the same hash tag. */
    readonly isCluster: boolean
    /**
     * Where the keys are, among all that one server has: the database, and what the client puts before keys. Channels are
     * not kept apart by either: what is published to the readers of certain keys goes to a channel that names this.
     */
    readonly keyspace: string
    /**
     * Runs the script, with one command where Redis knows it, and waits at most so many milliseconds for the answer. It is
     * sent once: where the answer does not come, the script may have run (`timeout`, `connection_lost`) or not.
     */
    readonly run: (
      script: Script,
      keys: ReadonlyArray<string>,
      args: ReadonlyArray<Argument>,
      millis: number
    ) => Effect.Effect<unknown, Error>
    /** As `run`, without an effect: `done` is called once, also in this step where the script is not sent. */
    readonly unsafeRun: (
      script: Script,
      keys: ReadonlyArray<string>,
      args: ReadonlyArray<Argument>,
      millis: number,
      done: (error: Error | undefined, reply: unknown) => void
    ) => void
    /**
     * What is published on the channel from now on, with a `Gap` each time that the subscription begins to hold: at first,
     * and after every interruption. It never ends by itself, and never fails.
     */
    readonly notifications: (channel: string) => Stream.Stream<Notification>
    /** As `notifications`, without a stream: calls the listener, which must not throw, until the answer is called. */
    readonly unsafeSubscribe: (channel: string, listener: Listener) => () => void
    /** Whether Redis answers within so many milliseconds. */
    readonly ping: (millis: number) => Effect.Effect<void, Error>
    readonly status: Effect.Effect<Status>
    readonly unsafeStatus: () => Status
  }
}

/** So many notifications wait for a slow listener; past it they are dropped, and it hears of a gap. */
const maxBacklog = 10_000

/** A Redis that answers now and again is a warning at most so often, in milliseconds; telemetry tells of each time. */
const warnEvery = 10_000

/** The service over a client of ioredis; `own` is whether that ends with it. */
const make = (
  io: IoRedisType,
  target: Pick<Target, "shown" | "connectTimeout">,
  own: boolean
): Effect.Effect<{ readonly service: Redis.Service; readonly client: Client }, never, Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const telemetry = yield* Telemetry
    const runtime = yield* Effect.runtime<never>()
    let warnedAt = Number.NEGATIVE_INFINITY
    let isWarned = false
    const log = (problem: string | undefined) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (problem === undefined) {
          if (!isWarned) return Effect.void
          isWarned = false
          return Effect.logInfo(`The Redis at ${target.shown} answers again`)
        }
        if (now - warnedAt < warnEvery) return Effect.void
        warnedAt = now
        isWarned = true
        return Effect.logWarning(`The Redis at ${target.shown} cannot be used now: ${problem}`)
      })
    const changed = (problem: string | undefined) => {
      telemetry.emit(
        "redis.status",
        { count: 1 },
        { address: target.shown, available: problem === undefined, problem: problem ?? "" }
      )
      Runtime.runFork(runtime, log(problem))
    }
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => clientOver(io, target.connectTimeout, changed)),
      (client) =>
        Effect.sync(() => {
          client.detach()
          if (own) disconnect(io)
        })
    )
    const subscriptions = yield* Effect.acquireRelease(
      Effect.sync(() => new Subscriptions(linkOf(io))),
      (subscriptions) => Effect.sync(() => subscriptions.close())
    )
    const unsafeStatus = (): Redis.Status => {
      const { problem } = client
      return problem === undefined ? { available: true } : { available: false, problem: problem.text }
    }
    const service: Redis.Service = {
      isCluster: io.isCluster,
      keyspace: keyspaceOf(io),
      run: (script, keys, args, millis) => answerOf((done) => client.run(script, keys, args, millis, done)),
      unsafeRun: (script, keys, args, millis, done) => client.run(script, keys, args, millis, done),
      notifications: (channel) =>
        Stream.unwrapScoped(
          Effect.gen(function* () {
            const queue = yield* Queue.unbounded<RedisNotification>()
            const listener = (notification: RedisNotification) => {
              if (queue.unsafeSize().pipe(Option.getOrElse(() => 0)) < maxBacklog) {
                queue.unsafeOffer(notification)
              } else {
                Effect.runSync(Queue.takeAll(queue))
                queue.unsafeOffer(gap)
              }
            }
            yield* Effect.acquireRelease(
              Effect.sync(() => subscriptions.add(channel, listener)),
              (unsubscribe) => Effect.sync(unsubscribe)
            )
            return Stream.fromQueue(queue)
          })
        ),
      unsafeSubscribe: (channel, listener) => subscriptions.add(channel, listener),
      ping: (millis) => Effect.asVoid(answerOf((done) => client.ping(millis, done))),
      status: Effect.sync(unsafeStatus),
      unsafeStatus
    }
    return { service, client }
  })

const connect = (options: RedisOptions): Effect.Effect<Redis.Service, ConfigError, Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const target = yield* targetOf(options)
    const { client, service } = yield* make(clientOf(target), target, true)
    yield* connected(client, target.connectTimeout)
    const { problem } = client
    if (problem !== undefined && (problem.lasting || options.whenUnreachable === "fail")) {
      return yield* Effect.fail(unreachable(target.shown, problem))
    }
    return service
  })

/** How a client that is given is spoken of, and how long it has for connecting. */
const given = { shown: "the address of the client given", connectTimeout: 2000 } as const

const fromClient = (io: IoRedisType): Effect.Effect<Redis.Service, never, Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const { client, service } = yield* make(io, given, false)
    yield* connected(client, given.connectTimeout)
    return service
  })

const connected = (client: Client, millis: number): Effect.Effect<void> =>
  Effect.async((resume) => connectClient(client, millis, () => resume(Effect.void)))

const answerOf = (send: (done: Done) => void): Effect.Effect<unknown, RedisErrorType> =>
  Effect.async((resume) => {
    send((error, reply) => resume(error === undefined ? Effect.succeed(reply) : Effect.fail(error)))
  })

/**
 * The connection through which limits and circuits are shared: one Redis server, the master that sentinels name, or a
 * cluster. Needs `ioredis`.
 *
 * No command waits for a connection, or is sent a second time. While there is none, or Redis does not answer on it,
 * commands fail at once; connections are made anew by themselves, after 50 ms first and at most 2 s later. That it begins
 * and ends is told by telemetry (`redis.status`) and in the log.
 */
export class Redis extends Context.Tag("effect-foundation/Redis")<Redis, Redis.Service>() {
  /**
   * A connection of its own, for as long as the layer lives. The layer waits for it (`connectTimeout`, 2 seconds). Fails
   * with ConfigError where no later attempt could succeed: the options are wrong, the host does not exist, the password is
   * wrong, what answers is no Redis. If Redis only cannot be reached now, it starts nevertheless, unless `whenUnreachable`
   * is `"fail"`.
   *
   * @example
   * import { Redis } from "effect-foundation/Redis"
   * import { Redacted } from "effect"
   *
   * export const One = Redis.layer({ url: "rediss://limits@redis.internal:6379/1", password: Redacted.make("…") })
   *
   * export const Failover = Redis.layer({ name: "limits", sentinels: [{ host: "10.0.0.1", port: 26379 }] })
   *
   * export const Sharded = Redis.layer({ cluster: [{ host: "10.0.0.1", port: 7000 }, { host: "10.0.0.2", port: 7000 }] })
   */
  static readonly layer = (options: RedisOptions): Layer.Layer<Redis, ConfigError, Telemetry> =>
    Layer.scoped(Redis, connect(options))

  /** Over a connection of ioredis that is there already; it stays open when the layer ends. */
  static readonly fromClient = (client: IoRedisType): Layer.Layer<Redis, never, Telemetry> =>
    Layer.scoped(Redis, fromClient(client))

  /**
   * As `layer`, with options from `effect/Config`, where the url or a password can be `Config.redacted`.
   *
   * @example
   * import { Redis } from "effect-foundation/Redis"
   * import { Config } from "effect"
   *
   * export const Live = Redis.layerConfig(Config.map(Config.redacted("REDIS_URL"), (url) => ({ url })))
   */
  static readonly layerConfig = (
    options: EffectConfig.Config<RedisOptions>
  ): Layer.Layer<Redis, ConfigError | EffectConfigError, Telemetry> =>
    Layer.scoped(Redis, Effect.flatMap(options, connect))

  /** The Lua script as `run` takes it; to be made once. */
  static readonly script = script
}
