import type { ConfigError } from "../FoundationError.js"

/** Why a key, a value or a source cannot be used, before it is an error of a running program. */
export class Problem {
  constructor(
    readonly reason: ConfigError["reason"],
    /** What is wrong and what to do. Never a secret. */
    readonly message: string,
    readonly path?: string,
    readonly source?: string,
    readonly context: Readonly<Record<string, unknown>> = {}
  ) {}

  in(source: string): Problem {
    return new Problem(this.reason, this.message, this.path, this.source ?? source, this.context)
  }
}
