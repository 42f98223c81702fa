import { randomInt } from "node:crypto"
import { Cluster, Redis, type RedisOptions } from "ioredis"
import type { Link } from "./Subscriptions.js"
import type { Target } from "./Target.js"

/** A connection of ioredis, to one server, through sentinels, or to a cluster. */
export type IoRedis = Redis | Cluster
export type IoNode = Redis
export type IoCluster = Cluster

/** Between attempts, in milliseconds: twice as long each time, and not the same in every process. */
const shortestDelay = 50
const longestDelay = 2000
const delay = (attempt: number): number => {
  const most = Math.min(longestDelay, shortestDelay * 2 ** Math.min(attempt, 10))
  return most / 2 + randomInt(most / 2)
}

/** What every connection has: no command waits for a connection, is sent twice, or outlives the connection it was sent on. */
const options = (target: Target): RedisOptions => ({
  username: target.username,
  password: target.password,
  ...(target.tls === undefined ? {} : { tls: target.tls }),
  db: target.database,
  family: target.family,
  connectTimeout: target.connectTimeout,
  disconnectTimeout: 100,
  keepAlive: 10_000,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  disableClientInfo: true,
  connectionName: "effect-foundation",
  lazyConnect: true,
  retryStrategy: delay,
  reconnectOnError: isNoMaster()
})

/**
 * A master that has become a replica refuses what scripts write, and the next connection may find the new one. Where it
 * finds the same, it stays for a while: one that is made counts as a success, after which the delays begin anew.
 */
const isNoMaster = () => {
  let foundAt = Number.NEGATIVE_INFINITY
  return ({ message }: Error): boolean => {
    // Redis 6 says it behind words about the script.
    if (!message.includes("READONLY You can't write")) return false
    const now = performance.now()
    if (now - foundAt < longestDelay) return false
    foundAt = now
    return true
  }
}

/** Those that are to end. */
const ending = new WeakSet<IoRedis>()

/**
 * ioredis gives an attempt up where a sentinel tells of a new master before it has answered which one that is, and makes no
 * other by itself.
 */
const lasting = (options: RedisOptions): Redis => {
  const redis = new Redis(options)
  const again = () => {
    if (!ending.has(redis)) redis.connect().catch(ignored)
  }
  // @effect-diagnostics-next-line globalTimers:off
  return redis.on("end", () => setTimeout(again, shortestDelay))
}

const ignored = (): void => undefined

/** Not connected yet: `connect` does it. */
export const clientOf = (target: Target): IoRedis => {
  const common = options(target)
  const [address] = target.addresses
  switch (target.kind) {
    case "single":
      return new Redis({ ...common, ...address })
    case "sentinel":
      return lasting({
        ...common,
        sentinels: target.addresses.map((address) => ({ ...address })),
        name: target.name ?? "",
        sentinelUsername: target.sentinelUsername,
        sentinelPassword: target.sentinelPassword,
        sentinelCommandTimeout: target.connectTimeout,
        sentinelRetryStrategy: delay,
        sentinelReconnectStrategy: delay,
        failoverDetector: true,
        ...(target.tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: target.tls })
      })
    case "cluster":
      return new Cluster([...target.addresses], {
        lazyConnect: true,
        enableOfflineQueue: false,
        clusterRetryStrategy: delay,
        clusterNodeRetryStrategy: delay,
        // A command that could not be sent, or was not answered, is not sent again behind its caller's back.
        retryDelayOnFailover: 0,
        retryDelayOnClusterDown: 0,
        slotsRefreshTimeout: target.connectTimeout,
        slotsRefreshInterval: 5000,
        redisOptions: common
      })
  }
}

/** The database, and what the client puts before keys. */
export const keyspaceOf = (io: IoRedis): string =>
  `${io instanceof Cluster ? 0 : (io.options.db ?? 0)}${io.options.keyPrefix ?? ""}`

/** Ends it. What it says of that, nobody listens to. */
export const disconnect = (io: IoRedis): void => {
  ending.add(io)
  io.on("error", ignored)
  io.disconnect()
}

/** Where the subscriptions of this process go: a connection of their own, beside that of the commands. */
export const linkOf = (io: IoRedis): Link => ({
  delay,
  open: (channels, on) => {
    const redis = subscriberOf(io)
    let isOver = false
    const down = () => {
      if (isOver) return
      isOver = true
      on.down()
    }
    redis.on("error", () => undefined)
    redis.on("end", down)
    redis.on("message", (channel: string, text: string) => {
      if (!isOver) on.message(channel, text)
    })
    const subscribe = (channels: ReadonlyArray<string>, done: () => void) =>
      redis.subscribe(...channels).then(() => {
        if (!isOver) done()
      }, down)
    redis.connect().then(() => subscribe(channels, on.up), down)
    return {
      subscribe: (channel, done) => void subscribe([channel], done),
      unsubscribe: (channel) => void redis.unsubscribe(channel).catch(() => undefined),
      ping: (done) => void redis.ping().then(done, () => undefined),
      close: () => {
        isOver = true
        redis.disconnect()
      }
    }
  }
})

const ofSubscriber: RedisOptions = {
  lazyConnect: true,
  retryStrategy: () => null,
  enableOfflineQueue: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0
}

/** In a cluster each node passes on what is published at any. */
const subscriberOf = (io: IoRedis): Redis => {
  if (!(io instanceof Cluster)) return io.duplicate(ofSubscriber)
  const nodes = io.nodes()
  const node = nodes.length === 0 ? undefined : nodes[randomInt(nodes.length)]
  return node?.duplicate({ ...ofSubscriber, readOnly: false }) ?? new Redis({ ...ofSubscriber, port: 1 })
}
