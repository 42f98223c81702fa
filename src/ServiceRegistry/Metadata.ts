/** What a registration says about its process. JSON, frozen. */
export type Metadata = { readonly [key: string]: unknown }

/** The bounds of the metadata of one registration. `size` counts characters of its JSON, without escapes. */
export const metadataBounds = { size: 16_384, depth: 32 } as const

/** The metadata of all who state none: one object, where a million names would have one each. */
export const noMetadata: Metadata = Object.freeze({})

/** Why metadata is refused, and where in it (`labels.zones[2]`). */
export class MetadataProblem {
  constructor(
    readonly path: string,
    readonly problem: string
  ) {}
}

/**
 * A frozen copy of the metadata, or what is wrong with it. Only what JSON gives back unchanged is taken: no functions,
 * symbols, bigints, undefined, NaN, infinities, cycles, nor objects with a class of their own.
 */
export const acceptMetadata = (input: unknown): Metadata | MetadataProblem => {
  if (input === noMetadata) return noMetadata
  if (!isPlainObject(input)) return new MetadataProblem("", `must be an object, and is ${nameOf(input)}`)
  try {
    const copying = new Copying()
    return copying.record(input, "", 0)
  } catch (error) {
    return error instanceof MetadataProblem ? error : new MetadataProblem("", `cannot be read: ${String(error)}`)
  }
}

class Copying {
  private size = 0
  private readonly above = new Set<object>()

  record(input: object, path: string, depth: number): Metadata {
    return this.within(input, path, depth, () => {
      const out: Record<string, unknown> = {}
      for (const key of Object.keys(input)) {
        const at = path === "" ? key : `${path}.${key}`
        this.spend(key.length + 4, at)
        // Defined, not assigned: a key "__proto__" is a key like others, and sets no prototype.
        Object.defineProperty(out, key, {
          value: this.value(Reflect.get(input, key), at, depth + 1),
          enumerable: true
        })
      }
      return out
    })
  }

  private value(input: unknown, path: string, depth: number): unknown {
    switch (typeof input) {
      case "string":
        this.spend(input.length + 2, path)
        return input
      case "number":
        if (!Number.isFinite(input)) throw new MetadataProblem(path, `is ${input}, which JSON cannot express`)
        this.spend(String(input).length, path)
        return input
      case "boolean":
        this.spend(5, path)
        return input
      case "object":
        if (input === null) {
          this.spend(4, path)
          return null
        }
        if (Array.isArray(input)) return this.list(input, path, depth)
        if (isPlainObject(input)) return this.record(input, path, depth)
    }
    throw new MetadataProblem(path, `is ${nameOf(input)}, which JSON cannot express`)
  }

  private list(input: ReadonlyArray<unknown>, path: string, depth: number): ReadonlyArray<unknown> {
    // By index, not with map: that skips the holes of a sparse array, which are undefined to everybody else.
    return this.within(input, path, depth, () =>
      Array.from({ length: this.spend(input.length, path) }, (_, index) =>
        this.value(input[index], `${path}[${index}]`, depth + 1)
      )
    )
  }

  private within<A extends object>(input: object, path: string, depth: number, copy: () => A): A {
    if (this.above.has(input)) throw new MetadataProblem(path, "contains itself")
    if (depth >= metadataBounds.depth) {
      throw new MetadataProblem(path, `is nested deeper than ${metadataBounds.depth} levels`)
    }
    this.spend(2, path)
    this.above.add(input)
    const out = Object.freeze(copy())
    this.above.delete(input)
    return out
  }

  private spend(characters: number, path: string): number {
    this.size += characters
    if (this.size > metadataBounds.size) {
      throw new MetadataProblem(path, `makes the metadata larger than ${metadataBounds.size} characters`)
    }
    return characters
  }
}

const isPlainObject = (input: unknown): input is object => {
  if (typeof input !== "object" || input === null) return false
  const prototype: unknown = Object.getPrototypeOf(input)
  // The prototype of another realm's plain object is not our Object.prototype, but is as bare.
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}

const nameOf = (input: unknown): string => {
  if (input === null) return "null"
  if (Array.isArray(input)) return "an array"
  if (typeof input === "function" || typeof input === "symbol" || typeof input === "bigint") return `a ${typeof input}`
  if (typeof input !== "object") return typeof input
  return `an instance of ${input.constructor?.name ?? "an unnamed class"}`
}
