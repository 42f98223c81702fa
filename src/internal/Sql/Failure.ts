import { jsonSafeRecord } from "../jsonSafe.js"
import { looksSecret } from "../secret.js"

/** What kept a database from doing what it was asked for. */
export type Kind =
  /** No answer in time: the server is frozen, overloaded or cut off, or another holds a lock. */
  | "timeout"
  /** No connection, or it was lost. */
  | "unreachable"
  /** Another transaction or process holds the lock, or was preferred. */
  | "locked"
  /** The disk is full. */
  | "full"
  /** The database takes no writes. */
  | "read_only"
  /** Not a database, or a damaged one. */
  | "corrupt"
  /** Wrong user or password, or a right that is missing. */
  | "denied"
  /** A table or column that is missing or of another shape, or a schema that is newer than this version knows. */
  | "schema"
  /** A value that the database does not take. */
  | "invalid"
  | "other"

/** Why a database failed. The message says what to do, and quotes no value, address or credential. */
export interface SqlFailure {
  readonly kind: Kind
  readonly message: string
  /** The code of the driver (`28P01`, `SQLITE_FULL`, `ECONNREFUSED`), where it gives one. */
  readonly code: string | undefined
  /** What the driver or server says itself, where that names things of the database and no values. */
  readonly detail: string | undefined
  /** Whether the same call may well succeed later with nothing else changed. */
  readonly transient: boolean
}

/** What a failure tells beside its message: the context of the error that a component makes of it. */
export const contextOf = ({ code, detail, kind }: SqlFailure): Record<string, unknown> =>
  jsonSafeRecord({ kind, code, detail })

interface Entry {
  readonly kind: Kind
  readonly message: string
}

const unreachable: Entry = {
  kind: "unreachable",
  message: "the database cannot be reached or closed the connection: see that it runs, and that host and port are right"
}
const frozen: Entry = {
  kind: "timeout",
  message: "the database did not answer in time: see that it is not stopped, overloaded or cut off"
}
const locked: Entry = { kind: "locked", message: "another transaction or process holds the database locked: try again" }
const full: Entry = { kind: "full", message: "the disk of the database is full: free some space" }
const readOnly: Entry = {
  kind: "read_only",
  message: "the database takes no writes: see that its files and directory are writable and that it is no standby"
}
const corrupt: Entry = {
  kind: "corrupt",
  message: "the file is no database or is damaged: restore it from a backup, or give another file"
}
const shape: Entry = {
  kind: "schema",
  message: "a table or column is missing or has another shape than expected: give this layer tables of its own"
}
const refused: Entry = {
  kind: "denied",
  message: "the database refused the user or the password: correct them"
}
const cannotOpen: Entry = {
  kind: "unreachable",
  message: "the file cannot be opened: see that its directory exists and may be read and written"
}
const badUrl: Entry = {
  kind: "other",
  message: "the URL of the database is not valid: write postgres://user:password@host:5432/database"
}
const untrusted: Entry = {
  kind: "unreachable",
  message: "the certificate of the server is not trusted: see that it is valid for the host, and name its sslrootcert"
}
const noTls: Entry = {
  kind: "unreachable",
  message: "the server takes no TLS: have it do so, or leave sslmode out of the URL"
}
const invalid: Entry = { kind: "invalid", message: "the database does not take a value" }

/** By the whole code, or by its class: the first two letters of PostgreSQL's, see its Appendix A. */
const entries: ReadonlyMap<string, Entry> = new Map(
  Object.entries({
    "08": unreachable,
    "22": invalid,
    "23": { kind: "other", message: "a constraint of the database refused it" },
    "25006": readOnly,
    "25P03": unreachable,
    "28": refused,
    "3D000": { kind: "schema", message: "there is no such database on the server: create it, or correct the name" },
    "3F000": { kind: "schema", message: "the schema does not exist: create it, or correct the search_path" },
    "40": locked,
    "42501": { kind: "denied", message: "the user lacks a right on a table or schema: grant it" },
    "42": shape,
    "53100": full,
    "53": { kind: "unreachable", message: "the server is out of connections or memory: give it more, or use less" },
    "54": invalid,
    "55P03": locked,
    "57014": frozen,
    "57": unreachable,
    "58030": { kind: "other", message: "the server could not read or write its files" },
    XX001: corrupt,
    XX002: corrupt,
    CERT_HAS_EXPIRED: untrusted,
    DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
    ECONNREFUSED: unreachable,
    ECONNRESET: unreachable,
    EHOSTUNREACH: unreachable,
    ENETUNREACH: unreachable,
    ENOENT: unreachable,
    ENOTFOUND: { kind: "unreachable", message: "the host of the database has no address: correct its name" },
    EAI_AGAIN: { kind: "unreachable", message: "the address of the database's host cannot be looked up at the moment" },
    EPIPE: unreachable,
    ETIMEDOUT: unreachable,
    ERR_INVALID_URL: badUrl,
    ERR_TLS_CERT_ALTNAME_INVALID: untrusted,
    SELF_SIGNED_CERT_IN_CHAIN: untrusted,
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
    SQLITE_BUSY: locked,
    SQLITE_LOCKED: locked,
    SQLITE_FULL: full,
    SQLITE_READONLY: readOnly,
    SQLITE_CORRUPT: corrupt,
    SQLITE_NOTADB: corrupt,
    SQLITE_CANTOPEN: cannotOpen,
    SQLITE_PERM: { kind: "denied", message: "the file may not be accessed: grant the right to read and write it" },
    SQLITE_IOERR: { kind: "other", message: "the file could not be read or written" },
    SQLITE_CONSTRAINT: { kind: "other", message: "a constraint of the database refused it" },
    SQLITE_TOOBIG: invalid,
    SQLITE_MISMATCH: invalid,
    SQLITE_ERROR: shape
  })
)

