import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { ConfigError } from "../FoundationError.js"
import { hopsOfForwarded, hopsOfXForwardedFor, originOf } from "./ClientAddress/Hops.js"
import { formatIp, type Ip, type Network, parseIp, parseNetwork } from "./ClientAddress/Ip.js"

export interface Options {
  /**
   * The proxies whose word is taken, as networks (`10.0.0.0/8`, `2001:db8::/32`) or addresses: none where not given, so
   * that the address is that of the connection.
   */
  readonly trustedProxies?: ReadonlyArray<string> | undefined
  /**
   * The header that those proxies write, `x-forwarded-for` where not given. Only this one is read: the other a client may
   * have sent, and the proxy passed on.
   */
  readonly header?: "x-forwarded-for" | "forwarded" | undefined
}

/** Reads the address of the client out of a request. */
export type Reader = (request: HttpServerRequest.HttpServerRequest) => Option.Option<string>

/** As {@link make}, for parts of this library. */
export const readerOf = (options: Options): ((request: HttpServerRequest.HttpServerRequest) => Ip | undefined) => {
  const { header = "x-forwarded-for" } = options
  const trusted = (options.trustedProxies ?? []).map(networkOf)
  return ({ headers, remoteAddress }) => {
    const peer = Option.isSome(remoteAddress) ? parseIp(remoteAddress.value) : undefined
    if (peer === undefined || trusted.length === 0) return peer
    const value = headers[header]
    if (value === undefined) return peer
    return originOf(peer, header === "forwarded" ? hopsOfForwarded(value) : hopsOfXForwardedFor(value), trusted)
  }
}

const networkOf = (text: string): Network => {
  const network = parseNetwork(text)
  if (network !== undefined) return network
  throw new ConfigError({
    reason: "invalid_value",
    path: "http.trustedProxies",
    message: `A trusted proxy must be a network such as "10.0.0.0/8" or an address, but is ${JSON.stringify(text.slice(0, 64))}`
  })
}

/**
 * Makes what reads the address of the client out of requests. Throws a ConfigError if a proxy is neither a network nor an
 * address.
 *
 * The address is that of the connection. Where that is a trusted proxy, it is the last entry of the header, which that proxy
 * has added; where that is a trusted proxy too, the entry before it, and so on. An entry that is no address (`unknown`, an
 * obfuscated name, what is malformed) ends the walk at the proxy that reported it. So nothing that a client sends makes it
 * another: at most it counts as the nearest proxy.
 *
 * - Ports and zone ids are left out, IPv4 addresses that are mapped into IPv6 are IPv4, and IPv6 has one way of writing.
 * - None where the connection has no address, as on a Unix socket or in a web handler.
 * - Not together with `HttpMiddleware.xForwardedHeaders`, which takes the first entry for the connection's own address.
 *
 * @example
 * import { HttpServerRequest } from "@effect/platform"
 * import * as ClientAddress from "effect-foundation/Http/ClientAddress"
 *
 * const clientAddress = ClientAddress.make({ trustedProxies: ["10.0.0.0/8", "fd00::/8"] })
 *
 * const request = HttpServerRequest.fromWeb(
 *   new Request("http://localhost/", { headers: { "x-forwarded-for": "6.6.6.6, 203.0.113.9, 10.0.0.7" } })
 * ).modify({ remoteAddress: "::ffff:10.0.0.2" })
 *
 * console.log(clientAddress(request)) // Some("203.0.113.9"), whatever the client claimed before it
 */
export const make = (options: Options = {}): Reader => {
  const read = readerOf(options)
  return (request) => Option.map(Option.fromNullable(read(request)), formatIp)
}

/** The address of the client of the request that is handled. Throws, when it is made, as {@link make} does. */
export const current = (
  options: Options = {}
): Effect.Effect<Option.Option<string>, never, HttpServerRequest.HttpServerRequest> =>
  Effect.map(HttpServerRequest.HttpServerRequest, make(options))
