import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import { attributeOf, attributesOf, cut } from "../Attributes.js"

/** The logger, with what it is given bounded before it is kept, and causes told as OpenTelemetry tells exceptions. */
export const bounded = (logger: Logger.Logger<unknown, void>): Logger.Logger<unknown, void> =>
  Logger.make((options) => {
    const { annotations, cause, message } = options
    return logger.log({
      ...options,
      message: Arr.ensure(message).map(plain),
      annotations: HashMap.fromIterable(
        Object.entries({ ...attributesOf(Object.fromEntries(annotations)), ...exceptionOf(cause) })
      ),
      cause: Cause.empty
    })
  })

const plain = (part: unknown): unknown =>
  attributeOf("", () => part) ?? (part === null || part === undefined ? String(part) : "<unreadable>")

/** As the semantic conventions name it ("Exceptions in logs"). */
const exceptionOf = (cause: Cause.Cause<unknown>): Record<string, string> => {
  if (Cause.isEmpty(cause)) return {}
  try {
    return readable(cause)
  } catch {
    return { "exception.message": "an error that cannot be read" }
  }
}

const readable = (cause: Cause.Cause<unknown>): Record<string, string> => {
  const stacktrace = cut(Cause.pretty(cause, { renderErrorCause: true }))
  const [first] = Cause.prettyErrors(cause)
  if (first === undefined) return { "exception.message": "interrupted", "exception.stacktrace": stacktrace }
  return {
    "exception.type": first.name,
    "exception.message": cut(first.message),
    "exception.stacktrace": stacktrace
  }
}
