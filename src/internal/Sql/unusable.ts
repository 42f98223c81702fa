import { ConfigError } from "../../FoundationError.js"
import { jsonSafeRecord } from "../jsonSafe.js"
import type { SqlFailure } from "./Failure.js"

/** A database that cannot be used at all, as an error of the setting that names it. */
export const unusable =
  (path: string) =>
  ({ code, detail, kind, message }: SqlFailure): ConfigError =>
    new ConfigError({
      reason: "source_unavailable",
      path,
      message: `The database of ${path} cannot be used: ${message}`,
      context: jsonSafeRecord({ kind, code, detail })
    })
