import type { ConnectionOptions } from "node:tls"
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

export interface CommonOptions {
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  /** TLS, with these settings where there are any to state. `rediss://` turns it on too. */
  readonly tls?: boolean | ConnectionOptions | undefined
  /** How long one attempt to connect may take, and how long the layer waits for the first: 2 seconds where not stated. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * What becomes of the layer where Redis cannot be reached when it is built: it starts, tries on, and says so in the log
   * (`"start"`, where not stated), or fails with ConfigError (`"fail"`). What no later attempt can mend always fails: an
   * address that is none, a host that does not exist, a wrong password.
   */
  readonly whenUnreachable?: "start" | "fail" | undefined
}

/** One server, at `redis[s]://[user[:password]@]host[:port][/database]`. */
export interface UrlOptions extends CommonOptions {
  readonly url: string | URL | Redacted.Redacted<string>
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** The master of this name, as the sentinels tell it; followed when it changes. */
export interface SentinelOptions extends CommonOptions {
  readonly sentinels: ReadonlyArray<Address>
  readonly name: string
  readonly database?: number | undefined
  readonly sentinelUsername?: string | undefined
  readonly sentinelPassword?: Redacted.Redacted | undefined
}

/** A cluster, found through any of these nodes. */
export interface ClusterOptions extends CommonOptions {
  readonly cluster: ReadonlyArray<Address>
}

export type Options = UrlOptions | SentinelOptions | ClusterOptions
