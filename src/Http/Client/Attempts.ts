import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import { parsePolicy } from "../../CircuitBreaker/Policy.js"
import { CircuitBreaker } from "../../CircuitBreaker.js"
import { type CircuitOpen, OperationTimeout, type StoreUnavailable } from "../../FoundationError.js"
import { anyLength, requireDuration } from "../../internal/acceptDuration.js"
import { accessing } from "../../internal/access.js"
import { clockOf, monotonicMicros } from "../../internal/monotonic.js"
import { wrongField } from "../../internal/wrongField.js"
import { Telemetry } from "../../Telemetry.js"
import { classify, endOf, responseOf, retryAfter } from "./End.js"
import type { Options } from "./Options.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

/** What the circuit adds to the errors of a client. */
export type Refused = CircuitOpen | OperationTimeout | StoreUnavailable

/** How long a server may keep a circuit open. */
const defaultMaxRetryAfter = Duration.minutes(10)

/** The longest name of a circuit. */
const longestName = 256

/** One attempt: through the circuit of its request, within its timeout. */
export const attempts = (options: Options) => {
  const { classify: judge = classify, correlationHeader: _, maxRetryAfter, name, retry: __, ...policy } = options
  Either.getOrThrowWith(parsePolicy(policy), (wrong) => wrongField("circuitBreaker", "circuit", wrong))
  const most = requireDuration("http.client.maxRetryAfter", maxRetryAfter ?? defaultMaxRetryAfter, anyLength)
  const nameOf = (request: Request, origin: string) =>
    typeof name === "function" ? name(request, origin) : (name ?? origin.slice(0, longestName))
  return <E, R>(effect: Effect.Effect<Response, E, R>, request: Request, origin: string) =>
    Effect.withFiberRuntime<Response, E | Refused, R | CircuitBreaker | Telemetry>((fiber) => {
      const clock = clockOf(fiber)
      const asked = (exit: Exit.Exit<Response, E>) => {
        const asked = retryAfter(endOf(exit), clock.unsafeCurrentTimeMillis())
        return asked && Duration.min(asked, most)
      }
      const circuit = nameOf(request, origin)
      return CircuitBreaker.execute(effect, { ...policy, name: circuit, classify: judge, retryAfter: asked }).pipe(
        told(clock, request, origin, judge)
      )
    })
}

/** Tells of the end of an attempt, if somebody listens. */
const told =
  (clock: Clock.Clock, request: Request, origin: string, judge: NonNullable<Options["classify"]>) =>
  <E, R>(effect: Effect.Effect<Response, E, R>): Effect.Effect<Response, E, R | Telemetry> =>
    access((telemetry) => {
      if (!telemetry.enabled("http.client.request")) return effect
      const since = monotonicMicros(clock)
      return Effect.onExit(effect, (exit) =>
        Effect.sync(() => {
          const end = endOf(exit)
          telemetry.emit(
            "http.client.request",
            { duration: (monotonicMicros(clock) - since) / 1000 },
            {
              method: request.method,
              origin,
              status: responseOf(end)?.status ?? 0,
              outcome: labelOf(exit, end, judge)
            }
          )
        })
      )
    })

const labelOf = (
  exit: Exit.Exit<Response, unknown>,
  end: unknown,
  judge: NonNullable<Options["classify"]>
): "success" | "failure" | "ignore" | "timeout" | "rejected" | "interrupted" => {
  if (Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)) return "interrupted"
  if (end instanceof OperationTimeout) return "timeout"
  if (isRefusal(end)) return "rejected"
  try {
    return judge(exit)
  } catch {
    // As the circuit takes it.
    return "failure"
  }
}

/** It was not sent at all. */
const isRefusal = (error: unknown): boolean =>
  Predicate.isTagged(error, "CircuitOpen") || Predicate.isTagged(error, "StoreUnavailable")

const access = accessing(() => Telemetry)
