import type * as SqlClient from "@effect/sql/SqlClient"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CircuitBreaker } from "../CircuitBreaker.js"
import type { Config } from "../Config.js"
import type { ConfigError } from "../FoundationError.js"
import * as Composed from "../internal/Sql/composed.js"
import { type PostgresOptions, postgresClient } from "../internal/Sql/Postgres/Client.js"
import type { RateLimiter } from "../RateLimiter.js"
import type { Redis } from "../Redis.js"
import type { Telemetry } from "../Telemetry.js"

export interface Options extends Composed.Options, PostgresOptions {
  /** A Redis, through which all processes share their limits and circuits. Needs `ioredis`. */
  readonly redis?: Redis.Options
}

/** What `redis` puts in place. */
interface OnRedis {
  readonly circuitBreaker: Layer.Layer<CircuitBreaker, ConfigError, Telemetry | Config>
  readonly rateLimiter: Layer.Layer<RateLimiter, ConfigError, Telemetry | Config>
}

/** Loaded when it is asked for, so that a program without a Redis needs no driver of it. */
const onRedis = (options: Redis.Options): OnRedis => {
  const redis = Layer.unwrapEffect(
    Effect.map(
      Effect.promise(() => import("../Redis.js")),
      ({ Redis }) => Redis.layer(options)
    )
  )
  return {
    circuitBreaker: Layer.unwrapEffect(
      Effect.map(
        Effect.promise(() => import("../CircuitBreaker/Redis.js")),
        ({ layerConfig }) => layerConfig()
      )
    ).pipe(Layer.provide(redis)),
    rateLimiter: Layer.unwrapEffect(
      Effect.map(
        Effect.promise(() => import("../RateLimiter/Redis.js")),
        ({ layerConfig }) => layerConfig()
      )
    ).pipe(Layer.provide(redis))
  }
}

/**
 * The six services for programs on many machines: events, configuration that is set and registrations are in a PostgreSQL
 * database, which all processes share; so are circuits and limits through a `redis`, without which they are in each
 * process. Any service can be replaced, as in `Foundation.layer`.
 *
 * The client is provided too, so that the program's own tables can be in the same transactions. Its tables are those of the
 * first schema of the `search_path`.
 *
 * Fails with ConfigError if an option is not valid or the database cannot be used, in which the password is never told,
 * and with the errors of the services.
 *
 * @example
 * import { Config } from "effect"
 * import { Effect, Layer } from "effect"
 * import * as Postgres from "effect-foundation/Foundation/Postgres"
 *
 * export const Live = Layer.unwrapEffect(
 *   Effect.map(Config.redacted("DATABASE_URL"), (url) =>
 *     Postgres.layer({ url, advertise: "http://10.0.0.7:8080", redis: { url: "redis://10.0.0.2:6379" } })
 *   )
 * )
 */
export const layer = <const O extends Options>(
  options: O
): Composed.Composition<O, SqlClient.SqlClient | PgClient.PgClient> =>
  Composed.composed(postgresClient(options), options, options.redis === undefined ? {} : onRedis(options.redis))
