import type { AlgorithmName } from "../Algorithm.js"
import type { Limit } from "../Policy.js"

const letters: Readonly<Record<AlgorithmName, string>> = {
  "sliding-window": "s",
  "fixed-window": "f",
  "token-bucket": "t"
}

/** Half of a pair of UTF-16, which has no bytes in UTF-8: all of them would be one. */
const lone = /\p{Surrogate}/u

const escape = (unit: string): string => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/**
 * The names of keys in Redis: `{<prefix>}:<algorithm>:<name>:<key>`, in which nothing stands for two subjects. What is in
 * braces decides on the slot of a cluster: the first do, so those in names and keys mean nothing. `spread` leaves the
 * braces out.
 */
export class Keys {
  private readonly head: string
  private readonly heads = new WeakMap<Limit, string>()

  constructor(prefix: string, spread: boolean) {
    this.head = spread ? `${prefix}:` : `{${prefix}}:`
  }

  of(limit: Limit, key: string): string {
    let head = this.heads.get(limit)
    if (head === undefined) {
      head = `${this.head}${letters[limit.algorithm]}:${limit.name.replace(/[%:;]|\p{Surrogate}/gu, escape)}`
      this.heads.set(limit, head)
    }
    return lone.test(key) ? `${head};${key.replace(/%|\p{Surrogate}/gu, escape)}` : `${head}:${key}`
  }
}
