import * as Effect from "effect/Effect"
import { unsafeCurrentCorrelationId } from "../CorrelationId.js"
import { ConfigError } from "../FoundationError.js"
import { Problem } from "./Problem.js"
import type { Decoded } from "./Snapshot.js"

/** Fails with the problem, as an error of the fiber that runs it. */
export const failure = (problem: Problem): Effect.Effect<never, ConfigError> => Effect.suspend(() => toError(problem))

/** The value, or the failure. */
export const settled = <A>(decoded: Decoded<A>): Effect.Effect<A, ConfigError> =>
  decoded instanceof Problem ? failure(decoded) : Effect.succeed(decoded.value)

export const toError = ({ context, message, path, reason, source }: Problem): ConfigError => {
  const of = path === undefined ? "The configuration" : `The configuration key "${path}"`
  return new ConfigError({
    reason,
    message: `${of}${source === undefined ? "" : ` (from ${source})`}: ${message}.`,
    context,
    ...(path === undefined ? {} : { path }),
    ...(source === undefined ? {} : { source })
  })
}

/** A load is shared by those who asked for it; each gets its error under its own correlation id. */
export const forCaller = (error: ConfigError): ConfigError => {
  const { context, message, path, reason, source } = error
  return new ConfigError({
    reason,
    message,
    context,
    correlationId: unsafeCurrentCorrelationId(),
    cause: error.cause,
    ...(path === undefined ? {} : { path }),
    ...(source === undefined ? {} : { source })
  })
}
