/**
 * Why Redis gave no answer to a command.
 *
 * - `disconnected`, `unresponsive`: it was not sent, since there is no connection, or one on which Redis answers nothing.
 * - `timeout`, `connection_lost`: it was sent, and the answer did not come; it may have been carried out.
 * - `refused`: Redis answered with an error.
 */
export type RedisFailure = "disconnected" | "unresponsive" | "timeout" | "connection_lost" | "refused"

/**
 * A command that Redis did not carry out, or did not say so. A component turns it into the error of its own. It is made
 * without a stack, and holds nothing of the command and of the connection's secrets: its message may be shown.
 */
export class RedisError extends Error {
  readonly _tag = "RedisError"
  override readonly name = "RedisError"

  constructor(
    readonly reason: RedisFailure,
    message: string
  ) {
    const limit = Error.stackTraceLimit
    Error.stackTraceLimit = 0
    super(message)
    Error.stackTraceLimit = limit
  }
}
