import * as Duration from "effect/Duration"
import { CircuitOpen, OperationTimeout } from "../FoundationError.js"
import { bareError, hotError } from "../internal/hotError.js"
import { waitOf } from "../internal/monotonic.js"
import type { Rejection } from "./Circuit.js"
import type { Policy } from "./Policy.js"
import type { Because } from "./Trip.js"

/** The error of a call that was not let through. */
export const circuitOpen = ({ name }: Policy, rejection: Rejection, correlationId: string): CircuitOpen => {
  const { because, state } = rejection
  const retryAfter = waitOf(rejection.retryAfter)
  const message = `Circuit "${name}" is ${explain(rejection, Duration.toMillis(retryAfter))}`
  const error = bareError(CircuitOpen, "circuit_open", message)
  error.circuit = name
  error.state = state
  error.retryAfter = retryAfter
  error.context = because === undefined ? {} : { ...because }
  error.correlationId = correlationId
  return error
}

const explain = ({ because, state }: Rejection, millis: number): string => {
  switch (state) {
    case "open":
      return `open${because === undefined ? "" : ` ${reasonOf(because)}`}; next call in ${millis} ms`
    case "half_open":
      return `half-open and waits for its probes; next call in at most ${millis} ms`
    case "forced_open":
      return "forced open by hand, until it is reset by hand"
  }
}

const reasonOf = (because: Because): string => {
  switch (because.reason) {
    case "failures":
      return because.failures === 1 ? "after a failure" : `after ${because.failures} failures in a row`
    case "failure_rate":
      return `after ${percent(because.share)} of ${because.calls} calls failed`
    case "slow_call_rate":
      return `after ${percent(because.share)} of ${because.calls} calls were slow`
    case "probe_failed":
      return "again, since a probe failed"
  }
}

const percent = (share: number): string => `${Math.round(share * 100)}%`

/** The error of a call whose work took too long. */
export const operationTimeout = ({ name, timeout }: Policy, correlationId: string): OperationTimeout =>
  hotError(
    OperationTimeout,
    "timeout",
    {
      message: `Circuit "${name}": the work took longer than ${Duration.toMillis(timeout)} ms and was interrupted; it may or may not have taken effect`,
      circuit: name,
      timeout,
      context: {}
    },
    correlationId
  )
