import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { ConfigError } from "../FoundationError.js"
import { durationOf } from "../internal/durationText.js"
import type { Address, Options } from "./Options.js"

/** Where to connect and how, checked. Holds secrets: not to be shown. */
export interface Target {
  readonly kind: "single" | "sentinel" | "cluster"
  readonly addresses: ReadonlyArray<Address>
  /** The name of the master that the sentinels know. */
  readonly name?: string | undefined
  readonly database: number
  readonly family: 0 | 4 | 6
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly sentinelUsername?: string | undefined
  readonly sentinelPassword?: string | undefined
  readonly tls?: object | undefined
  readonly connectTimeout: number
  /** For people: addresses, no secret. */
  readonly shown: string
}

export const targetOf = (options: Options): Either.Either<Target, ConfigError> => {
  const connectTimeout = durationOf(options.connectTimeout ?? "2 seconds")
  if (
    Option.isNone(connectTimeout) ||
    !Duration.isFinite(connectTimeout.value) ||
    Duration.toMillis(connectTimeout.value) < 1
  ) {
    return invalid("connectTimeout", "must be a duration above zero")
  }
  const common = {
    database: 0,
    family: 0,
    username: options.username,
    password: options.password && Redacted.value(options.password),
    tls: options.tls === true ? {} : options.tls === false ? undefined : options.tls,
    connectTimeout: Math.ceil(Duration.toMillis(connectTimeout.value))
  } as const
  if ("cluster" in options) {
    return Either.map(addressesOf("cluster", options.cluster), (addresses) => ({
      ...common,
      kind: "cluster",
      addresses,
      shown: `cluster ${addresses.map(shownOf).join(", ")}`
    }))
  }
  if ("sentinels" in options) {
    const { database = 0, name, sentinelPassword, sentinelUsername } = options
    if (typeof name !== "string" || name === "") return invalid("name", "must name the master that the sentinels know")
    if (!isDatabase(database)) return invalid("database", "must be a whole number from 0 on")
    return Either.map(addressesOf("sentinels", options.sentinels), (addresses) => ({
      ...common,
      kind: "sentinel",
      addresses,
      name,
      database,
      sentinelUsername,
      sentinelPassword: sentinelPassword && Redacted.value(sentinelPassword),
      shown: `master ${name} of the sentinels ${addresses.map(shownOf).join(", ")}`
    }))
  }
  return Either.flatMap(parseUrl(options.url), (url) => {
    const address = { host: url.host, port: url.port }
    return Either.right({
      ...common,
      kind: "single",
      addresses: [address],
      database: url.database,
      family: url.family,
      username: common.username ?? url.username,
      password: common.password ?? url.password,
      tls: common.tls ?? (url.tls && options.tls !== false ? {} : undefined),
      shown: shownOf(address)
    })
  })
}

const shownOf = ({ host, port }: Address): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)

const isPort = (port: unknown): boolean => Number.isInteger(port) && (port as number) > 0 && (port as number) < 65_536
const isDatabase = (database: unknown): database is number =>
  Number.isSafeInteger(database) && (database as number) >= 0

const addressesOf = (
  field: string,
  addresses: ReadonlyArray<Address>
): Either.Either<ReadonlyArray<Address>, ConfigError> =>
  addresses.length > 0 && addresses.every(({ host, port }) => typeof host === "string" && host !== "" && isPort(port))
    ? Either.right(addresses.map(({ host, port }) => ({ host, port })))
    : invalid(field, "must be addresses with host and port, one at least")

interface Url extends Address {
  readonly tls: boolean
  readonly database: number
  readonly family: 0 | 4 | 6
  readonly username: string | undefined
  readonly password: string | undefined
}

/** No part of the text is quoted: any may be a secret, if the text is not what it should be. */
const parseUrl = (given: string | URL | Redacted.Redacted<string>): Either.Either<Url, ConfigError> => {
  const wrong = invalid("url", "must be of the form redis[s]://[user[:password]@]host[:port][/database][?family=4|6]")
  const text = Redacted.isRedacted(given) ? Redacted.value(given) : String(given)
  try {
    const { hash, hostname, password, pathname, port, protocol, searchParams, username } = new URL(text)
    if ((protocol !== "redis:" && protocol !== "rediss:") || hostname === "" || hash !== "") return wrong
    if (!/^(\/\d{0,9})?$/.test(pathname)) return wrong
    const family = searchParams.get("family") ?? "0"
    if ([...searchParams.keys()].some((key) => key !== "family") || !/^[046]$/.test(family)) return wrong
    return Either.right({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? 6379 : Number(port),
      tls: protocol === "rediss:",
      database: Number(pathname.slice(1)),
      // One of the three, by the pattern.
      family: Number(family) as 0 | 4 | 6,
      username: username === "" ? undefined : decodeURIComponent(username),
      password: password === "" ? undefined : decodeURIComponent(password)
    })
  } catch {
    return wrong
  }
}

const invalid = (field: string, must: string): Either.Either<never, ConfigError> =>
  Either.left(
    new ConfigError({ reason: "invalid_value", path: `redis.${field}`, message: `${field} of Redis ${must}` })
  )
