import type * as SqlClient from "@effect/sql/SqlClient"
import type { PgClientConfig } from "@effect/sql-pg/PgClient"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { Client, type ClientConfig, escapeIdentifier } from "pg"
import { deadline } from "../../deadline.js"
import { monotonicMicros } from "../../monotonic.js"
import { failureOf, type SqlFailure, timedOut } from "../Failure.js"
import type { Listener, NoticesOptions } from "../Notices.js"

/**
 * LISTEN over a connection of our own: that of @effect/sql-pg does not tell when it has died. One connection serves all
 * listeners of a client; while it is down they are told so, and when another stands, to look for what they have missed.
 */

/** How often an idle connection is asked whether it still stands; a network that was cut says nothing by itself. */
const pingEvery = Duration.seconds(2)
/** How long connecting, listening and a ping may take. */
const answerWithin = Duration.seconds(3)
/** From 50 ms up to 1 s between attempts to connect, jittered so that the processes of a fleet do not come at once. */
const backoff = Schedule.exponential("50 millis").pipe(Schedule.union(Schedule.spaced("1 second")), Schedule.jittered)
/** Between the loss of a connection that stood and the next attempt: a server may end each as soon as it stands. */
const rest = Schedule.jittered(Schedule.spaced("50 millis"))

/** The connections by client, and how many listen over each. */
const shared = new WeakMap<object, Shared>()

interface Shared {
  readonly connection: Connection
  readonly scope: Scope.CloseableScope
  uses: number
}

export const listenPostgres = (
  sql: SqlClient.SqlClient,
  options: NoticesOptions,
  listener: Listener
): Effect.Effect<void, SqlFailure, Scope.Scope> =>
  Effect.acquireRelease(acquire(sql), release(sql)).pipe(
    Effect.flatMap(({ connection }) =>
      Effect.acquireRelease(connection.add(options, listener), () => connection.remove(options, listener))
    ),
    Effect.flatten
  )

const acquire = (sql: SqlClient.SqlClient) =>
  Effect.suspend(() => {
    const known = shared.get(sql)
    if (known !== undefined) {
      known.uses++
      return Effect.succeed(known)
    }
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const connection = new Connection(settingsOf(sql))
      const made: Shared = { connection, scope, uses: 1 }
      shared.set(sql, made)
      yield* Effect.forkIn(Effect.interruptible(connection.run), scope)
      return made
    })
  })

const release = (sql: SqlClient.SqlClient) => (held: Shared) =>
  Effect.suspend(() => {
    if (--held.uses > 0) return Effect.void
    shared.delete(sql)
    return Scope.close(held.scope, Exit.void)
  })

