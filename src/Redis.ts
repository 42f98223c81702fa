import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ConfigError } from "./FoundationError.js"
import { Client, type Argument as RedisArgument } from "./Redis/Client.js"
import { clientOf, type IoRedis as IoRedisType, linkOf } from "./Redis/IoRedis.js"
import type { Done } from "./Redis/Lane.js"
import type { Notification as RedisNotification } from "./Redis/Notification.js"
import type {
  ClusterOptions as RedisClusterOptions,
  Options as RedisOptions,
  SentinelOptions as RedisSentinelOptions,
  UrlOptions as RedisUrlOptions
} from "./Redis/Options.js"
import { type Problem, unreachable } from "./Redis/Problem.js"
import type { RedisError as RedisErrorType } from "./Redis/RedisError.js"
import { type Script as RedisScript, script } from "./Redis/Script.js"
import { type Listener as RedisListener, Subscriptions } from "./Redis/Subscriptions.js"
import { targetOf } from "./Redis/Target.js"
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

/** The service over a client of ioredis. `close` says what is to become of the client at the end. */
const make = (
  io: IoRedisType,
  shown: string,
  close: (client: Client) => void
): Effect.Effect<{ readonly service: Redis.Service; readonly client: Client }, never, Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const telemetry = yield* Telemetry
    const runtime = yield* Effect.runtime<never>()
    const changed = (problem: string | undefined) => {
      telemetry.emit(
        "redis.status",
        { count: 1 },
        { address: shown, available: problem === undefined, problem: problem ?? "" }
      )
      const log =
        problem === undefined
          ? Effect.logInfo(`The Redis at ${shown} answers`)
          : Effect.logWarning(`The Redis at ${shown} cannot be used now: ${problem}`)
      Runtime.runFork(runtime, log)
    }
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => new Client(io, changed)),
      (client) => Effect.sync(() => close(client))
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
      isCluster: client.isCluster,
      run: (script, keys, args, millis) => answerOf((done) => client.run(script, keys, args, millis, done)),
      unsafeRun: (script, keys, args, millis, done) => client.run(script, keys, args, millis, done),
      notifications: (channel) =>
        Stream.asyncPush<Redis.Notification>((emit) =>
          Effect.acquireRelease(
            Effect.sync(() => subscriptions.add(channel, (notification) => void emit.single(notification))),
            (unsubscribe) => Effect.sync(unsubscribe)
          )
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
    const { client, service } = yield* make(clientOf(target), target.shown, (client) => client.close())
    const problem = yield* Effect.async<Problem | undefined>((resume) =>
      client.connect(target.connectTimeout, (problem) => resume(Effect.succeed(problem)))
    )
    if (problem !== undefined && (problem.lasting || options.whenUnreachable === "fail")) {
      return yield* Effect.fail(unreachable(target.shown, problem))
    }
    return service
  })

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
    Layer.scoped(
      Redis,
      Effect.map(
        make(client, "the client given", (client) => client.detach()),
        ({ service }) => service
      )
    )

  /** The Lua script as `run` takes it; to be made once. */
  static readonly script = script
}
