import { createHash } from "node:crypto"

/** A Lua script, and the name under which Redis keeps it once it has run. */
export interface Script {
  readonly source: string
  readonly sha: string
  /**
   * Whether what it answers is one string, of numbers that it has packed as doubles (`struct.pack(">dd", …)`): they are given
   * as an array. To make a table of them, and numbers of that, takes Redis and this process 1 µs each.
   */
  readonly isPacked: boolean
}

export const script = (source: string, options: { readonly isPacked?: boolean } = {}): Script => ({
  source,
  sha: createHash("sha1").update(source).digest("hex"),
  isPacked: options.isPacked ?? false
})
