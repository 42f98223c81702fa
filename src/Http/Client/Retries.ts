import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { accessing } from "../../internal/access.js"
import { Retry } from "../../Retry.js"
import { Telemetry } from "../../Telemetry.js"
import { isTransient, responseOf, retryAfter } from "./End.js"
import type { Options } from "./Options.js"
import { idempotent, isReplayable } from "./Request.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

/** A response that may be another if it is asked for again. */
class Again {
  readonly _tag = "effect-foundation/Http/Client/Again"
  constructor(
    readonly response: Response,
    readonly retryAfter: Duration.Duration | undefined
  ) {}
}

const defaultRetry = { times: 3, maxElapsed: "1 minute" } as const satisfies Retry.Options

/** As many attempts as it takes, and as are allowed. */
export const retries = ({ retry = {} }: Options) => {
  if (retry === false) return <E, R>(effect: Effect.Effect<Response, E, R>, _: Request, __: string) => effect
  const { methods = idempotent, ...pace } = retry
  const schedule = Retry.schedule({ ...defaultRetry, ...pace, retryAfter })
  const allowed = methods.map((method) => method.toUpperCase())
  const isAllowed = ({ body, headers, method }: Request) =>
    isReplayable(body) && (allowed.includes(method) || "idempotency-key" in headers)
  return <E, R>(
    effect: Effect.Effect<Response, E, R>,
    request: Request,
    origin: string
  ): Effect.Effect<Response, E, R | Telemetry> =>
    !isAllowed(request)
      ? effect
      : Effect.suspend(() => {
          let attempt = 0
          let last: E | Again | undefined
          const once = Effect.suspend(() => {
            attempt++
            return last === undefined ? effect : Effect.zipRight(before(attempt, last, request, origin), effect)
          }).pipe(
            Effect.flatMap((response) =>
              isTransient(response)
                ? Effect.map(Effect.clock, (clock) => retryAfter(response, clock.unsafeCurrentTimeMillis())).pipe(
                    Effect.flatMap((asked) => Effect.fail(new Again(response, asked)))
                  )
                : Effect.succeed(response)
            ),
            Effect.tapError((error) =>
              Effect.sync(() => {
                last = error
              })
            )
          )
          return once.pipe(
            Effect.retry({ schedule, while: (error) => error instanceof Again || isTransient(error) }),
            Effect.catchAll((error) => (error instanceof Again ? Effect.succeed(error.response) : Effect.fail(error)))
          )
        })
}

/** Tells of the retry, and lets go of the response that it is to replace. */
const before = (
  attempt: number,
  last: unknown,
  { method }: Request,
  origin: string
): Effect.Effect<void, never, Telemetry> =>
  access((telemetry) => {
    const response = last instanceof Again ? last.response : responseOf(last)
    telemetry.emit(
      "http.client.retry",
      { attempt },
      { method, origin, reason: response === undefined ? reasonOf(last) : String(response.status) }
    )
    return response === undefined ? Effect.void : Effect.forkDaemon(letGo(response))
  })

const reasonOf = (error: unknown): string => (Predicate.hasProperty(error, "_tag") ? String(error._tag) : "unknown")

/** A connection is free for others only when the response on it was read, or given up. */
const letGo = (response: Response): Effect.Effect<void> =>
  response.stream.pipe(
    Stream.runFoldWhile(
      0,
      (read) => read < mostToRead,
      (read, chunk) => read + chunk.length
    ),
    Effect.timeout("1 second"),
    Effect.catchAllCause(() => Effect.void)
  )

/** In bytes; to read more costs more than another connection. */
const mostToRead = 65_536

const access = accessing(() => Telemetry)
