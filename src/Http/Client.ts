import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type { CircuitBreaker } from "../CircuitBreaker.js"
import { correlationIdOf } from "../CorrelationId.js"
import type { Telemetry } from "../Telemetry.js"
import { attempts, type Refused } from "./Client/Attempts.js"
import type { Options } from "./Client/Options.js"
import { originOf } from "./Client/Request.js"
import { retries } from "./Client/Retries.js"
import { headerName } from "./CorrelationId.js"

export type { Refused } from "./Client/Attempts.js"
export { classify, retryAfter } from "./Client/End.js"
export type { Options, RetryOptions } from "./Client/Options.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

/**
 * Makes a client that leaves alone what fails, and tries again what may be.
 *
 * - Each origin has a circuit of its own, or each `name`: see {@link CircuitBreaker} for its policy and for how many are kept.
 *   What an attempt counts as, {@link classify} says; the response goes to the caller all the same.
 * - `Retry-After`, in seconds or as a date, is heeded: a circuit that opens stays open until then at least, and no retry comes
 *   before.
 * - Retried are requests of idempotent methods, or with an `Idempotency-Key`, that got no response (but for one that the circuit
 *   rejected, which is to fail fast) or one of the statuses 408, 425, 429, 500, 502, 503, 504. At the end the caller has the
 *   last response or error. A body that is a stream cannot be sent twice, and never is.
 * - An attempt that takes longer than `timeout` is interrupted: OperationTimeout.
 * - The correlation id is sent on, unless the request has one. `traceparent` is sent by HttpClient itself.
 * - Each attempt is told of by `http.client.request`, each retry by `http.client.retry`.
 *
 * Throws a ConfigError, when it is made, if an option is invalid.
 *
 * @example
 * import { FetchHttpClient, HttpClient } from "@effect/platform"
 * import { FoundationLive } from "effect-foundation"
 * import * as Client from "effect-foundation/Http/Client"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const client = (yield* HttpClient.HttpClient).pipe(
 *     Client.resilient({ timeout: "1 second", maxFailures: 3, retry: { times: 1, base: "10 millis" } })
 *   )
 *   const error = yield* Effect.flip(client.get("http://127.0.0.1:9/")) // nobody listens there
 *   yield* Effect.log(error._tag) // RequestError, after the one retry
 * })
 *
 * Effect.runPromise(program.pipe(Effect.provide([FetchHttpClient.layer, FoundationLive])))
 */
export const resilient: {
  (
    options?: Options
  ): <E, R>(
    client: HttpClient.HttpClient.With<E, R>
  ) => HttpClient.HttpClient.With<E | Refused, R | CircuitBreaker | Telemetry>
  <E, R>(
    client: HttpClient.HttpClient.With<E, R>,
    options?: Options
  ): HttpClient.HttpClient.With<E | Refused, R | CircuitBreaker | Telemetry>
} = dual(
  (args) => Predicate.hasProperty(args[0], HttpClient.TypeId),
  <E, R>(
    client: HttpClient.HttpClient.With<E, R>,
    options: Options = {}
  ): HttpClient.HttpClient.With<E | Refused, R | CircuitBreaker | Telemetry> => {
    const attempted = attempts(options)
    const retried = retries(options)
    return client.pipe(
      correlated(options),
      HttpClient.transform((effect: Effect.Effect<Response, E, R>, request) => {
        const origin = originOf(request)
        // The client itself says what is wrong with the URL.
        return origin === undefined ? effect : retried(attempted(effect, request, origin), request, origin)
      })
    )
  }
)

/**
 * The client that is there already, made {@link resilient}, for all that use an `HttpClient`. What the circuit or the timeout
 * refuses is to them a RequestError (`Transport`), with the error as its cause.
 *
 * @example
 * import { FetchHttpClient, HttpClient } from "@effect/platform"
 * import { FoundationLive } from "effect-foundation"
 * import * as Client from "effect-foundation/Http/Client"
 * import { Effect, Layer } from "effect"
 *
 * const live = Client.layer({ timeout: "1 second", retry: false }).pipe(
 *   Layer.provide(FetchHttpClient.layer),
 *   Layer.provide(FoundationLive)
 * )
 * const program = Effect.flip(HttpClient.get("http://127.0.0.1:9/")).pipe(Effect.tap((error) => Effect.log(error.message)))
 *
 * Effect.runPromise(program.pipe(Effect.provide(live)))
 */
export const layer = (
  options: Options = {}
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | CircuitBreaker | Telemetry> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function* () {
      const services = yield* Effect.context<CircuitBreaker | Telemetry>()
      const client = resilient(yield* HttpClient.HttpClient, options)
      return HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
        Effect.flatMap((request) =>
          client.execute(request).pipe(
            Effect.provide(services),
            Effect.mapError((error) =>
              HttpClientError.isHttpClientError(error) ? error : asRequestError(request, error)
            )
          )
        ),
        Effect.succeed
      )
    })
  )

const asRequestError = (request: Request, cause: Refused): HttpClientError.RequestError =>
  new HttpClientError.RequestError({ request, reason: "Transport", cause, description: cause.message })

const correlated = ({ correlationHeader = headerName }: Options) => {
  if (correlationHeader === false) return <E, R>(client: HttpClient.HttpClient.With<E, R>) => client
  const header = correlationHeader.toLowerCase()
  return HttpClient.mapRequestEffect((request) =>
    Effect.withFiberRuntime<Request>((fiber) =>
      Effect.succeed(
        header in request.headers ? request : HttpClientRequest.setHeader(request, header, correlationIdOf(fiber))
      )
    )
  )
}
