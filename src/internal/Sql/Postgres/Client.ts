import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Client, Pool, type PoolConfig } from "pg"
import { ConfigError } from "../../../FoundationError.js"
import { acceptDuration } from "../../acceptDuration.js"
import { deadline } from "../../deadline.js"
import { defaultDeadline, guarded } from "../Guard.js"
import { invalidOption } from "../Options.js"
import { outside } from "../outside.js"
import { unusable } from "../unusable.js"
import { keepPool } from "./Prepared.js"

export interface PostgresOptions {
  /** `postgres://user:password@host:5432/database`, with the parameters of the driver: `?sslmode=verify-full`. */
  readonly url: string | Redacted.Redacted
  /** How many connections there are at most: 10. Listening takes one more. */
  readonly maxConnections?: number | undefined
  /** How long to wait for a connection: 5 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * After how long of silence a connection that waits for an answer is given up: 1 minute. It ends what a network that was
   * cut would hold for a quarter of an hour; a statement that takes longer, and says nothing meanwhile, ends too.
   */
  readonly silence?: Duration.DurationInput | undefined
  readonly applicationName?: string | undefined
}

/** A client of PostgreSQL. What keeps it from connecting is a ConfigError, without the password. */
export const postgresClient = (
  options: PostgresOptions
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, ConfigError> =>
  Effect.gen(function* () {
    const accepted = accept(options)
    if (accepted instanceof ConfigError) return yield* accepted
    const { connectTimeout, pool, silence } = accepted
    const connecting = Effect.gen(function* () {
      const connections = yield* pooled(pool, silence)
      const sql = yield* PgClient.fromPool({ acquire: Effect.succeed(connections) })
      keepPool(sql, connections)
      // What is wrong is told at the start, and not by whoever comes first.
      yield* sql`select 1`
      return Context.make(PgClient.PgClient, sql).pipe(Context.add(SqlClient.SqlClient, sql))
    })
    return yield* Effect.mapError(guarded(connecting, connectTimeout), unusable("postgres.url"))
  }).pipe(outside, Layer.scopedContext, Layer.provide(Reactivity.layer))

interface Accepted {
  readonly pool: PoolConfig
  readonly connectTimeout: Duration.Duration
  readonly silence: Duration.Duration
}

const accept = (options: PostgresOptions): Accepted | ConfigError => {
  const { applicationName = "effect-foundation", maxConnections = 10 } = options
  const url = acceptUrl(Redacted.isRedacted(options.url) ? Redacted.value(options.url) : options.url)
  if (url instanceof ConfigError) return url
  if (!Number.isSafeInteger(maxConnections) || maxConnections < 1) {
    return invalidOption("postgres.maxConnections", "must be a whole number, and at least 1")
  }
  const connectTimeout = acceptDuration("postgres.connectTimeout", options.connectTimeout ?? defaultDeadline)
  if (connectTimeout instanceof ConfigError) return connectTimeout
  const silence = acceptDuration("postgres.silence", options.silence ?? "1 minute")
  if (silence instanceof ConfigError) return silence
  const pool = {
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: Duration.toMillis(connectTimeout),
    application_name: applicationName,
    keepAlive: true
  }
  return { pool, connectTimeout, silence }
}

const acceptUrl = (url: unknown): string | ConfigError => {
  const isUrl = typeof url === "string" && /^postgres(ql)?:\/\//.test(url) && URL.canParse(url)
  if (!isUrl) return badUrl()
  try {
    // The driver takes it apart, and reads the certificates that it names: it would throw when it connects.
    new Client({ connectionString: url })
    return url
  } catch (error) {
    return error instanceof URIError
      ? badUrl()
      : invalidOption("postgres.url", "names a file that cannot be read: correct sslrootcert, sslcert or sslkey")
  }
}

const badUrl = (): ConfigError =>
  invalidOption("postgres.url", "is no URL of a PostgreSQL database: write postgres://user:password@host:5432/database")

/** A pool of connections. Ending it waits for those in use, but not for long. */
const pooled = (config: PoolConfig, silence: Duration.Duration): Effect.Effect<Pool, never, Scope.Scope> =>
  Effect.suspend(() => {
    const streams = new Set<Duplex>()
    return Effect.acquireRelease(
      Effect.sync(() => {
        const pool = new Pool(config)
        // An idle connection has died: the pool makes another when it is needed.
        pool.on("error", () => undefined)
        pool.on("connect", (client) => {
          const { stream } = client.connection
          streams.add(stream)
          stream.once("close", () => streams.delete(stream))
          endSilence(client, Duration.toMillis(silence))
        })
        return pool
      }),
      (pool) =>
        deadline(
          Effect.promise(() => pool.end()),
          "1 second",
          () => undefined
        ).pipe(
          Effect.ignore,
          // What a frozen server does not close would keep the process from ending.
          Effect.zipRight(
            Effect.sync(() => {
              for (const stream of streams) stream.destroy()
            })
          )
        )
    )
  })

/** Destroys a connection that has sent more than was answered, and has heard nothing for so many milliseconds. */
const endSilence = ({ connection }: Client, silence: number): void => {
  const { stream } = connection
  if (!(stream instanceof Socket)) return
  let answered = stream.bytesWritten
  connection.on("readyForQuery", () => {
    answered = stream.bytesWritten
  })
  stream.setTimeout(silence, () => {
    if (stream.bytesWritten > answered) stream.destroy(new Error("No answer: connection timed out"))
  })
}
