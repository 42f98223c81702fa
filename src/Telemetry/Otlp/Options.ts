import type * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { ConfigError } from "../../FoundationError.js"
import { acceptDuration } from "../../internal/acceptDuration.js"
import type { Encoding } from "./Corrections.js"
import type { Signal, Target } from "./Sender.js"

/** What the telemetry is of: attributes of OpenTelemetry's resource. */
export interface Resource {
  /** `service.name` */
  readonly serviceName: string
  /** `service.version` */
  readonly serviceVersion?: string
  /** By their names in the semantic conventions, such as `deployment.environment.name`. */
  readonly attributes?: Readonly<Record<string, string | number | boolean>>
}

export interface Options {
  /** Of the receiver, as `http://localhost:4318`: `/v1/traces`, `/v1/metrics` and `/v1/logs` are added to it. */
  readonly endpoint: string | URL
  /** What each request has besides, such as `{ authorization: Redacted.make("Bearer …") }`. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted<string>>>
  readonly resource: Resource
  /** What is sent; by default all three. */
  readonly signals?: ReadonlyArray<Signal>
  /** Protobuf by default. */
  readonly encoding?: Encoding
  /** How often spans and log records are sent, a second by default; earlier where `maxBatch` of them are there. */
  readonly interval?: Duration.DurationInput
  /** How often metrics are sent, 10 seconds by default. */
  readonly metricsInterval?: Duration.DurationInput
  /** How many spans or log records are encoded in one step, 64 by default: some 10 µs for each of their attributes. */
  readonly maxBatch?: number
  /** How many bytes of each signal wait for the receiver at most, 4 MiB by default. Past it the oldest are dropped. */
  readonly maxBytes?: number
  /** How long the receiver may take for an answer, 10 seconds by default. */
  readonly timeout?: Duration.DurationInput
  /** How long the end of the layer waits for what is still to be sent, 3 seconds by default. */
  readonly shutdownTimeout?: Duration.DurationInput
}

/** The options, read. */
export interface Settings {
  readonly target: (signal: Signal) => Target
  readonly sends: (signal: Signal) => boolean
  readonly resource: {
    readonly serviceName: string
    readonly serviceVersion: string | undefined
    readonly attributes: Record<string, unknown>
  }
  readonly encoding: Encoding
  readonly interval: Duration.Duration
  readonly metricsInterval: Duration.Duration
  readonly maxBatch: number
  readonly shutdownTimeout: Duration.Duration
}

const all: ReadonlyArray<Signal> = ["traces", "metrics", "logs"]

const invalid = (path: string, message: string) =>
  Either.left(
    new ConfigError({
      reason: "invalid_value",
      path: `telemetry.otlp.${path}`,
      message: `The option ${path} for OpenTelemetry cannot be used: ${message}`
    })
  )

export const settingsOf = (options: Options): Either.Either<Settings, ConfigError> =>
  Either.gen(function* () {
    const endpoint = yield* endpointOf(options.endpoint)
    const headers = yield* headersOf(options.headers ?? {})
    const timeout = yield* durationOf("timeout", options.timeout ?? "10 seconds")
    const interval = yield* durationOf("interval", options.interval ?? "1 second")
    const metricsInterval = yield* durationOf("metricsInterval", options.metricsInterval ?? "10 seconds")
    const shutdownTimeout = yield* durationOf("shutdownTimeout", options.shutdownTimeout ?? "3 seconds")
    const maxBatch = yield* wholeOf("maxBatch", options.maxBatch ?? 64, 1, 10_000)
    const maxBytes = yield* wholeOf("maxBytes", options.maxBytes ?? 4 * 1024 ** 2, 1024, 1024 ** 3)
    const signals = options.signals ?? all
    const unknown = signals.find((signal) => !all.includes(signal))
    if (unknown !== undefined) yield* invalid("signals", `"${unknown}" is none of ${all.join(", ")}`)
    if (options.resource.serviceName === "") yield* invalid("resource", "serviceName is empty")
    return {
      target: (signal) => ({
        url: urlOf(endpoint, signal),
        shown: endpoint.origin,
        headers,
        timeout,
        maxBytes
      }),
      sends: (signal) => signals.includes(signal),
      resource: {
        serviceName: options.resource.serviceName,
        serviceVersion: options.resource.serviceVersion,
        attributes: {
          "telemetry.sdk.name": "effect-foundation",
          "telemetry.sdk.language": "nodejs",
          ...options.resource.attributes
        }
      },
      encoding: options.encoding ?? "protobuf",
      interval,
      metricsInterval,
      maxBatch,
      shutdownTimeout
    }
  })

const endpointOf = (endpoint: string | URL) => {
  const url = URL.canParse(String(endpoint)) ? new URL(endpoint) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return invalid("endpoint", "it is not the address of a receiver, as http://localhost:4318 is")
  }
  if (url.username !== "" || url.password !== "") {
    return invalid("endpoint", "it has a user or a password in it, which belong in the header authorization")
  }
  return Either.right(url)
}

/** A path and a query of the endpoint stay. */
const urlOf = (endpoint: URL, signal: Signal): string => {
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/${signal}`
  return url.href
}

const headersOf = (headers: Readonly<Record<string, string | Redacted.Redacted<string>>>) => {
  const values: Record<string, string> = {}
  for (const [name, header] of Object.entries(headers)) {
    const value = Redacted.isRedacted(header) ? Redacted.value(header) : header
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      return invalid("headers", `"${name}" is not the name of a header, or its value has characters that no header has`)
    }
    values[name.toLowerCase()] = value
  }
  return Either.right(values)
}

const durationOf = (path: string, input: Duration.DurationInput): Either.Either<Duration.Duration, ConfigError> => {
  const accepted = acceptDuration(`telemetry.otlp.${path}`, input)
  return accepted instanceof ConfigError ? Either.left(accepted) : Either.right(accepted)
}

const wholeOf = (path: string, value: number, least: number, most: number) =>
  Number.isSafeInteger(value) && value >= least && value <= most
    ? Either.right(value)
    : invalid(path, `${value} is not between ${least} and ${most}`)
