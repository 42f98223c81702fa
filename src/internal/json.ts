/** What survives JSON unchanged. */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonRecord

export interface JsonRecord {
  readonly [field: string]: Json
}

/** A value that is refused: where it sits, and what is wrong with it. */
export class Refused {
  constructor(
    readonly path: string,
    readonly problem: string
  ) {}

  toString(): string {
    return `${this.path} ${this.problem}`
  }
}

/** How many objects and arrays may be inside of each other. */
export const maxDepth = 256

/** How much of a path a message shows. */
const maxPath = 200

export interface JsonCopy<A extends Json = Json> {
  readonly value: A
  /** The length of the value's JSON in UTF-8. */
  readonly bytes: number
}

/**
 * A deeply frozen copy of the value, or why it cannot be one. Checks, copies, freezes and counts in a single pass that
 * reads every field once, so a value that changes while it is read, or a getter that does, cannot get past the checks.
 * Refused is what JSON would drop, change or choke on, so that whoever reads the copy has what was given; and, for the
 * sake of stores that keep text as UTF-8 or in PostgreSQL's jsonb, U+0000 and unpaired surrogates.
 *
 * Where `undefinedFields` are dropped, a field of an object that is `undefined` is as one that is not there, for values
 * whose type says so. In an array `undefined` is refused all the same, since the items behind it would move.
 */
export const copyJson = (
  value: unknown,
  root: string,
  maxBytes: number,
  undefinedFields: "refused" | "dropped" = "refused"
): JsonCopy | Refused => {
  const copier = new Copier(root, maxBytes, undefinedFields === "dropped")
  try {
    const copy = copier.copy(value, undefined)
    return { value: copy, bytes: copier.bytes }
  } catch (error) {
    // A proxy may throw whatever it likes, whenever it is read.
    return error instanceof Refused ? error : new Refused(root, "cannot be read")
  }
}

/** As `copyJson`, of what must be an object. */
export const copyJsonRecord = (value: unknown, root: string, maxBytes: number): JsonCopy<JsonRecord> | Refused => {
  const copy = copyJson(value, root, maxBytes)
  if (copy instanceof Refused) return copy
  return isRecord(copy.value)
    ? { value: copy.value, bytes: copy.bytes }
    : new Refused(root, 'is not an object: state it as in { source: "import" }')
}

const isRecord = (value: Json): value is JsonRecord =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** An object on the way to the value in hand, with the key that leads on from it. */
interface Above {
  readonly value: object
  readonly depth: number
  readonly above: Above | undefined
  key: string | number
}

class Copier {
  bytes = 0

  constructor(
    private readonly root: string,
    private readonly maxBytes: number,
    private readonly dropUndefined: boolean
  ) {}

  copy(value: unknown, above: Above | undefined): Json {
    switch (typeof value) {
      case "string":
        this.text(value, above)
        return value
      case "number":
        if (!Number.isFinite(value)) throw this.refused(above, `is ${value}, which JSON cannot hold: use null or text`)
        this.count(lengthOf(value), above)
        return value === 0 ? 0 : value
      case "boolean":
        this.count(value ? 4 : 5, above)
        return value
      case "object":
        if (value !== null) return Array.isArray(value) ? this.array(value, above) : this.record(value, above)
        this.count(4, above)
        return null
      case "undefined":
        throw this.refused(above, "is undefined, which JSON cannot hold: leave it out, or use null")
      case "bigint":
        throw this.refused(above, "is a bigint, which JSON cannot hold: make it text")
      default:
        throw this.refused(above, `is a ${typeof value}, which JSON cannot hold`)
    }
  }

  private array(value: ReadonlyArray<unknown>, above: Above | undefined): Json {
    const here = this.enter(value, above)
    const length = value.length
    this.count(length === 0 ? 2 : length + 1, above)
    const copy: Array<Json> = []
    for (let index = 0; index < length; index++) {
      here.key = index
      const descriptor = Object.getOwnPropertyDescriptor(value, index)
      if (descriptor === undefined) throw this.refused(here, "is a hole in the array: use null")
      copy.push(this.field(descriptor, here))
    }
    return Object.freeze(copy)
  }