const transients: ReadonlySet<Kind> = new Set(["timeout", "unreachable", "locked", "full", "read_only", "other"])

/** The failure that the error of a driver is, however deep it is wrapped. */
export const failureOf = (error: unknown): SqlFailure => {
  const causes = chain(error)
  for (const cause of causes) {
    const code = codeOf(cause)
    const entry = code === undefined ? undefined : entryOf(code)
    if (entry !== undefined) return of(entry, code, messageOf(cause))
  }
  const text = causes.map(messageOf).join("\n")
  for (const [pattern, entry] of byText) if (pattern.test(text)) return of(entry)
  return of(
    { kind: "other", message: "the database failed" },
    causes.map(codeOf).find((code) => code !== undefined),
    messageOf(causes[causes.length - 1])
  )
}

/** The errors that drivers give no code. */
const byText: ReadonlyArray<readonly [RegExp, Entry]> = [
  [/timeout|timed out/i, frozen],
  [
    /Connection terminated|Connection error|not queryable|connection is not open|Failed to acquire|Cannot use a pool/i,
    unreachable
  ],
  [/directory does not exist/i, cannotOpen],
  [/password must be a string|SASL/i, refused],
  [/does not support SSL/i, noTls],
  [/Invalid URL/i, badUrl]
]

const entryOf = (code: string): Entry | undefined => {
  if (code.startsWith("SQLITE_")) {
    // Extended codes go on after the primary one: SQLITE_BUSY_SNAPSHOT.
    return entries.get(code) ?? entries.get(code.split("_").slice(0, 2).join("_"))
  }
  return entries.get(code) ?? (/^[0-9A-Z]{5}$/.test(code) ? entries.get(code.slice(0, 2)) : undefined)
}

const of = ({ kind, message }: Entry, code?: string, said?: string): SqlFailure => ({
  kind,
  message,
  code,
  // A value that is refused is quoted; names of tables, columns, hosts and users are what an operator looks for.
  detail: said === undefined || said === "" || kind === "invalid" || looksSecret(said) ? undefined : said.slice(0, 256),
  transient: transients.has(kind)
})

/** Whether what was thrown is of a driver, of @effect/sql or of its Migrator: all else is a mistake of a program. */
export const isOfDatabase = (thrown: unknown): boolean => {
  if (typeof thrown !== "object" || thrown === null) return false
  if ("_tag" in thrown) return thrown._tag === "SqlError" || thrown._tag === "MigrationError"
  const code = codeOf(thrown)
  if (code !== undefined && (entryOf(code) !== undefined || /^(SQLITE_\w+|[0-9A-Z]{5}|E[A-Z]+)$/.test(code)))
    return true
  return thrown instanceof Error && /^(SqliteError|DatabaseError)$/.test(thrown.constructor.name)
}

/** The error and what it wraps. The bound ends a circle. */
const chain = (error: unknown): ReadonlyArray<unknown> => {
  const causes: Array<unknown> = []
  for (let cause = error; cause !== undefined && cause !== null && causes.length < 8; ) {
    causes.push(cause)
    // A connection that is tried on several addresses fails with all of their errors.
    if (cause instanceof AggregateError) causes.push(...cause.errors.slice(0, 4))
    cause = typeof cause === "object" && "cause" in cause ? cause.cause : undefined
  }
  return causes
}

const codeOf = (cause: unknown): string | undefined => {
  if (typeof cause !== "object" || cause === null || !("code" in cause)) return undefined
  return typeof cause.code === "string" ? cause.code : undefined
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : "")

export const timedOut = (): SqlFailure => of(frozen)

export const wrongSchema = (message: string): SqlFailure => of({ kind: "schema", message })

export const unsupported = (dialect: string): SqlFailure =>
  wrongSchema(`the dialect ${dialect} is not supported: give a client of SQLite or PostgreSQL`)
