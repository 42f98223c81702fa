import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { CorrelationId } from "../CorrelationId.js"
import { type FoundationError, isFoundationError } from "../FoundationError.js"
import { retryAfterSeconds } from "../internal/seconds.js"
import { looksSecret } from "../internal/secret.js"
import { kindOf, phraseOf } from "./Problem/Kind.js"

/** The media type of a problem (RFC 9457). */
export const contentType = "application/problem+json"

/**
 * What a client is told of a failure: problem details (RFC 9457), with the code and the correlation id of the error. A client
 * decodes it with `HttpClientResponse.schemaBodyJson(Details)`.
 */
export const Details = Schema.Struct({
  /** `about:blank`, unless `types` says where the kinds of problems are described; that of RateLimited has a type by itself. */
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  detail: Schema.optional(Schema.String),
  instance: Schema.optional(Schema.String),
  /** That of the FoundationError: stable, for programs. Of anything else, `internal_error` or `http_<status>`. */
  code: Schema.String,
  /** That of the FoundationError, where it has one. */
  reason: Schema.optional(Schema.String),
  correlationId: Schema.String,
  /** In whole seconds, as in the header `Retry-After`. */
  retryAfter: Schema.optional(Schema.Int),
  /** Of RateLimited: the limit that refused. */
  "violated-policies": Schema.optional(Schema.Array(Schema.String))
})
export type Details = typeof Details.Type

export interface Options {
  /**
   * Where the kinds of problems are described: `"https://errors.example.com/"` makes the type of CircuitOpen
   * `https://errors.example.com/circuit_open`, and that of an EventError with a reason
   * `https://errors.example.com/event_error/storage_full`. Not given, the type is `about:blank`, and the title that of the
   * status.
   */
  readonly types?: string | undefined
  /**
   * What goes into `detail`, in place of what is safe for strangers. `(error) => error.message` suits an API that only those
   * may use who run it: messages name circuits, hosts, files and keys of limits.
   */
  readonly detail?: ((error: FoundationError) => string | undefined) | undefined
  /** What names this occurrence: nothing where not given. */
  readonly instance?: ((request: HttpServerRequest.HttpServerRequest) => string | undefined) | undefined
}

export interface MiddlewareOptions<Unknown extends boolean = boolean> extends Options {
  /**
   * Whether what is no FoundationError becomes a problem too (not, where not given): an error that knows its response (no
   * route, a body that does not parse) one of its status, another error or a defect a bare 500, with the cause in the log.
   */
  readonly unknown?: Unknown | undefined
}

/** The status of the response to the error, by its tag and its reason. */
export const status = (error: FoundationError): number => kindOf(error).status

/**
 * What a client may know of the error. Of one that the client can mend (a status below 500) that is its message; of the
 * others a sentence that says nothing of what is behind the service. Never its stack, cause or context, and no message that
 * looks as if it holds a credential.
 */
export const details = (error: FoundationError, options: Options = {}): Details => {
  const { detail, status, title } = kindOf(error)
  const { types } = options
  const reason = "reason" in error ? error.reason : undefined
  const own = options.detail === undefined ? (detail ?? error.message) : options.detail(error)
  return {
    type: types === undefined ? "about:blank" : types + error.code + (reason === undefined ? "" : `/${reason}`),
    title: types === undefined ? phraseOf(status) : title,
    status,
    ...(own === undefined || (options.detail === undefined && looksSecret(own))
      ? {}
      : { detail: own.slice(0, maxDetail) }),
    code: error.code,
    ...(reason === undefined ? {} : { reason }),
    correlationId: error.correlationId,
    ...("retryAfter" in error ? { retryAfter: retryAfterSeconds(error.retryAfter) } : {}),
    ...(error._tag === "RateLimited" && types === undefined ? quotaExceeded(error.limiter) : {})
  }
}

const maxDetail = 1024

/** The type that draft-ietf-httpapi-ratelimit-headers-11, 5 has for a limit that is used up, and its member. */
const quotaExceeded = (limiter: string) => ({
  type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
  title: "Request cannot be satisfied as assigned quota has been exceeded",
  "violated-policies": [limiter]
})

