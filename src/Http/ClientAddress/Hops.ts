import { type Ip, isWithin, type Network, parseNode } from "./Ip.js"

/** More hops than any way has; those before them are not looked at. */
const maxHops = 64

/** What `X-Forwarded-For` says, hop by hop, in its order: the last was added by the proxy that is nearest. */
export const hopsOfXForwardedFor = (value: string): ReadonlyArray<string> => value.split(",").map((hop) => hop.trim())

const pair =
  /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*)"|([^\s",;]+))[ \t]*([;,]|$)/y

/**
 * The `for` of each element of `Forwarded` (RFC 7239), in its order; an empty text where an element has none. Nothing where
 * any part is malformed: a quote that a client opened might end in what a proxy added.
 */
export const hopsOfForwarded = (value: string): ReadonlyArray<string> | undefined => {
  const hops: Array<string> = []
  let hop: string | undefined
  let at = 0
  for (;;) {
    pair.lastIndex = at
    const match = pair.exec(value)
    if (match === null) return undefined
    const [whole, name = "", quoted, token, end] = match
    at += whole.length
    if (name.toLowerCase() === "for") {
      if (hop !== undefined) return undefined
      hop = token ?? (quoted ?? "").replace(/\\(.)/g, "$1")
    }
    if (end === ";") continue
    hops.push(hop ?? "")
    hop = undefined
    if (end === "") return hops
  }
}

/**
 * The address that a request comes from: what the last proxy that is trusted says, walking back from the peer. A hop that
 * no address can be read from ends the walk, at the proxy that reported it: what stands before it, anyone may have written.
 */
export const originOf = (peer: Ip, hops: ReadonlyArray<string> | undefined, trusted: ReadonlyArray<Network>): Ip => {
  const isTrusted = (ip: Ip) => trusted.some((network) => isWithin(ip, network))
  let client = peer
  for (const hop of (hops ?? []).slice(-maxHops).reverse()) {
    if (!isTrusted(client)) break
    const next = parseNode(hop)
    if (next === undefined) break
    client = next
  }
  return client
}
