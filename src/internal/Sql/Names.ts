import { ConfigError } from "../../FoundationError.js"

/** The prefix of all tables where the options state none. */
export const defaultPrefix = "foundation"

/**
 * The prefix, or why it is none. Names of tables and channels cannot be parameters, so nothing else gets into a text.
 * Tables whose names begin with `sqlite_` are SQLite's own.
 */
export const acceptPrefix = (prefix: unknown = defaultPrefix): string | ConfigError =>
  typeof prefix === "string" && /^(?!sqlite(_|$))[a-z_][a-z0-9_]{0,30}$/.test(prefix)
    ? prefix
    : new ConfigError({
        reason: "invalid_value",
        path: "prefix",
        message:
          "The prefix of the tables is not valid: give 1 to 31 lower-case letters, digits and underscores, the first no digit, and not sqlite"
      })
