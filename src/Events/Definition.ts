import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Events } from "../Events.js"
import type { EventError } from "../FoundationError.js"
import { copyJson, Refused } from "../internal/json.js"
import { type Input, maxJsonBytes, type StoredEvent, versionField } from "./Event.js"
import * as Failures from "./Failures.js"

export interface DefineOptions {
  /** The version of the schema, from 1: one more with each change that older data does not fit. */
  readonly version?: number
  /**
   * Brings data that was stored under an older version to the form that the schema decodes today. The data is frozen:
   * answer a changed copy.
   */
  readonly upcast?: (data: unknown, fromVersion: number) => unknown
}

/** The criteria of a definition: its type is stated already; `data` is matched with what is stored, the encoded form. */
type Typed<Criteria> = Omit<Criteria, "type">

/** The options of a consumer of events whose type is stated already. */
export interface TypedConsumeOptions<A, R, R2> extends Omit<Events.ConsumeOptions<R, R2, A>, "criteria"> {
  readonly criteria?: Typed<Events.ConsumeCriteria>
}

/** Events of one type, whose data has a schema. */
export interface Definition<Type extends string, A, I, R> {
  readonly type: Type
  readonly schema: Schema.Schema<A, I, R>
  readonly version: number
  /** The event as `storeAll` and `append` take it. */
  readonly encode: (data: A, options?: Omit<Input, "type" | "data">) => Effect.Effect<Input, EventError, R>
  /** The stored event with its data decoded. Data that does not fit is `invalid_event`, which names the position. */
  readonly decode: (event: StoredEvent) => Effect.Effect<StoredEvent<A>, EventError, R>
  /** As `Events.store`. */
  readonly store: (
    data: A,
    options?: Omit<Input, "type" | "data">
  ) => Effect.Effect<StoredEvent<A>, EventError, Events | R>
  /** As `Events.get`. */
  readonly get: (
    criteria?: Typed<Events.Criteria>
  ) => Effect.Effect<ReadonlyArray<StoredEvent<A>>, EventError, Events | R>
  /** As `Events.stream`. */
  readonly stream: (criteria?: Typed<Events.Criteria>) => Stream.Stream<StoredEvent<A>, EventError, Events | R>
  /** As `Events.subscribe`. */
  readonly subscribe: (
    criteria?: Typed<Events.SubscribeCriteria>
  ) => Stream.Stream<StoredEvent<A>, EventError, Events | R>
  /** As `Events.consume`. An event whose data does not fit becomes a dead letter at once. */
  readonly consume: <R2 = never, R3 = never>(
    options: TypedConsumeOptions<A, R2, R3>
  ) => Effect.Effect<never, EventError, Events | R | R2 | R3>
}

/** `using` is how to reach the service. */
export const define = <const Type extends string, A, I, R>(
  using: <A, E, R>(use: (events: Events.Service) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | Events>,
  type: Type,
  schema: Schema.Schema<A, I, R>,
  { version = 1, upcast = (data) => data }: DefineOptions = {}
): Definition<Type, A, I, R> => {
  const encodeData = Schema.encode(schema)
  const decodeData = Schema.decodeUnknown(schema)
  const fits = (data: unknown): boolean => Schema.is(Schema.encodedSchema(schema))(data)

  const encode: Definition<Type, A, I, R>["encode"] = (data, options = {}) =>
    Effect.suspend(() => {
      const metadata = options.metadata ?? {}
      const refuse = (path: string, problem: string) =>
        Effect.fail(Failures.invalidEvent({ type }, new Refused(path, problem)))
      if (!Number.isSafeInteger(version) || version < 1) {
        return refuse("version", `of the definition is ${version}, not a whole number from 1`)
      }
      if (Object.hasOwn(metadata, versionField)) {
        return refuse(`metadata.${versionField}`, "is where the definition keeps its version: use another name")
      }
      return Effect.matchEffect(encodeData(data), {
        onFailure: (error) => refuse("data", `does not fit the schema: ${explain(error)}`),
        onSuccess: (encoded) => {
          // Types allow an optional field to be undefined, which JSON cannot hold: what the schema encoded goes without.
          const copy = encoded === undefined ? undefined : copyJson(encoded, "data", maxJsonBytes, "dropped")
          if (copy instanceof Refused) return refuse(copy.path, copy.problem)
          return Effect.succeed({
            ...options,
            type,
            data: copy?.value,
            metadata: { ...metadata, [versionField]: version }
          })
        }
      })
    })

  const decode: Definition<Type, A, I, R>["decode"] = (event) =>
    Effect.suspend(() => {
      const refuse = (problem: string) => Effect.fail(Failures.unreadableEvent(event, problem))
      const from = event.metadata[versionField] ?? 1 // an event that no definition has stored
      if (event.type !== type) return refuse(`it is not of the type ${JSON.stringify(type)}`)
      if (typeof from !== "number") return refuse(`metadata.${versionField} is not a number`)
      if (from > version) return refuse(`it has version ${from} of the schema, and ${version} is the newest known here`)
      let data = event.data
      // What encodes to undefined is stored as null, as in an event that states no data.
      if (data === null && from === version && !fits(null) && fits(undefined)) data = undefined
      try {
        if (from < version) data = upcast(data, from)
      } catch (error) {
        return refuse(`upcast from version ${from} threw ${String(error)}`)
      }
      return Effect.matchEffect(decodeData(data), {
        onFailure: (error) => refuse(`the data of version ${from} does not fit the schema: ${explain(error)}`),
        onSuccess: (data) => Effect.succeed({ ...event, data })
      })
    })

  return {
    type,
    schema,
    version,
    encode,
    decode,
    store: (data, options) =>
      using((events) => {
        const reject = events.reject("store")
        return Effect.catchAll(encode(data, options), reject).pipe(
          Effect.flatMap(events.store),
          Effect.flatMap((stored) => Effect.catchAll(decode(stored), reject))
        )
      }),
    get: (criteria) =>
      using((events) =>
        Effect.flatMap(events.get({ ...criteria, type }), (stored) =>
          Effect.catchAll(Effect.forEach(stored, decode), events.reject("get"))
        )
      ),
    stream: (criteria) =>
      Stream.unwrap(
        using((events) =>
          Effect.succeed(
            Stream.mapEffect(events.stream({ ...criteria, type }), (stored) =>
              Effect.catchAll(decode(stored), events.reject("stream"))
            )
          )
        )
      ),
    subscribe: (criteria) =>
      Stream.unwrap(
        using((events) =>
          Effect.succeed(
            Stream.mapEffect(events.subscribe({ ...criteria, type }), (stored) =>
              Effect.catchAll(decode(stored), events.reject("subscribe"))
            )
          )
        )
      ),
    consume: ({ criteria, handler, ...options }) =>
      using((events) =>
        events.consume({
          ...options,
          criteria: { ...criteria, type },
          // What is no function is refused there.
          handler: typeof handler === "function" ? (stored) => Effect.flatMap(decode(stored), handler) : handler
        })
      )
  }
}

/** What a parse error says, in at most a screenful. */
const explain = (error: ParseResult.ParseError): string => {
  const text = ParseResult.TreeFormatter.formatErrorSync(error)
  return text.length > 2000 ? `${text.slice(0, 2000)}…` : text
}
