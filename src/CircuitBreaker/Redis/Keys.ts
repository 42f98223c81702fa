/**
 * A name as a part of a key: every character but letters, digits, `_`, `-` and `.` as `%` and its four hexadecimal digits.
 * So no name leaves its braces or its word of a message, and no two names are one, whatever is in them.
 */
export const encodeName = (name: string): string =>
  name.replace(/[^\w.-]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

export const decodeName = (encoded: string): string =>
  encoded.replace(/%([0-9a-f]{4})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)))

/** The keys of one circuit, all of one slot: what is in the braces decides that. */
export const keysOf = (prefix: string, name: string) => {
  const circuit = `${prefix}:circuit:{${encodeName(name)}}`
  return { circuit, probes: `${circuit}:probes` }
}

/** The channel of all circuits under a prefix. Redis keeps keys of one name apart by database, and channels it does not. */
export const channelOf = (prefix: string, keyspace: string): string => `${prefix}:circuits:${keyspace}`
