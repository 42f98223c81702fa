import { ConfigError } from "../../FoundationError.js"
import { contextOf, type SqlFailure } from "./Failure.js"

/** A database that cannot be used at all, as an error of the setting that names it. */
export const unusable =
  (path: string) =>
  (failure: SqlFailure): ConfigError =>
    new ConfigError({
      reason: "source_unavailable",
      path,
      message: `The database of ${path} cannot be used: ${failure.message}`,
      context: contextOf(failure)
    })