/**
 * The error as a response: its {@link details} as `application/problem+json`, whatever the client accepts (RFC 9110, 12.4.1),
 * with `Retry-After` where the error says when to come again (CircuitOpen, RateLimited).
 *
 * @example
 * import { CircuitBreaker, Telemetry } from "effect-foundation"
 * import * as Problem from "effect-foundation/Http/Problem"
 * import { Effect, Layer } from "effect"
 *
 * const program = CircuitBreaker.forceOpen("payments").pipe(
 *   Effect.zipRight(CircuitBreaker.execute(Effect.void, { name: "payments" })),
 *   Effect.catchTag("CircuitOpen", (error) => Effect.succeed(Problem.response(error))),
 *   Effect.tap((response) => Effect.log(response)), // 503, Retry-After: 10
 *   Effect.provide(CircuitBreaker.layer.pipe(Layer.provide(Telemetry.layer)))
 * )
 *
 * Effect.runPromise(program)
 */
export const response = (error: FoundationError, options?: Options): HttpServerResponse.HttpServerResponse =>
  responseOf(details(error, options))

const encode = Schema.encodeSync(Schema.parseJson(Details))

const responseOf = (problem: Details): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(encode(problem), {
    status: problem.status,
    contentType,
    headers: {
      // A failure of today says nothing of tomorrow, and some statuses are cached unless told not to.
      "cache-control": "no-store",
      ...(problem.retryAfter === undefined ? {} : { "retry-after": String(problem.retryAfter) })
    }
  })

/**
 * Answers each FoundationError that the app fails with as {@link response} does. With `unknown`, everything else that it
 * fails or dies with becomes a problem too. Interruptions pass through. What answers 500 is logged with its cause.
 *
 * For `HttpRouter.use` and `HttpLayerRouter.middleware`, or around the app before it is served. As the middleware of
 * `HttpServer.serve` and `HttpApiBuilder.serve` it would come when failures are answered already.
 *
 * @example
 * import { HttpApp, HttpRouter, HttpServerResponse } from "@effect/platform"
 * import { FoundationLive, RateLimiter } from "effect-foundation"
 * import * as Problem from "effect-foundation/Http/Problem"
 * import { Effect } from "effect"
 *
 * const router = HttpRouter.empty.pipe(
 *   HttpRouter.post("/mails", Effect.as(RateLimiter.consume({ name: "mails", maxRequests: 1 }), HttpServerResponse.empty())),
 *   HttpRouter.use(Problem.middleware({ unknown: true }))
 * )
 *
 * const { dispose, handler } = HttpApp.toWebHandlerLayer(router, FoundationLive)
 * const send = () => handler(new Request("http://localhost/mails", { method: "POST" }))
 * await send()
 * const refused = await send()
 * console.log(refused.status, refused.headers.get("retry-after"), await refused.json())
 * await dispose()
 */
export const middleware: {
  (
    options?: MiddlewareOptions<false>
  ): <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<Exclude<E, FoundationError>, R>
  (options: MiddlewareOptions<true>): <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<never, R>
  (options: MiddlewareOptions): <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<Exclude<E, FoundationError>, R>
} =
  (options: MiddlewareOptions = {}) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<never, R> =>
    // What the signatures leave in the error channel is what `respond` leaves.
    Effect.catchAllCause(app, (cause) => respond(cause, options)) as HttpApp.Default<never, R>

const respond = <E>(
  cause: Cause.Cause<E>,
  options: MiddlewareOptions
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, HttpServerRequest.HttpServerRequest> => {
  const failure = Option.getOrUndefined(Cause.failureOption(cause))
  if (isFoundationError(failure)) {
    const problem = details(failure, options)
    return Effect.zipRight(log(problem, cause), answer(problem, options))
  }
  if (options.unknown !== true || Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
  return Effect.flatMap(HttpServerError.causeResponse(cause), ([known]) => {
    if (known.body._tag !== "Empty" || known.status < 400) return Effect.succeed(known)
    return Effect.flatMap(CorrelationId.current, (correlationId) => {
      const problem = bare(known.status, correlationId, options)
      return Effect.zipRight(log(problem, cause), answer(problem, options)).pipe(
        // What it says besides, such as how to authenticate.
        Effect.map(HttpServerResponse.setHeaders(known.headers))
      )
    })
  })
}

const bare = (status: number, correlationId: string, { types }: Options): Details => {
  const code = status === 500 ? "internal_error" : `http_${status}`
  return {
    type: types === undefined ? "about:blank" : types + code,
    title: phraseOf(status),
    status,
    code,
    correlationId
  }
}

const answer = (problem: Details, { instance }: Options) =>
  Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
    const occurrence = instance?.(request)
    return responseOf(occurrence === undefined ? problem : { ...problem, instance: occurrence })
  })

/** The client is told nothing of it: whoever runs the service must be. */
const log = ({ correlationId, status }: Details, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  status === 500
    ? Effect.annotateLogs(Effect.logError("A request was answered with 500", cause), { correlationId })
    : Effect.logDebug(`A request was answered with ${status}`, cause)
