import { copyJson, copyJsonRecord, type Json, type JsonRecord, jsonEquals, Refused } from "../internal/json.js"
import { madeIds } from "./MadeIds.js"
import { suggestion } from "./Nearest.js"

/** The bound on the JSON of an event's data, in bytes of UTF-8; its metadata has the same. */
export const maxJsonBytes = 1024 * 1024

/** The bound on a type, a stream and an id, in characters. */
export const maxNameLength = 256

/** An event as the caller states it. */
export interface Input {
  /** What happened: `order_placed`. */
  readonly type: string
  /** JSON, of at most 1 MiB: no `undefined`, `bigint`, function, `Date` or instance of a class inside. `null` when left out. */
  readonly data?: unknown
  /** Unique; made when left out. A store that is retried with the same id is the same event. */
  readonly id?: string
  /** The stream that the event belongs to and is numbered in, such as `order-123`. Left out, the event is in no stream. */
  readonly stream?: string
  /** The `CorrelationId` in force when left out. */
  readonly correlationId?: string
  /** The id of the event that this one follows from. */
  readonly causationId?: string
  /** JSON, as `data`. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** An event as it was stored. It and all inside it are frozen. */
export interface StoredEvent<A = unknown> {
  /** Where it stands among all events: whole numbers that only grow, from 1, and are never used again. */
  readonly position: number
  readonly id: string
  readonly type: string
  readonly data: A
  /** When it was stored, in whole milliseconds since 1970 on the wall clock; it may go back where that clock does. */
  readonly timestamp: number
  readonly stream: string | undefined
  /** Where it stands in its stream, from 1 without gaps. An event in no stream has none. */
  readonly version: number | undefined
  readonly correlationId: string
  readonly causationId: string | undefined
  readonly metadata: Readonly<Record<string, unknown>>
}

/** An event that is valid, complete and frozen, and waits for its position: what a backend stores. */
export interface NewEvent {
  readonly id: string
  /** Where the id was made here, how many were by then: see {@link madeIds}. */
  readonly made?: number | undefined
  readonly type: string
  readonly data: Json
  readonly timestamp: number
  readonly stream: string | undefined
  readonly correlationId: string
  readonly causationId: string | undefined
  readonly metadata: JsonRecord
  /** The bytes of data and metadata as JSON. */
  readonly bytes: number
}

/** What an event takes from where it is stored. */
export interface Surroundings {
  readonly timestamp: number
  /** The id in force, which has nothing that {@link nameProblem} objects to. */
  readonly correlationId: () => string
  /** The stream that is appended to. */
  readonly stream: string | undefined
}

const fields = ["type", "data", "id", "stream", "correlationId", "causationId", "metadata"]
const known = new Set(fields)

/** The metadata of all events that state none: one object. */
export const noMetadata = { value: Object.freeze({}), bytes: 2 }

/** The event that the input states, or why it is none. The input itself is left as it is, and not kept. */
export const decodeEvent = (input: unknown, surroundings: Surroundings): NewEvent | Refused => {
  try {
    return decode(input, surroundings)
  } catch (error) {
    return error instanceof Refused ? error : new Refused("the event", "cannot be read")
  }
}

const decode = (input: unknown, surroundings: Surroundings): NewEvent => {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new Refused("the event", 'is not an object: state at least its type, as in { type: "order_placed" }')
  }
  for (const field in input) {
    if (!known.has(field)) throw new Refused(field, `is no field of an event: ${suggestion(field, fields)}`)
  }
  const event: { readonly [field in keyof Input]?: unknown } = input
  const type = name("type", event.type)
  const data = event.data === undefined ? nothing : accepted(copyJson(event.data, "data", maxJsonBytes))
  const metadata =
    event.metadata === undefined ? noMetadata : accepted(copyJsonRecord(event.metadata, "metadata", maxJsonBytes))
  const stream = optionalName("stream", event.stream)
  if (stream !== undefined && surroundings.stream !== undefined && stream !== surroundings.stream) {
    throw new Refused("stream", `is not ${JSON.stringify(surroundings.stream)}, the stream that is appended to`)
  }
  const id = optionalName("id", event.id)
  return {
    id: id ?? madeIds.make(surroundings.timestamp),
    made: id === undefined ? madeIds.count : undefined,
    type,
    data: data.value,
    timestamp: surroundings.timestamp,
    stream: stream ?? surroundings.stream,
    correlationId: optionalName("correlationId", event.correlationId) ?? surroundings.correlationId(),
    causationId: optionalName("causationId", event.causationId),
    metadata: metadata.value,
    bytes: data.bytes + metadata.bytes
  }
}

const nothing = { value: null, bytes: 4 }

const accepted = <A>(copy: A | Refused): A => {
  if (copy instanceof Refused) throw copy
  return copy
}

const optionalName = (field: string, value: unknown): string | undefined =>
  value === undefined ? undefined : name(field, value)

const name = (field: string, value: unknown): string => {
  const problem = nameProblem(value)
  if (problem !== undefined) throw new Refused(field, problem)
  return value as string // nameProblem has looked
}

const unstorable = /\0|\p{Surrogate}/u

/** What keeps the value from being a type, a stream or an id: text that a store can index. */
export const nameProblem = (value: unknown): string | undefined => {
  if (typeof value !== "string") return `is ${kindOf(value)}, not text`
  if (value.length > maxNameLength) return `has ${value.length} characters; at most ${maxNameLength} are allowed`
  if (value.trim() === "") return "is empty"
  if (unstorable.test(value)) return "has the character U+0000 or an unpaired surrogate"
  return undefined
}

/** The kind of the value, with an article: for messages. */
export const kindOf = (value: unknown): string => {
  if (value === null || value === undefined || typeof value === "boolean") return String(value)
  if (typeof value === "number") return Number.isFinite(value) ? `the number ${value}` : String(value)
  if (typeof value === "object") return Array.isArray(value) ? "a list" : "an object"
  return typeof value === "string" ? "text" : `a ${typeof value}`
}

/** The field of the metadata in which a definition keeps the version of its schema. */
export const versionField = "schemaVersion"

/**
 * Whether the two are one event stored twice: type, stream, causation id, data and metadata are the same. A retry comes
 * later, may run under another correlation id, and may come from a newer deployment: so the timestamp, the correlation
 * id and `metadata.schemaVersion` do not count. Data that a version writes differently do.
 */
export const sameContent = (stored: StoredEvent | NewEvent, event: NewEvent): boolean =>
  stored.type === event.type &&
  stored.stream === event.stream &&
  stored.causationId === event.causationId &&
  jsonEquals(stored.data, event.data) &&
  (jsonEquals(stored.metadata, event.metadata) ||
    jsonEquals(withoutVersion(stored.metadata), withoutVersion(event.metadata)))

const withoutVersion = ({ [versionField]: _, ...rest }: Readonly<Record<string, unknown>>) => rest

/** The event with its place. */
export const place = (event: NewEvent, position: number, version: number | undefined): StoredEvent =>
  Object.freeze({
    position,
    id: event.id,
    type: event.type,
    data: event.data,
    timestamp: event.timestamp,
    stream: event.stream,
    version,
    correlationId: event.correlationId,
    causationId: event.causationId,
    metadata: event.metadata
  })
