import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { CircuitBreaker } from "../../CircuitBreaker.js"
import { OperationTimeout } from "../../FoundationError.js"
import { retryAfterMillis } from "./RetryAfter.js"

type Response = HttpClientResponse.HttpClientResponse

/** For how long a response, or an error that holds one, asks to be left alone; `now` in milliseconds since 1970. */
export const retryAfter = (from: unknown, now: number): Duration.Duration | undefined => {
  if (Predicate.hasProperty(from, "retryAfter") && Duration.isDuration(from.retryAfter)) return from.retryAfter
  const response = responseOf(from)
  const millis =
    response === undefined ? undefined : retryAfterMillis(response.headers["retry-after"], response.headers.date, now)
  return millis === undefined ? undefined : Duration.millis(millis)
}

/**
 * What the end of a request counts as to a circuit. 5xx and 429 are failures; so is what got no response. Other 4xx say
 * nothing about the other side and are ignored, and so is a request that was never sent, since it could not be.
 */
export const classify = (exit: Exit.Exit<Response, unknown>): CircuitBreaker.Outcome => {
  const end = endOf(exit)
  const response = responseOf(end)
  if (response !== undefined) return outcomeOf(response.status)
  return isRequestError(end) && end.reason !== "Transport" ? "ignore" : "failure"
}

const outcomeOf = (status: number): CircuitBreaker.Outcome =>
  status >= 500 || status === 429 ? "failure" : status >= 400 ? "ignore" : "success"

/** Those of one moment: the same request may well be answered otherwise a little later. */
const transient: ReadonlyArray<number> = [408, 425, 429, 500, 502, 503, 504]

const isRequestError = (error: unknown): error is HttpClientError.RequestError =>
  HttpClientError.isHttpClientError(error) && error._tag === "RequestError"

/** The value itself, or that of a ResponseError. */
export const responseOf = (value: unknown): Response | undefined => {
  if (HttpClientError.isHttpClientError(value)) return value._tag === "ResponseError" ? value.response : undefined
  // Only responses have the type id.
  return Predicate.hasProperty(value, HttpClientResponse.TypeId) ? (value as Response) : undefined
}

export const endOf = (exit: Exit.Exit<Response, unknown>): unknown =>
  Exit.isSuccess(exit) ? exit.value : Option.getOrUndefined(Cause.failureOption(exit.cause))

/** Whether it may go well another time: not so where the circuit is open, whose point is to fail fast. */
export const isTransient = (end: unknown): boolean => {
  const response = responseOf(end)
  if (response !== undefined) return transient.includes(response.status)
  return end instanceof OperationTimeout || (isRequestError(end) && end.reason === "Transport")
}
