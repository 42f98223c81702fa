import { ConfigError } from "../FoundationError.js"

/** What is wrong with a connection. */
export interface Problem {
  /** In words that hold no secret. */
  readonly text: string
  /** Whether no later attempt can mend it, as long as the options stay. */
  readonly lasting: boolean
}

interface Kind {
  readonly pattern: RegExp
  readonly text: string
  readonly lasting: boolean
}

/** The client goes on in another database after it. */
export const noDatabase: Kind = {
  pattern: /DB index|invalid DB|SELECT is not allowed/i,
  text: "there is no database of that number",
  lasting: true
}

/**
 * The errors of connections, by what the server, Node and the client say. Their own text is not passed on where it could
 * hold what was sent.
 */
const kinds: ReadonlyArray<Kind> = [
  { pattern: /WRONGPASS|invalid password/i, text: "the user name or the password is wrong", lasting: true },
  { pattern: /NOAUTH/, text: "Redis asks for a password, and none is given", lasting: true },
  { pattern: /NOPERM/, text: "the user may not do what is needed (INFO, EVAL, EVALSHA, SUBSCRIBE)", lasting: true },
  noDatabase,
  { pattern: /cluster support disabled/i, text: "it is no cluster: give its url in place of cluster", lasting: true },
  {
    pattern: /Protocol error|Parse error|EPROTO|WRONG_VERSION/i,
    text: "what answers there is no Redis, or TLS is on at one end only",
    lasting: true
  },
  { pattern: /certificate|self.signed|ERR_TLS|altname/i, text: "its TLS certificate is not accepted", lasting: true },
  { pattern: /ENOTFOUND/, text: "there is no such host", lasting: true },
  { pattern: /EAI_AGAIN/, text: "the host was not found by now", lasting: false },
  { pattern: /ECONNREFUSED/, text: "the connection is refused (ECONNREFUSED)", lasting: false },
  { pattern: /ETIMEDOUT/, text: "the connection was not made in time (ETIMEDOUT)", lasting: false },
  { pattern: /ECONNRESET|EPIPE/, text: "the connection was cut off (ECONNRESET)", lasting: false },
  { pattern: /EHOSTUNREACH|ENETUNREACH/, text: "the host cannot be reached", lasting: false },
  { pattern: /LOADING/, text: "Redis is loading its data", lasting: false },
  { pattern: /sentinels? (are|is) unreachable|All sentinels/i, text: "no sentinel names a master", lasting: false }
]

const unknown: Kind = { pattern: /^/, text: "there is no connection", lasting: false }

/** Wrong database is always the one `noDatabase`. */
export const problemOf = (error: unknown): Problem => {
  const said = words(error, 0)
  return kinds.find(({ pattern }) => pattern.test(said)) ?? unknown
}

/** All that the error says, with those that it holds: the last of a cluster's nodes, the addresses of a host. */
const words = (error: unknown, depth: number): string => {
  if (!(error instanceof Error) || depth > 3) return ""
  const { code, errors, lastNodeError, message } = error as Error & Record<"code" | "errors" | "lastNodeError", unknown>
  const inner = [lastNodeError, ...(Array.isArray(errors) ? errors : [])].map((each) => words(each, depth + 1))
  return [typeof code === "string" ? code : "", message, ...inner].join(" ")
}

/** The error of a layer that cannot be built. */
export const unreachable = (address: string, { lasting, text }: Problem): ConfigError =>
  new ConfigError({
    reason: lasting ? "invalid_value" : "source_unavailable",
    path: "redis",
    message: `Cannot use the Redis at ${address}: ${text}`
  })
