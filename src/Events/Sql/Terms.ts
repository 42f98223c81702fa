import type { Json } from "../../internal/json.js"

/**
 * The index of data and metadata for a database without one: a number for each field with its value. Events that have
 * the field with the value have the number; others may have it by chance, so that what is found is still looked at.
 */

/** Which of the two a field belongs to. */
export type Part = "data" | "metadata"

/** The terms of all fields of a value; one that is no record has none. */
export const termsOf = (part: Part, value: Json): ReadonlyArray<number> => {
  if (typeof value !== "object" || value === null || isArray(value)) return []
  const terms: Array<number> = []
  for (const field of Object.keys(value)) terms.push(termOf(part, field, value[field] ?? null))
  return terms
}

/** The term of one field. */
export const termOf = (part: Part, field: string, value: Json): number => {
  const hash = new Hash(part === "data" ? 1 : 2)
  hash.text(field)
  hash.value(value)
  return hash.sum()
}

/** 53 bits, which a number holds, of two sums of 32 bits. Equal JSON has an equal sum, whatever the order of its fields. */
class Hash {
  private high: number
  private low: number

  constructor(seed: number) {
    this.high = 0xdeadbeef ^ seed
    this.low = 0x41c6ce57 ^ seed
  }

  private add(unit: number): void {
    this.high = Math.imul(this.high ^ unit, 2654435761)
    this.low = Math.imul(this.low ^ unit, 1597334677)
  }

  text(text: string): void {
    for (let index = 0; index < text.length; index++) this.add(text.charCodeAt(index))
    // Beyond every unit of text: "ab" and "c" are not "a" and "bc".
    this.add(0x10000 + text.length)
  }

  value(value: Json): void {
    if (typeof value !== "object" || value === null) {
      this.add(typeof value === "string" ? 0x20000 : 0x20001)
      this.text(String(value))
    } else if (isArray(value)) {
      this.add(0x20002)
      for (const item of value) this.value(item)
      this.add(0x20003)
    } else {
      this.add(0x20004)
      for (const field of Object.keys(value).sort()) {
        this.text(field)
        this.value(value[field] ?? null)
      }
      this.add(0x20005)
    }
  }

  sum(): number {
    const { high, low } = this
    const one = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909)
    const other = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909)
    return 2 ** 32 * (2097151 & other) + (one >>> 0)
  }
}

const isArray = (value: Json): value is ReadonlyArray<Json> => Array.isArray(value)
