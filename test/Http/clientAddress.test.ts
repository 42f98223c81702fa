import { isIP, isIPv4, isIPv6, SocketAddress } from "node:net"
import { HttpServerRequest } from "@effect/platform"
import { Option } from "effect"
import { ConfigError } from "effect-foundation"
import * as ClientAddress from "effect-foundation/Http/ClientAddress"
import { hopsOfForwarded, hopsOfXForwardedFor, originOf } from "effect-foundation/Http/ClientAddress/Hops"
import { formatIp, isWithin, parseIp, parseNetwork, parseNode } from "effect-foundation/Http/ClientAddress/Ip"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const text = (address: string): string | undefined => {
  const ip = parseIp(address)
  return ip && formatIp(ip)
}

/** Texts that look like addresses, and most of which are none. */
const nearly = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.string({ unit: fc.constantFrom(..."0123456789abcdefF:./[]x "), maxLength: 40 }),
  fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.constantFrom(".", "0", ":", "/", "]", " ")).map(([ip, more]) => ip + more)
)

describe("addresses", () => {
  it("are read as Node reads them, and no other text is", () => {
    fc.assert(
      fc.property(nearly, (address) => {
        expect(parseIp(address) !== undefined, address).toBe(isIP(address) !== 0)
      }),
      { numRuns: 1000 }
    )
  })

  it("may name a zone, by characters that need no escape", () => {
    const zone = fc.string({ unit: fc.constantFrom(..."09azAZ._~-:/%[] é"), maxLength: 8 })
    fc.assert(
      fc.property(fc.oneof(fc.ipV6(), fc.ipV4()), zone, (address, zone) => {
        const isZone = isIPv6(address) && /^[0-9a-zA-Z._~-]+$/.test(zone)
        expect(text(`${address}%${zone}`)).toBe(isZone ? text(address) : undefined)
      }),
      { numRuns: 1000 }
    )
  })

  it("are written as Node writes them, so that one address is one text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV6(), fc.ipV4()), (address) => {
        const family = isIPv4(address) ? "ipv4" : "ipv6"
        const written = text(address) ?? ""
        // Node writes some addresses with an IPv4 tail; reading both must give the same.
        expect(text(new SocketAddress({ address, family }).address)).toBe(written)
        expect(text(written)).toBe(written)
      })
    )
  })

  it.each([
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::FFFF:0a00:0001", "10.0.0.1"],
    ["2001:0DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["fe80::1%eth0", "fe80::1"],
    ["fe80::1%br_lan.100", "fe80::1"],
    ["::", "::"],
    ["1::", "1::"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"]
  ])("%s is %s", (address, expected) => {
    expect(text(address)).toBe(expected)
  })

  it.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "256.1.1.1",
    "1::2::3",
    ":1",
    "1:2:3:4:5:6:7:8:9",
    "::%",
    "::%/",
    "::%a b",
    "::%eth0%1",
    "1.2.3.4%eth0",
    "g::",
    " 1.2.3.4"
  ])("%j is none", (address) => {
    expect(parseIp(address)).toBeUndefined()
  })

  it.each([
    ["192.0.2.1:8080", "192.0.2.1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["[2001:db8::1]:443", "2001:db8::1"],
    ["[::ffff:192.0.2.1]:1", "192.0.2.1"],
    ["[192.0.2.1]", undefined],
    ["192.0.2.1:99999", undefined],
    ["[2001:db8::1]:http", undefined],
    ["[2001:db8::1", undefined],
    ["unknown", undefined],
    ["_hidden", undefined]
  ])("a hop %s is %s", (hop, expected) => {
    const ip = parseNode(hop)
    expect(ip && formatIp(ip)).toBe(expected)
  })
})

describe("networks", () => {
  it.each([
    ["10.0.0.0/8", "10.255.0.1", true],
    ["10.0.0.0/8", "11.0.0.1", false],
    ["10.0.0.0/8", "::ffff:10.1.2.3", true],
    ["::ffff:10.0.0.0/104", "10.1.2.3", true],
    ["0.0.0.0/0", "203.0.113.7", true],
    ["0.0.0.0/0", "2001:db8::1", false],
    ["2001:db8::/32", "2001:db8:ffff::1", true],
    ["2001:db8::/32", "2001:db9::1", false],
    ["192.0.2.1", "192.0.2.1", true],
    ["192.0.2.1", "192.0.2.2", false]
  ])("%s has %s in it: %s", (network, address, expected) => {
    const parsed = parseNetwork(network)
    const ip = parseIp(address)
    expect(parsed && ip && isWithin(ip, parsed)).toBe(expected)
  })

  it.each(["10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", "::1/129", "fe80::1%eth0/64", "ten", ""])(
    "%j is none, which is told where the reader is made",
    (network) => {
      expect(() => ClientAddress.make({ trustedProxies: [network] })).toThrow(ConfigError)
    }
  )
})

describe("Forwarded", () => {
  it.each([
    ["for=192.0.2.43", ["192.0.2.43"]],
    ['for=192.0.2.43, for="[2001:db8:cafe::17]:4711"', ["192.0.2.43", "[2001:db8:cafe::17]:4711"]],
    ["for=192.0.2.60;proto=http;by=203.0.113.43", ["192.0.2.60"]],
    ["FOR=1.1.1.1 , proto=https , for=2.2.2.2", ["1.1.1.1", "", "2.2.2.2"]],
    ['for="un\\"quoted"', ['un"quoted']],
    ["for=1.1.1.1; proto=https", ["1.1.1.1"]]
  ])("%s has the hops %j", (value, hops) => {
    expect(hopsOfForwarded(value)).toEqual(hops)
  })

  it.each(["", "for", "for=", "for=1.1.1.1,", 'for="1.1.1.1', 'for="a"b', "for=1.1.1.1;for=2.2.2.2", "=x", 'for=a"b"'])(
    "%j is malformed",
    (value) => {
      expect(hopsOfForwarded(value)).toBeUndefined()
    }
  )
})