/** Where and how to connect, as the client does. A client of sql-pg carries its configuration. */
const settingsOf = (sql: SqlClient.SqlClient): ClientConfig => {
  const config: PgClientConfig = "config" in sql ? (sql.config as PgClientConfig) : {} // the dialect is pg
  const settings = {
    connectionString: config.url === undefined ? undefined : Redacted.value(config.url),
    user: config.username,
    host: config.host,
    database: config.database,
    password: config.password === undefined ? undefined : Redacted.value(config.password),
    ssl: config.ssl,
    port: config.port,
    stream: config.stream,
    application_name: `${config.applicationName ?? "effect-foundation"} (listening)`,
    keepAlive: true,
    connectionTimeoutMillis: Duration.toMillis(answerWithin)
  }
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

/** A channel that is listened to. */
interface Channel extends Pick<NoticesOptions, "attending"> {
  readonly name: string
  readonly listeners: Set<Listener>
}

class Connection {
  private readonly channels = new Map<string, Channel>()
  /** The connection that stands, if one does. */
  private client: Client | undefined
  /** Done when the first attempt to connect has ended, however it did. */
  private readonly tried = Deferred.unsafeMake<void>(FiberId.none)

  constructor(private readonly settings: ClientConfig) {}

  /** Adds the listener; the effect inside waits until it hears, or until that failed once. */
  readonly add = ({ attending, channel: name }: NoticesOptions, listener: Listener) =>
    Effect.sync(() => {
      const channel = this.channels.get(name) ?? { name, attending, listeners: new Set() }
      channel.listeners.add(listener)
      this.channels.set(name, channel)
      const { client } = this
      if (client === undefined) return Deferred.await(this.tried)
      // Over a connection that stands it is heard from this answer on.
      return Effect.matchEffect(listenTo(client, channel), {
        onFailure: () => Effect.sync(() => drop(client)),
        onSuccess: () => Effect.sync(() => listener.resync())
      })
    })

  readonly remove = ({ channel: name }: NoticesOptions, listener: Listener) =>
    Effect.suspend(() => {
      const channel = this.channels.get(name)
      channel?.listeners.delete(listener)
      if (channel === undefined || channel.listeners.size > 0) return Effect.void
      this.channels.delete(name)
      const { client } = this
      return client === undefined ? Effect.void : Effect.ignore(ask(client, `UNLISTEN ${escapeIdentifier(name)}`))
    })

  /** Connects, and again whenever the connection is lost, until it is interrupted. */
  readonly run: Effect.Effect<unknown> = Effect.suspend(() => this.once).pipe(
    Effect.ensuring(Deferred.succeed(this.tried, undefined)),
    Effect.retry(backoff),
    Effect.orDie, // the backoff has no end
    Effect.repeat(rest)
  )

  /** One connection from its making to its loss. A loss after it stood is no failure, so that the backoff starts anew. */
  private readonly once: Effect.Effect<void, SqlFailure> = Effect.scoped(
    Effect.gen(this, function* () {
      const lost = yield* Deferred.make<void>()
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Client(this.settings)),
        (client) => Effect.sync(() => drop(client))
      )
      client.on("error", () => Deferred.unsafeDone(lost, Exit.void))
      client.on("end", () => Deferred.unsafeDone(lost, Exit.void))
      client.on("notification", ({ channel, payload }) => {
        for (const listener of this.channels.get(channel)?.listeners ?? []) listener.notified(payload ?? "")
      })
      yield* answering(() => client.connect())
      yield* this.listenAll(client, new Set())
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          this.client = undefined
          this.tell((listener) => listener.lost())
        })
      )
      yield* Deferred.succeed(this.tried, undefined)
      const pings = Effect.delay(this.ping(client), pingEvery).pipe(Effect.forever, Effect.ignore)
      yield* Effect.race(Deferred.await(lost), pings)
    })
  )

  /** The server tells of what was notified before it answers: so that all is heard that came before the question. */
  private ping(client: Client): Effect.Effect<void, SqlFailure> {
    return Effect.clockWith((clock) => {
      const began = monotonicMicros(clock)
      return Effect.map(ask(client, "SELECT 1"), () => this.tell((listener) => listener.heard?.(began)))
    })
  }

  /** Listens to every channel, those that come meanwhile too, and then takes the connection into use in the same step. */
  private listenAll(client: Client, heard: Set<string>): Effect.Effect<void, SqlFailure> {
    return Effect.suspend(() => {
      for (const channel of this.channels.values()) {
        if (heard.has(channel.name)) continue
        heard.add(channel.name)
        return Effect.zipRight(listenTo(client, channel), this.listenAll(client, heard))
      }
      this.client = client
      this.tell((listener) => listener.resync())
      return Effect.void
    })
  }

  private tell(what: (listener: Listener) => void): void {
    for (const { listeners } of this.channels.values()) for (const listener of listeners) what(listener)
  }
}

const ask = (client: Client, statement: string) => answering(() => client.query(statement))

const listenTo = (client: Client, { attending, name }: Channel) => {
  const listened = ask(client, `LISTEN ${escapeIdentifier(name)}`)
  return attending === undefined ? listened : Effect.zipRight(listened, ask(client, attending))
}

const answering = (call: () => Promise<unknown>): Effect.Effect<void, SqlFailure> =>
  deadline(Effect.tryPromise({ try: call, catch: failureOf }), answerWithin, timedOut)

/** How long a server has to close its side of a connection that has ended. */
const closeWithin = 1_000

/** Ends the connection, without waiting for a server that may not answer. */
const drop = (client: Client): void => {
  client.end().catch(() => undefined)
  const { stream } = client.connection
  if (stream.destroyed) return
  // The socket that a frozen server does not close would keep the process from ending. Of real time, as sockets are.
  // @effect-diagnostics-next-line globalTimers:off
  const timer = setTimeout(() => stream.destroy(), closeWithin)
  stream.once("close", () => clearTimeout(timer))
}
