import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type { CircuitBreaker } from "../../CircuitBreaker.js"
import type { Retry } from "../../Retry.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

/** When, and how often, a request is sent again. */
export interface RetryOptions extends Omit<Retry.Options, "retryAfter"> {
  /**
   * The methods that are retried: those that RFC 9110 calls idempotent (GET, HEAD, OPTIONS, PUT, DELETE) where not
   * given. A request of another method is retried if it has an `Idempotency-Key`.
   */
  readonly methods?: ReadonlyArray<string> | undefined
}

/**
 * The policy of the circuits, as `CircuitBreaker.execute` takes it, and what is done besides. `timeout` (5 seconds) is that
 * of one attempt, until the head of the response is there: reading its body is up to the caller.
 */
export interface Options extends Omit<CircuitBreaker.PolicyOptions, "name"> {
  /** The circuit of a request: that of its origin (`https://api.example.com`) where not given. */
  readonly name?: string | ((request: Request, origin: string) => string) | undefined
  /** What the end of an attempt counts as: `classify` where not given. */
  readonly classify?: ((exit: Exit.Exit<Response, unknown>) => CircuitBreaker.Outcome) | undefined
  /**
   * Whether, and how, to try again: at most three times within a minute where not given, with the waits of `Retry.schedule`.
   */
  readonly retry?: RetryOptions | false | undefined
  /** The longest that a `Retry-After` keeps a circuit open: 10 minutes where not given. */
  readonly maxRetryAfter?: Duration.DurationInput | undefined
  /** The header that carries the correlation id: `x-correlation-id` where not given. False for none. */
  readonly correlationHeader?: string | false | undefined
}