const proxies = ["10.0.0.0/8"]
const trusted = proxies.flatMap((network) => parseNetwork(network) ?? [])
const ip = (address: string) => parseIp(address) ?? expect.fail(address)

/** What a client may write to look like another. */
const hostile = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: fc.constantFrom(...'for=;,"\\ 1.203[]:%_'), maxLength: 60 }),
  fc.constantFrom(
    "10.0.0.9",
    "unknown",
    "10.0.0.1, 10.0.0.2",
    'for="',
    'for=9.9.9.9;x="',
    'for="\\',
    "for=9.9.9.9, for="
  ),
  fc.ipV4()
)
const client = fc.ipV4().filter((address) => !address.startsWith("10."))

describe("behind trusted proxies, whatever a client sends in the header", () => {
  it("it is the address that the first proxy saw, by X-Forwarded-For", () => {
    fc.assert(
      fc.property(hostile, client, fc.boolean(), (sent, seen, second) => {
        // The first proxy adds what it saw; a second one adds the first.
        const value = `${sent}, ${seen}${second ? ", 10.0.0.2" : ""}`
        expect(formatIp(originOf(ip("10.0.0.1"), hopsOfXForwardedFor(value), trusted))).toBe(seen)
      }),
      { numRuns: 500 }
    )
  })

  it("it is the address that the first proxy saw, or that proxy, by Forwarded", () => {
    fc.assert(
      fc.property(hostile, client, fc.boolean(), (sent, seen, quoted) => {
        const added = quoted ? `for="${seen}:4711";by="[::1]"` : `for=${seen};proto=http`
        const origin = formatIp(originOf(ip("10.0.0.1"), hopsOfForwarded(`${sent}, ${added}`), trusted))
        expect([seen, "10.0.0.1"]).toContain(origin)
      }),
      { numRuns: 1000 }
    )
  })

  it("it is the address of the connection, where that is no trusted proxy", () => {
    fc.assert(
      fc.property(hostile, client, (sent, peer) => {
        expect(formatIp(originOf(ip(peer), hopsOfXForwardedFor(sent), trusted))).toBe(text(peer))
        expect(formatIp(originOf(ip(peer), hopsOfForwarded(sent), trusted))).toBe(text(peer))
      })
    )
  })
})

const request = (headers: Record<string, string>, remoteAddress?: string) =>
  HttpServerRequest.fromWeb(new Request("http://localhost/", { headers })).modify(
    remoteAddress === undefined ? {} : { remoteAddress }
  )

describe("ClientAddress.make", () => {
  it.each([
    [{ "x-forwarded-for": "203.0.113.9" }, "10.0.0.1", "203.0.113.9"],
    [{ "x-forwarded-for": "6.6.6.6, 203.0.113.9, 10.0.0.7" }, "::ffff:10.0.0.1", "203.0.113.9"],
    [{ "x-forwarded-for": "10.0.0.9, 10.0.0.8" }, "10.0.0.1", "10.0.0.9"],
    [{ "x-forwarded-for": "203.0.113.9, unknown" }, "10.0.0.1", "10.0.0.1"],
    [{ "x-forwarded-for": "" }, "10.0.0.1", "10.0.0.1"],
    [{ "x-forwarded-for": "[2001:db8::1]:555" }, "10.0.0.1", "2001:db8::1"],
    [{ "x-forwarded-for": "203.0.113.9" }, "192.0.2.7", "192.0.2.7"],
    [{ forwarded: "for=203.0.113.9" }, "10.0.0.1", "10.0.0.1"],
    [{}, "10.0.0.1", "10.0.0.1"]
  ])("with %j from %s it is %s", (headers, peer, expected) => {
    const read = ClientAddress.make({ trustedProxies: proxies })
    expect(read(request(headers, peer))).toEqual(Option.some(expected))
  })

  it("believes no header where no proxy is trusted, and knows nobody without a connection", () => {
    const read = ClientAddress.make()
    expect(read(request({ "x-forwarded-for": "203.0.113.9" }, "10.0.0.1"))).toEqual(Option.some("10.0.0.1"))
    expect(read(request({ "x-forwarded-for": "203.0.113.9" }))).toEqual(Option.none())
  })

  it("reads Forwarded where told so, and X-Forwarded-For no more", () => {
    const read = ClientAddress.make({ trustedProxies: proxies, header: "forwarded" })
    const headers = { forwarded: 'for="[2001:db8::17]:47"', "x-forwarded-for": "6.6.6.6" }
    expect(read(request(headers, "10.0.0.1"))).toEqual(Option.some("2001:db8::17"))
    expect(read(request({ "x-forwarded-for": "6.6.6.6" }, "10.0.0.1"))).toEqual(Option.some("10.0.0.1"))
  })

  it("looks at 64 hops at most", () => {
    const read = ClientAddress.make({ trustedProxies: proxies })
    const hops = ["203.0.113.9", ...Array.from({ length: 500 }, (_, index) => `10.0.${index >> 8}.${index & 255}`)]
    expect(read(request({ "x-forwarded-for": hops.join(",") }, "10.0.0.1"))).toEqual(Option.some("10.0.1.180"))
  })
})

it("Node agrees on which addresses are of IPv6", () => {
  expect(isIPv6("fe80::1%eth0")).toBe(true)
})