  private record(value: object, above: Above | undefined): Json {
    const prototype: unknown = Object.getPrototypeOf(value)
    // A plain object of another realm (a vm, an iframe) has another Object.prototype, itself without a prototype.
    if (prototype !== null && prototype !== Object.prototype && Object.getPrototypeOf(prototype) !== null) {
      throw this.refused(above, instanceProblem(value))
    }
    const here = this.enter(value, above)
    if (Object.getOwnPropertySymbols(value).length > 0) {
      throw this.refused(above, "has a symbol as a field, which JSON cannot hold")
    }
    this.count(2, above)
    let punctuation = 1 // the colon; from the second field on, a comma too
    const copy: Record<string, Json> = {}
    for (const key of Object.keys(value)) {
      here.key = key
      const descriptor = Object.getOwnPropertyDescriptor(value, key)
      if (descriptor === undefined) throw this.refused(here, "cannot be read")
      if (this.dropUndefined && "value" in descriptor && descriptor.value === undefined) continue
      if (key === "__proto__") throw this.refused(here, "is a field that would replace the prototype: rename it")
      this.text(key, here)
      this.count(punctuation, above)
      punctuation = 2
      copy[key] = this.field(descriptor, here)
    }
    return Object.freeze(copy)
  }

  private field(descriptor: PropertyDescriptor, above: Above): Json {
    if (descriptor.get !== undefined || descriptor.set !== undefined) {
      throw this.refused(above, "is a getter: give the value that it returns")
    }
    return this.copy(descriptor.value, above)
  }

  private enter(value: object, above: Above | undefined): Above {
    for (let at = above; at !== undefined; at = at.above) {
      if (at.value === value) throw this.refused(above, `is ${this.path(at.above)} again: JSON cannot hold a cycle`)
    }
    const depth = above === undefined ? 0 : above.depth + 1
    if (depth >= maxDepth) throw this.refused(above, `is nested more than ${maxDepth} deep`)
    return { value, depth, above, key: "" }
  }

  private text(value: string, above: Above | undefined): void {
    // Before it is read: a text that is too long anyway costs nothing.
    if (value.length > this.maxBytes) this.count(value.length, above)
    let bytes = 2
    for (let index = 0; index < value.length; index++) {
      const unit = value.charCodeAt(index)
      if (unit >= 0x80) {
        if (unit < 0x800) bytes += 2
        else if (unit < 0xd800 || unit > 0xdfff) bytes += 3
        else {
          const next = value.charCodeAt(++index)
          if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) {
            throw this.refused(above, "has an unpaired surrogate: it is not well-formed text")
          }
          bytes += 4
        }
      } else if (unit >= 0x20) bytes += unit === 0x22 || unit === 0x5c ? 2 : 1
      else if (unit === 0) throw this.refused(above, "has the character U+0000, which not every store can hold")
      else bytes += unit === 8 || unit === 9 || unit === 10 || unit === 12 || unit === 13 ? 2 : 6
    }
    this.count(bytes, above)
  }

  private count(bytes: number, above: Above | undefined): void {
    this.bytes += bytes
    if (this.bytes > this.maxBytes) {
      const at = above === undefined ? "" : ` (reached at ${this.path(above)})`
      throw this.refused(undefined, `is more than ${this.maxBytes} bytes as JSON${at}`)
    }
  }

  private refused(above: Above | undefined, problem: string): Refused {
    return new Refused(this.path(above), problem)
  }

  /** What is reached by the keys of all from the root to the given one. */
  private path(above: Above | undefined): string {
    const keys: Array<string | number> = []
    for (let at = above; at !== undefined; at = at.above) keys.push(at.key)
    let path = this.root
    for (const key of keys.reverse()) {
      if (typeof key === "number") path += `[${key}]`
      else path += /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key.slice(0, maxPath))}]`
      if (path.length > maxPath) return `${path.slice(0, maxPath)}…`
    }
    return path
  }
}

/** The length of the number as text. Where it is whole and not large it is counted: 0.1 µs less than to make the text. */
const lengthOf = (value: number): number => {
  if ((value | 0) !== value) return String(value).length
  let length = value < 0 ? 2 : 1
  for (let rest = Math.abs(value); rest >= 10; rest = Math.floor(rest / 10)) length++
  return length
}

const instanceProblem = (value: object): string => {
  if (value instanceof Date) return "is a Date: give its getTime(), or its toISOString()"
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return "is binary: make it text, such as base64"
  const constructor: unknown = value.constructor
  const name = typeof constructor === "function" && constructor.name !== "" ? constructor.name : "a class"
  return `is an instance of ${name}: encode it to plain objects and arrays first, as Schema.encode does`
}

/** Whether the two are the same JSON; the order of fields does not count. */
export const jsonEquals = (one: unknown, other: unknown): boolean => {
  if (one === other) return true
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false
  if (Array.isArray(one) || Array.isArray(other)) {
    if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false
    return one.every((item, index) => jsonEquals(item, other[index]))
  }
  const keys = Object.keys(one)
  if (keys.length !== Object.keys(other).length) return false
  return keys.every((key) => Object.hasOwn(other, key) && jsonEquals(Reflect.get(one, key), Reflect.get(other, key)))
}
