/** An address of IPv4 or IPv6. An IPv4 address that is mapped into IPv6 (`::ffff:10.0.0.1`) is one of IPv4. */
export interface Ip {
  readonly family: 4 | 6
  readonly bits: bigint
}

/** The addresses whose first `prefix` bits are those of `ip`. */
export interface Network {
  readonly ip: Ip
  readonly prefix: number
}

const widthOf = (family: 4 | 6): number => (family === 4 ? 32 : 128)

/** The longest text of an address, and a zone of the usual length. */
const longest = 64

/** A name or a number of an interface, of the characters that need no escape (RFC 6874). */
const zoneId = /^[\w.~-]+$/

/** The address as it is written, with or without a zone id, which means something on one host only and is left out. */
export const parseIp = (text: string): Ip | undefined => {
  if (text.length > longest) return undefined
  const ipv4 = bitsOfIpv4(text)
  if (ipv4 !== undefined) return { family: 4, bits: ipv4 }
  const zone = text.indexOf("%")
  if (zone >= 0 && !zoneId.test(text.slice(zone + 1))) return undefined
  const bits = bitsOfIpv6(zone < 0 ? text : text.slice(0, zone))
  if (bits === undefined) return undefined
  return bits >> 32n === 0xffffn ? { family: 4, bits: bits & 0xffff_ffffn } : { family: 6, bits }
}

const bitsOfIpv4 = (text: string): bigint | undefined => {
  // No leading zeros: to some they are octal, and an address must not be two.
  const match = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text)
  if (match === null) return undefined
  let bits = 0n
  for (const part of match.slice(1)) {
    if (Number(part) > 255) return undefined
    bits = (bits << 8n) | BigInt(part)
  }
  return bits
}

const bitsOfIpv6 = (text: string): bigint | undefined => {
  const halves = text.split("::")
  if (halves.length > 2) return undefined
  const [head = "", tail] = halves
  const first = groupsOf(head, tail === undefined)
  const last = tail === undefined ? [] : groupsOf(tail, true)
  if (first === undefined || last === undefined) return undefined
  const missing = 8 - first.length - last.length
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined
  let bits = 0n
  for (const group of [...first, ...Array.from({ length: missing }, () => 0n), ...last]) bits = (bits << 16n) | group
  return bits
}

/** The groups of 16 bits; the last two may be written as an IPv4 address where this is the end. */
const groupsOf = (text: string, isEnd: boolean): ReadonlyArray<bigint> | undefined => {
  if (text === "") return []
  const groups: Array<bigint> = []
  const parts = text.split(":")
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(BigInt(`0x${part}`))
      continue
    }
    const ipv4 = isEnd && index === parts.length - 1 ? bitsOfIpv4(part) : undefined
    if (ipv4 === undefined) return undefined
    groups.push(ipv4 >> 16n, ipv4 & 0xffffn)
  }
  return groups
}

/** The address in the one text that it has (RFC 5952). */
export const formatIp = ({ bits, family }: Ip): string => {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join(".")
  const groups = Array.from({ length: 8 }, (_, index) => ((bits >> BigInt(112 - 16 * index)) & 0xffffn).toString(16))
  const [start, length] = longestZeros(groups)
  if (length < 2) return groups.join(":")
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`
}

const longestZeros = (groups: ReadonlyArray<string>): readonly [start: number, length: number] => {
  let best: readonly [number, number] = [0, 0]
  let length = 0
  for (const [index, group] of groups.entries()) {
    length = group === "0" ? length + 1 : 0
    if (length > best[1]) best = [index - length + 1, length]
  }
  return best
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. */
export const parseNetwork = (text: string): Network | undefined => {
  const [address = "", length, more] = text.split("/")
  const ip = address.includes("%") ? undefined : parseIp(address)
  if (ip === undefined || more !== undefined) return undefined
  const width = widthOf(ip.family)
  if (length === undefined) return { ip, prefix: width }
  if (!/^(0|[1-9]\d{0,2})$/.test(length)) return undefined
  // The length of a mapped network counts the 96 bits before the IPv4 address.
  const prefix = Number(length) - (ip.family === 4 && address.includes(":") ? 96 : 0)
  return prefix >= 0 && prefix <= width ? { ip, prefix } : undefined
}

export const isWithin = (ip: Ip, network: Network): boolean => {
  if (ip.family !== network.ip.family) return false
  const rest = BigInt(widthOf(ip.family) - network.prefix)
  return ip.bits >> rest === network.ip.bits >> rest
}

/** The first `prefix` bits of the address, with zeros for the others. */
export const truncate = ({ bits, family }: Ip, prefix: number): Ip => {
  const rest = BigInt(Math.max(0, widthOf(family) - prefix))
  return { family, bits: (bits >> rest) << rest }
}

/** An address as a hop is written: `192.0.2.1`, `192.0.2.1:8080`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:8080`. */
export const parseNode = (text: string): Ip | undefined => {
  const bracketed = /^\[([^[\]]*)\](?::(\d{1,5}))?$/.exec(text)
  if (bracketed !== null) {
    const [, address = "", port] = bracketed
    return address.includes(":") && isPort(port) ? parseIp(address) : undefined
  }
  const ported = /^([\d.]+):(\d{1,5})$/.exec(text)
  if (ported === null) return parseIp(text)
  const [, address = "", port] = ported
  return isPort(port) ? parseIp(address) : undefined
}

const isPort = (text: string | undefined): boolean => text === undefined || Number(text) <= 65_535
