import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Schema from "effect/Schema"
import { unsafeCurrentCorrelationId } from "./CorrelationId.js"

/**
 * The fields that every error has. What a failure is about has a field of its own (`circuit`, `limiter`, `service`), not
 * `name`: logs and traces take the `name` of an error for its class.
 */
const fields = <const Code extends string>(code: Code) => ({
  /** The kind of failure, stable across versions: for programs, dashboards and wire formats. */
  code: Schema.Literal(code).pipe(
    Schema.propertySignature,
    Schema.withConstructorDefault(() => code)
  ),
  /** What went wrong and what to do about it, for people. */
  message: Schema.String,
  /** The id in force where the error arose. */
  correlationId: Schema.String.pipe(
    Schema.propertySignature,
    Schema.withConstructorDefault(unsafeCurrentCorrelationId)
  ),
  /** Details for the log: JSON-safe, secrets redacted. */
  context: Schema.Record({ key: Schema.String, value: Schema.Unknown }).pipe(
    Schema.propertySignature,
    Schema.withConstructorDefault((): { readonly [key: string]: unknown } => ({}))
  ),
  cause: Schema.optional(Schema.Defect)
})

const Metadata = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/** A configuration key, value or source that cannot be used. */
export class ConfigError extends Schema.TaggedError<ConfigError>("effect-foundation/ConfigError")(
  "ConfigError",
  {
    ...fields("config_error"),
    reason: Schema.Literal("invalid_key", "invalid_value", "source_unavailable", "read_only", "conflict"),
    /** The dotted path, where one value is to blame. */
    path: Schema.optional(Schema.String),
    /** The name of the source, where one is to blame. */
    source: Schema.optional(Schema.String)
  },
  HttpApiSchema.annotations({ status: 500 })
) {}

/** An event or criteria that the store refuses, or a store that cannot take it. */
export class EventError extends Schema.TaggedError<EventError>("effect-foundation/EventError")(
  "EventError",
  {
    ...fields("event_error"),
    reason: Schema.Literal(
      "invalid_event",
      "invalid_criteria",
      "invalid_consumer",
      "duplicate_event",
      "storage_full",
      "storage_unavailable"
    )
  },
  HttpApiSchema.annotations({ status: 400 })
) {}

/** The stream is not at the version that the append expected. */
export class VersionConflict extends Schema.TaggedError<VersionConflict>("effect-foundation/VersionConflict")(
  "VersionConflict",
  {
    ...fields("version_conflict"),
    stream: Schema.String,
    expected: Schema.Union(Schema.Number, Schema.Literal("none", "exists")),
    /** The version that the stream is at; 0 for a stream without events. */
    actual: Schema.Number
  },
  HttpApiSchema.annotations({ status: 409 })
) {}

/** Another registration holds the name. */
export class AlreadyRegistered extends Schema.TaggedError<AlreadyRegistered>("effect-foundation/AlreadyRegistered")(
  "AlreadyRegistered",
  {
    ...fields("already_registered"),
    service: Schema.String,
    /** The metadata of the registration that holds the name, with fields that are named like secrets redacted. */
    holder: Metadata
  },
  HttpApiSchema.annotations({ status: 409 })
) {}

/** No live registration has the name. */
export class ServiceNotFound extends Schema.TaggedError<ServiceNotFound>("effect-foundation/ServiceNotFound")(
  "ServiceNotFound",
  { ...fields("not_found"), service: Schema.String },
  HttpApiSchema.annotations({ status: 404 })
) {}

/** A registration that the registry refuses, or a registry that cannot take it. */
export class RegistryError extends Schema.TaggedError<RegistryError>("effect-foundation/RegistryError")(
  "RegistryError",
  {
    ...fields("registry_error"),
    reason: Schema.Literal(
      "invalid_name",
      "invalid_process",
      "invalid_metadata",
      "registry_full",
      "storage_unavailable",
      "stale"
    )
  },
  HttpApiSchema.annotations({ status: 500 })
) {}

/** The circuit lets no call through. */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>("effect-foundation/CircuitOpen")(
  "CircuitOpen",
  {
    ...fields("circuit_open"),
    circuit: Schema.String,
    state: Schema.Literal("open", "half_open", "forced_open"),
    /** How long to wait before the next call has a chance. */
    retryAfter: Schema.DurationFromMillis
  },
  HttpApiSchema.annotations({ status: 503 })
) {}

/** The work took longer than the circuit's timeout, and was interrupted. */
export class OperationTimeout extends Schema.TaggedError<OperationTimeout>("effect-foundation/OperationTimeout")(
  "OperationTimeout",
  { ...fields("timeout"), circuit: Schema.String, timeout: Schema.DurationFromMillis },
  HttpApiSchema.annotations({ status: 504 })
) {}

/** The limit is used up. */
export class RateLimited extends Schema.TaggedError<RateLimited>("effect-foundation/RateLimited")(
  "RateLimited",
  {
    ...fields("rate_limited"),
    limiter: Schema.String,
    key: Schema.String,
    limit: Schema.Number,
    interval: Schema.DurationFromMillis,
    /** A call of the same cost after this time is admitted, if no other takes the place. */
    retryAfter: Schema.DurationFromMillis
  },
  HttpApiSchema.annotations({ status: 429 })
) {}

/** The store that a circuit or a limit is shared through does not answer. */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>("effect-foundation/StoreUnavailable")(
  "StoreUnavailable",
  { ...fields("store_unavailable"), component: Schema.Literal("circuit_breaker", "rate_limiter") },
  HttpApiSchema.annotations({ status: 503 })
) {}

/**
 * Every failure that this library lets a caller meet, as a schema and as a type.
 *
 * @example
 * import type { FoundationError } from "effect-foundation"
 * import { Match } from "effect"
 *
 * export const advice = Match.type<FoundationError>().pipe(
 *   Match.discriminators("code")({
 *     circuit_open: (error) => `try again in ${error.retryAfter}`,
 *     rate_limited: (error) => `try again in ${error.retryAfter}`
 *   }),
 *   Match.orElse((error) => error.message)
 * )
 */
export const FoundationError = Schema.Union(
  ConfigError,
  EventError,
  VersionConflict,
  AlreadyRegistered,
  ServiceNotFound,
  RegistryError,
  CircuitOpen,
  OperationTimeout,
  RateLimited,
  StoreUnavailable
)
export type FoundationError = typeof FoundationError.Type

/** Whether the value is an error of this library. */
export const isFoundationError = (value: unknown): value is FoundationError =>
  FoundationError.members.some((member) => value instanceof member)
