import type { FoundationError } from "../../FoundationError.js"
import { retryAfterSeconds } from "../../internal/seconds.js"
import { spanOf } from "../../RateLimiter/Policy.js"

/** What a client is told of one kind of error. */
export interface Kind {
  readonly status: number
  readonly title: string
  /**
   * What goes into `detail` where the message must not: it speaks of what is behind the service (its databases, hosts,
   * circuits and files), which is nobody's business outside. Without it the message goes out.
   */
  readonly detail?: string
}

const unavailable = "A store that this service needs cannot be used at present."
const full = "There is no room left to store this."
const ours = "The service is not set up as it must be."

const config: { readonly [reason: string]: Kind } = {
  invalid_key: { status: 500, title: "Configuration error", detail: ours },
  invalid_value: { status: 500, title: "Configuration error", detail: ours },
  read_only: { status: 500, title: "Configuration error", detail: ours },
  conflict: {
    status: 409,
    title: "Configuration conflict",
    detail: "The configuration was changed by another at the same time."
  },
  source_unavailable: {
    status: 503,
    title: "Configuration unavailable",
    detail: "A source of the configuration cannot be read at present."
  }
}

const event: { readonly [reason: string]: Kind } = {
  invalid_event: { status: 400, title: "Invalid event" },
  invalid_criteria: { status: 400, title: "Invalid criteria" },
  invalid_consumer: { status: 500, title: "Invalid consumer", detail: ours },
  duplicate_event: { status: 409, title: "Duplicate event" },
  storage_full: { status: 507, title: "Event storage full", detail: full },
  storage_unavailable: { status: 503, title: "Event storage unavailable", detail: unavailable }
}

const registry: { readonly [reason: string]: Kind } = {
  invalid_name: { status: 400, title: "Invalid service name" },
  invalid_process: { status: 400, title: "Invalid service process" },
  invalid_metadata: { status: 400, title: "Invalid service metadata" },
  registry_full: { status: 507, title: "Registry full", detail: full },
  storage_unavailable: { status: 503, title: "Registry unavailable", detail: unavailable },
  stale: { status: 503, title: "Registry stale", detail: "What is known of other services is too old at present." }
}

const unknown: Kind = { status: 500, title: "Internal error", detail: "Something went wrong in the service." }

/** By tag, and by reason where the tag has reasons that mean different things to who asks. */
export const kindOf = (error: FoundationError): Kind => {
  switch (error._tag) {
    case "ConfigError":
      return config[error.reason] ?? unknown
    case "EventError":
      return event[error.reason] ?? unknown
    case "VersionConflict":
      return { status: 409, title: "Version conflict" }
    case "AlreadyRegistered":
      return { status: 409, title: "Already registered" }
    case "ServiceNotFound":
      return { status: 404, title: "Service not found" }
    case "RegistryError":
      return registry[error.reason] ?? unknown
    case "CircuitOpen":
      return {
        status: 503,
        title: "Circuit open",
        detail: "Something that this service needs has failed of late, and is left alone for a while."
      }
    case "OperationTimeout":
      return {
        status: 504,
        title: "Timeout",
        detail: "The work took too long and was given up; it may or may not have taken effect."
      }
    case "RateLimited":
      return {
        status: 429,
        title: "Rate limit exceeded",
        // Without the key, which may be what somebody authenticates with.
        detail: `The limit of ${error.limit} in ${spanOf(error.interval)} is used up; try again in ${retryAfterSeconds(error.retryAfter)} s.`
      }
    case "StoreUnavailable":
      return { status: 503, title: "Store unavailable", detail: unavailable }
  }
}

/** The phrases of the statuses that a response without a problem of its own gets (RFC 9110 and its registry). */
const phrases: { readonly [status: number]: string } = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout"
}

export const phraseOf = (status: number): string => phrases[status] ?? (status < 500 ? "Client Error" : "Server Error")
