import { Socket } from "node:net"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { type Client, Pool, type PoolConfig } from "pg"
import { ConfigError } from "../../../FoundationError.js"
import { deadline } from "../../deadline.js"
import { defaultDeadline, guarded } from "../Guard.js"
import { unusable } from "../unusable.js"

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
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, ConfigError> => {
  const url = Redacted.isRedacted(options.url) ? options.url : Redacted.make(options.url)
  if (!/^postgres(ql)?:\/\//.test(Redacted.value(url)) || !URL.canParse(Redacted.value(url)))
    return Layer.effectContext(Effect.suspend(badUrl))
  const connectTimeout = options.connectTimeout ?? defaultDeadline
  const pool = pooled(
    {
      connectionString: Redacted.value(url),
      max: options.maxConnections,
      connectionTimeoutMillis: Duration.toMillis(connectTimeout),
      application_name: options.applicationName ?? "effect-foundation",
      keepAlive: true
    },
    Duration.toMillis(options.silence ?? "1 minute")
  )
  return Layer.scopedContext(
    Effect.gen(function* () {
      const sql = yield* PgClient.fromPool({ acquire: pool })
      // What is wrong is told at the start, and not by whoever comes first.
      yield* sql`select 1`
      return Context.make(PgClient.PgClient, sql).pipe(Context.add(SqlClient.SqlClient, sql))
    }).pipe((connecting) => guarded(connecting, connectTimeout), Effect.mapError(unusable("postgres.url")))
  ).pipe(Layer.provide(Reactivity.layer))
}

const badUrl = (): ConfigError =>
  new ConfigError({
    reason: "invalid_value",
    path: "postgres.url",
    message: "postgres.url is no URL of a PostgreSQL database: write postgres://user:password@host:5432/database"
  })

/** A pool of connections. Ending it waits for those in use, but not for long. */
const pooled = (config: PoolConfig, silence: number): Effect.Effect<Pool, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const pool = new Pool(config)
      // An idle connection has died: the pool makes another when it is needed.
      pool.on("error", () => undefined)
      pool.on("connect", (client) => endSilence(client, silence))
      return pool
    }),
    (pool) =>
      Effect.ignore(
        deadline(
          Effect.promise(() => pool.end()),
          "1 second",
          () => undefined
        )
      )
  )

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
