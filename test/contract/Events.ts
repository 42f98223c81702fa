import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Fiber, Layer, Schema, Stream, TestClock, TestContext, Tracer } from "effect"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { Events } from "effect-foundation/Events"
import { EventError, VersionConflict } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import * as Model from "./EventsModel.js"

/** JSON less the two texts that are refused on purpose. */
const storable = fc.jsonValue().filter((value) => !/__proto__|\\u0000/.test(JSON.stringify(value)))

/** What every backend of Events does. Each test has a store of its own, built by `layer`. */
export const eventsContract = <E>(name: string, layer: Layer.Layer<Events, E, Telemetry>): void => {
  const provided = Layer.provideMerge(layer, Telemetry.layer)
  const inStore = <A, E2>(program: Effect.Effect<A, E2, Events | Telemetry>) => Effect.provide(program, provided)
  const inStoreAndTime = <A, E2>(program: Effect.Effect<A, E2, Events | Telemetry>) =>
    inStore(program).pipe(Effect.provide(TestContext.TestContext), Effect.runPromise)

  const ids = (events: Iterable<Events.StoredEvent>) => Array.from(events, (event) => event.id)
  const collect = <A, E2, R>(stream: Stream.Stream<A, E2, R>) =>
    Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)
  const failure = <A, E2, R>(effect: Effect.Effect<A, E2, R>) =>
    Effect.map(Effect.flip(effect), (error) => {
      expect(error).toBeInstanceOf(EventError)
      return error as EventError
    })

  describe(`Events on ${name}`, () => {
    describe("store", () => {
      it.effect("answers the event whole, and get answers the same", () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(1234)
          const stored = yield* Events.store({
            type: "order_placed",
            id: "o-1",
            data: { orderId: 1, lines: [{ sku: "a", price: 1.5 }, null, true] },
            stream: "order-1",
            causationId: "cart-9",
            metadata: { source: "web" }
          }).pipe(CorrelationId.with("req-7"))
          expect(stored).toStrictEqual({
            position: stored.position,
            id: "o-1",
            type: "order_placed",
            data: { orderId: 1, lines: [{ sku: "a", price: 1.5 }, null, true] },
            timestamp: 1234,
            stream: "order-1",
            version: 1,
            correlationId: "req-7",
            causationId: "cart-9",
            metadata: { source: "web" }
          })
          expect(stored.position).toBeGreaterThan(0)
          expect(yield* Events.get({ id: "o-1" })).toStrictEqual([stored])
          expect(yield* Events.head).toBe(stored.position)
        }).pipe(inStore)
      )

      it.effect("fills in what is left out", () =>
        Effect.gen(function* () {
          const [one, other] = yield* Events.storeAll([{ type: "tick" }, { type: "tick" }])
          expect(one).toMatchObject({ data: null, stream: undefined, version: undefined, causationId: undefined })
          expect(one?.metadata).toStrictEqual({})
          expect(one?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
          expect(one?.id).not.toBe(other?.id)
          const current = yield* CorrelationId.current
          expect(one?.correlationId).toBe(current)
          const own = yield* Events.store({ type: "tick", correlationId: "mine" })
          expect(own.correlationId).toBe("mine")
        }).pipe(inStore)
      )

      it.effect("is never refused for the correlation id that it inherits; one that it states is", () =>
        Effect.gen(function* () {
          const odd = ["x".repeat(5000), `${"x".repeat(255)}😀`, "a\0b", "\ud800", "\udc00x", "", "  ", "\n"]
          for (const id of odd) {
            const stored = yield* Events.store({ type: "t" }).pipe(Effect.provideService(CorrelationId, id))
            expect(stored.correlationId).not.toBe("")
            expect(yield* Events.get({ correlationId: stored.correlationId, id: stored.id })).toStrictEqual([stored])
            const span = Tracer.externalSpan({ spanId: "s", traceId: id })
            yield* Events.append("s", [{ type: "t" }]).pipe(Effect.withParentSpan(span))
          }
          expect((yield* failure(Events.store({ type: "t", correlationId: "a\0b" }))).message).toContain(
            "correlationId"
          )
          expect((yield* failure(Events.store({ type: "t", correlationId: "" }))).message).toContain("correlationId")
          expect(yield* Events.get()).toHaveLength(2 * odd.length)
        }).pipe(inStore)
      )

      it.effect("gives 1,000 concurrent stores positions of their own, in the order of get", () =>
        Effect.gen(function* () {
          const stored = yield* Effect.forEach(
            Array.from({ length: 1000 }, (_, index) => index),
            (index) =>
              Effect.zipRight(
                index % 3 === 0 ? Effect.yieldNow() : Effect.void,
                Events.store({ type: "tick", data: index })
              ),
            { concurrency: "unbounded" }
          )
          const read = yield* Events.get()
          expect(read).toHaveLength(1000)
          expect(new Set(stored.map((event) => event.position)).size).toBe(1000)
          expect(read).toStrictEqual([...stored].sort((one, other) => one.position - other.position))
          expect(new Set(read.map((event) => event.data)).size).toBe(1000)
        }).pipe(inStore)
      )

      it.effect("numbers the events of each stream from 1, without gaps", () =>
        Effect.gen(function* () {
          yield* Effect.forEach(
            Array.from({ length: 60 }, (_, index) => `s${index % 3}`),
            (stream) => Events.store({ type: "tick", stream }),
            { concurrency: "unbounded" }
          )
          for (const stream of ["s0", "s1", "s2"]) {
            const versions = (yield* Events.get({ stream })).map((event) => event.version)
            expect(versions).toStrictEqual(Array.from({ length: 20 }, (_, index) => index + 1))
          }
        }).pipe(inStore)
      )

      it.effect("keeps what was stored, whatever the caller does with what it gave or got", () =>
        Effect.gen(function* () {
          const input = { type: "t", id: "1", data: { list: [1, { deep: "old" }] }, metadata: { tags: ["x"] } }
          const stored = yield* Events.store(input)
          input.data.list.push(2)
          Object.assign(input.data.list[1] ?? {}, { deep: "new" })
          input.metadata.tags.push("y")
          const kept = { list: [1, { deep: "old" }] }
          expect(stored.data).toStrictEqual(kept)
          const frozen = (value: unknown): boolean =>
            typeof value !== "object" ||
            value === null ||
            (Object.isFrozen(value) && Object.values(value).every((part) => frozen(part)))
          const [read] = yield* Events.get({ id: "1" })
          expect(frozen(stored)).toBe(true)
          expect(frozen(read)).toBe(true)
          expect(() => Object.assign(stored, { type: "other" })).toThrow(TypeError)
          const { list } = stored.data as typeof kept
          expect(() => list.push(5)).toThrow(TypeError)
          expect((yield* Events.get({ id: "1" }))[0]).toStrictEqual(read)
        }).pipe(inStore)
      )

      it.effect(
        "returns any JSON as it was",
        () =>
          Effect.promise(() =>
            fc.assert(
              fc.asyncProperty(storable, (data) =>
                Effect.gen(function* () {
                  yield* Events.store({ type: "t", id: "1", data })
                  const [read] = yield* Events.get({ id: "1" })
                  expect(JSON.stringify(read?.data)).toBe(JSON.stringify(data))
                }).pipe(inStoreAndTime)
              ),
              { numRuns: 30 }
            )
          ),
        180_000
      )
    })

    describe("an id that is stored again", () => {
      const event: Events.Input = {
        type: "paid",
        id: "p-1",
        data: { amount: 5, items: [1, 2], of: { a: 1, b: null } },
        stream: "s",
        causationId: "c",
        metadata: { k: "v", l: 1 }
      }
      const shuffled: Events.Input = {
        metadata: { l: 1, k: "v" },
        causationId: "c",
        stream: "s",
        data: { of: { b: null, a: 1 }, items: [1, 2], amount: 5 },
        id: "p-1",
        type: "paid"
      }

      it.effect("with the same content is the same event, whatever the order of its fields, time or request", () =>
        Effect.gen(function* () {
          const first = yield* Events.store(event).pipe(CorrelationId.with("req-1"))
          yield* TestClock.adjust("1 hour")
          expect(yield* Events.store(shuffled).pipe(CorrelationId.with("req-2"))).toStrictEqual(first)
          expect(yield* Events.storeAll([shuffled, event])).toStrictEqual([first, first])
          expect(yield* Events.get()).toStrictEqual([first])
        }).pipe(inStore)
      )

      const others: Record<string, Partial<Events.Input>> = {
        type: { type: "refunded" },
        "a value of the data": { data: { amount: 6, items: [1, 2], of: { a: 1, b: null } } },
        "a field fewer in the data": { data: { amount: 5, items: [1, 2], of: { a: 1 } } },
        "the order of a list": { data: { amount: 5, items: [2, 1], of: { a: 1, b: null } } },
        stream: { stream: "other" },
        causation: { causationId: "d" },
        metadata: { metadata: { k: "v" } }
      }
      for (const [part, other] of Object.entries(others)) {
        it.effect(`with other content (${part}) is duplicate_event, and changes nothing`, () =>
          Effect.gen(function* () {
            const first = yield* Events.store(event)
            const error = yield* failure(Events.store({ ...event, ...other }))
            expect(error.reason).toBe("duplicate_event")
            expect(error.message).toContain('"p-1"')
            expect(yield* Events.get()).toStrictEqual([first])
          }).pipe(inStore)
        )
      }

      it.effect("is told apart within one batch too", () =>
        Effect.gen(function* () {
          const [one, other, two] = yield* Events.storeAll([event, { type: "x" }, shuffled])
          expect(one).toStrictEqual(two)
          expect(other?.position).toBeGreaterThan(one?.position ?? 0)
          expect(yield* Events.get()).toHaveLength(2)
          const error = yield* failure(
            Events.storeAll([
              { type: "a", id: "new" },
              { type: "b", id: "new" }
            ])
          )
          expect(error.reason).toBe("duplicate_event")
          expect(yield* Events.get()).toHaveLength(2)
        }).pipe(inStore)
      )

      it.effect("is one event for a hundred fibers that store it at once", () =>
        Effect.gen(function* () {
          const stored = yield* Effect.forEach(Array.from({ length: 100 }), () => Events.store(event), {
            concurrency: "unbounded"
          })
          expect(new Set(stored.map((event) => event.position)).size).toBe(1)
          expect(yield* Events.get()).toHaveLength(1)
        }).pipe(inStore)
      )
    })

    describe("storeAll", () => {
      it.effect("stores all, in order, at positions that follow each other", () =>
        Effect.gen(function* () {
          const stored = yield* Events.storeAll(Array.from({ length: 50 }, (_, data) => ({ type: "t", data })))
          expect(stored.map((event) => event.data)).toStrictEqual(Array.from({ length: 50 }, (_, data) => data))
          expect(yield* Events.get()).toStrictEqual(stored)
          expect(yield* Events.storeAll([])).toStrictEqual([])
        }).pipe(inStore)
      )

      it.effect("stores none where one is refused, and says which", () =>
        Effect.gen(function* () {
          yield* Events.store({ type: "kept", id: "1" })
          const invalid = yield* failure(
            Events.storeAll([{ type: "a" }, { type: "b", data: { x: [Number.NaN] } }, { type: "c" }])
          )
          expect(invalid.reason).toBe("invalid_event")
          expect(invalid.message).toContain("index 1")
          expect(invalid.message).toContain("data.x[0]")
          const duplicate = yield* failure(Events.storeAll([{ type: "a" }, { type: "other", id: "1" }]))
          expect(duplicate.reason).toBe("duplicate_event")
          expect(yield* Events.get()).toHaveLength(1)
        }).pipe(inStore)
      )
    })

    describe("append", () => {
      it.effect("takes each of the expected versions where it holds, and conflicts where it does not", () =>
        Effect.gen(function* () {
          const conflict = (expectedVersion: Events.ExpectedVersion) =>
            Effect.map(Effect.flip(Events.append("s", [{ type: "x" }], { expectedVersion })), (error) => {
              expect(error).toBeInstanceOf(VersionConflict)
              const { stream, expected, actual } = error as VersionConflict
              return { stream, expected, actual }
            })
          const versions = (events: ReadonlyArray<Events.StoredEvent>) => events.map((event) => event.version)
          expect(yield* conflict("exists")).toStrictEqual({ stream: "s", expected: "exists", actual: 0 })
          expect(yield* conflict(1)).toStrictEqual({ stream: "s", expected: 1, actual: 0 })
          expect(versions(yield* Events.append("s", [{ type: "a" }], { expectedVersion: "none" }))).toStrictEqual([1])
          expect(yield* conflict("none")).toStrictEqual({ stream: "s", expected: "none", actual: 1 })
          expect(yield* conflict(0)).toStrictEqual({ stream: "s", expected: 0, actual: 1 })
          const two = [{ type: "b" }, { type: "c" }]
          expect(versions(yield* Events.append("s", two, { expectedVersion: 1 }))).toStrictEqual([2, 3])
          expect(versions(yield* Events.append("s", two, { expectedVersion: "exists" }))).toStrictEqual([4, 5])
          expect(versions(yield* Events.append("s", two, { expectedVersion: "any" }))).toStrictEqual([6, 7])
          expect(versions(yield* Events.append("s", two))).toStrictEqual([8, 9])
          expect(versions(yield* Events.append("t", two, { expectedVersion: 0 }))).toStrictEqual([1, 2])
          expect((yield* Events.get({ stream: "s" })).map((event) => event.type).join("")).toBe("abcbcbcbc")
        }).pipe(inStore)
      )

      it.effect("lets exactly one of 100 that append to the same version win", () =>
        Effect.gen(function* () {
          yield* Events.append("s", [{ type: "opened" }], { expectedVersion: "none" })
          const exits = yield* Effect.forEach(
            Array.from({ length: 100 }, (_, index) => index),
            (index) =>
              Effect.yieldNow().pipe(
                Effect.zipRight(Events.append("s", [{ type: "won", data: index }], { expectedVersion: 1 })),
                Effect.either
              ),
            { concurrency: "unbounded" }
          )
          expect(exits.filter((exit) => exit._tag === "Right")).toHaveLength(1)
          const conflicts = exits.flatMap((exit) => (exit._tag === "Left" ? [exit.left] : []))
          expect(conflicts.every((error) => error._tag === "VersionConflict" && error.actual === 2)).toBe(true)
          expect(yield* Events.get({ stream: "s" })).toHaveLength(2)
        }).pipe(inStore)
      )

      it.effect("answers a retry as the first time, though the stream has moved on", () =>
        Effect.gen(function* () {
          const batch = [
            { type: "a", id: "1" },
            { type: "b", id: "2" }
          ]
          const first = yield* Events.append("s", batch, { expectedVersion: "none" })
          yield* Events.append("s", [{ type: "c" }], { expectedVersion: 2 })
          expect(yield* Events.append("s", batch, { expectedVersion: "none" })).toStrictEqual(first)
          const more = [...batch, { type: "d", id: "3" }]
          expect((yield* Effect.flip(Events.append("s", more, { expectedVersion: "none" })))._tag).toBe(
            "VersionConflict"
          )
          const elsewhere = yield* Effect.flip(Events.append("t", batch, { expectedVersion: "none" }))
          expect(elsewhere).toMatchObject({ reason: "duplicate_event" })
          expect(yield* Events.get()).toHaveLength(3)
        }).pipe(inStore)
      )

      it.effect("refuses what it cannot mean", () =>
        Effect.gen(function* () {
          const refused: ReadonlyArray<readonly [unknown, unknown, unknown, string]> = [
            ["", [{ type: "a" }], {}, "stream"],
            [undefined, [{ type: "a" }], {}, "stream"],
            ["s", { type: "a" }, {}, "list"],
            ["s", [{ type: "a", stream: "t" }], {}, "stream"],
            ["s", [{ type: "a" }], { expectedVersion: -1 }, "expectedVersion"],
            ["s", [{ type: "a" }], { expectedVersion: 1.5 }, "expectedVersion"],
            ["s", [{ type: "a" }], { expectedVersion: "some" }, '"some"'],
            ["s", [{ type: "a" }], { expectedVersion: undefined }, "undefined"],
            ["s", [{ type: "a" }], { version: 1 }, "did you mean expectedVersion?"]
          ]
          for (const [stream, events, options, message] of refused) {
            const error = yield* failure(Events.append(stream as string, events as [], options as Events.AppendOptions))
            expect(error.reason).toBe("invalid_event")
            expect(error.message).toContain(message)
          }
          expect(yield* Events.get()).toStrictEqual([])
        }).pipe(inStore)
      )
    })

    describe("an event that is none", () => {
      const cycle: { list: Array<unknown> } = { list: [] }
      cycle.list.push({ back: cycle })
      let deep: unknown = 1
      for (let depth = 0; depth < 10_000; depth++) deep = [deep]
      class Money {
        amount = 1
      }
      const sparse: Array<unknown> = [1]
      sparse[2] = 3
      const throwing = new Proxy({}, { ownKeys: () => assertNever() })
      const assertNever = (): never => {
        throw new Error("boom")
      }
      const data: Record<string, readonly [unknown, ...ReadonlyArray<string>]> = {
        "a function": [{ a: { f: () => 1 } }, "data.a.f", "function"],
        "a bigint": [{ a: [1, 2n] }, "data.a[1]", "bigint"],
        "a symbol": [[Symbol("s")], "data[0]", "symbol"],
        "a symbol as a field": [{ a: { [Symbol("s")]: 1 } }, "data.a", "symbol"],
        "undefined inside": [{ a: undefined }, "data.a", "undefined"],
        "undefined in a list": [{ a: [undefined] }, "data.a[0]", "undefined"],
        NaN: [{ "a b": Number.NaN }, 'data["a b"]', "NaN"],
        Infinity: [[Number.NEGATIVE_INFINITY], "data[0]", "-Infinity"],
        "a date": [{ at: new Date(0) }, "data.at", "Date"],
        "an instance of a class": [{ price: new Money() }, "data.price", "instance of Money"],
        "a map": [new Map(), "data", "instance of Map"],
        "an error": [new Error("x"), "data", "instance of Error"],
        "binary data": [{ blob: new Uint8Array(3) }, "data.blob", "base64"],
        "a hole in a list": [sparse, "data[1]", "hole"],
        "a __proto__ field": [JSON.parse('{"a":{"__proto__":{"admin":true}}}'), "data.a.__proto__", "prototype"],
        "a getter": [Object.defineProperty({}, "g", { get: () => 1, enumerable: true }), "data.g", "getter"],
        "a cycle": [{ a: cycle }, "data.a.list[0].back", "data.a again", "cycle"],
        "10,000 levels": [deep, "256 deep"],
        "an unpaired surrogate": [{ a: "x\ud800" }, "data.a", "surrogate"],
        "U+0000": [{ a: "x\0" }, "data.a", "U+0000"],
        "something that throws when read": [{ a: throwing }, "data", "cannot be read"],
        "a text of more than 1 MiB": ["x".repeat(1024 * 1024), "data", "1048576 bytes"],
        "more than 1 MiB in parts": [{ a: Array.from({ length: 2000 }, () => "é".repeat(300)) }, "1048576", "data.a["]
      }
      for (const [title, [value, ...said]] of Object.entries(data)) {
        it.effect(`is refused for data with ${title}, and the message names the place`, () =>
          Effect.gen(function* () {
            const error = yield* failure(Events.store({ type: "order_placed", data: value }))
            expect(error.reason).toBe("invalid_event")
            for (const part of ['"order_placed"', ...said]) expect(error.message).toContain(part)
            expect(error.message.length).toBeLessThan(600)
            expect(Schema.encodeSync(EventError)(error)).toMatchObject({ reason: "invalid_event" })
            expect(yield* Events.get()).toStrictEqual([])
            expect({}).not.toHaveProperty("admin")
          }).pipe(inStore)
        )
      }

      const fields: ReadonlyArray<readonly [unknown, string]> = [
        [undefined, "object"],
        [null, "object"],
        ["order_placed", "object"],
        [[{ type: "a" }], "object"],
        [{}, "type is undefined"],
        [{ type: "" }, "type is empty"],
        [{ type: "  " }, "type is empty"],
        [{ type: 5 }, "type is the number 5"],
        [{ type: "x".repeat(257) }, "257 characters"],
        [{ type: "a", id: "" }, "id is empty"],
        [{ type: "a", id: 7 }, "id is the number 7"],
        [{ type: "a", stream: null }, "stream is null"],
        [{ type: "a", correlationId: {} }, "correlationId is an object"],
        [{ type: "a", causationId: "\0" }, "causationId has the character"],
        [{ type: "a", metadata: [] }, "metadata is not an object"],
        [{ type: "a", metadata: { at: new Date() } }, "metadata.at is a Date"],
        [{ type: "a", metadata: { x: "x".repeat(1024 * 1024) } }, "metadata is more than"],
        [{ type: "a", payload: {} }, "payload is no field"],
        [{ type: "a", Data: {} }, "did you mean data?"]
      ]
      it.effect("is refused for its other fields, and the message names the field", () =>
        Effect.gen(function* () {
          for (const [input, message] of fields) {
            const error = yield* failure(Events.store(input as Events.Input))
            expect(error.reason).toBe("invalid_event")
            expect(error.message).toContain(message)
          }
          expect(yield* Events.get()).toStrictEqual([])
        }).pipe(inStore)
      )

      it.effect("is one again at exactly 1 MiB, 256 levels and 256 characters", () =>
        Effect.gen(function* () {
          const text = "x".repeat(1024 * 1024 - 2)
          expect((yield* Events.store({ type: "x".repeat(256), data: text })).data).toBe(text)
          let nested: unknown = 1
          for (let depth = 0; depth < 256; depth++) nested = { nested }
          yield* Events.store({ type: "deep", data: nested })
          const shared = { twice: 1 }
          const { data } = yield* Events.store({ type: "shared", data: [shared, shared], metadata: { shared } })
          expect(data).toStrictEqual([{ twice: 1 }, { twice: 1 }])
        }).pipe(inStore)
      )
    })

    describe("get", () => {
      it.effect(
        "answers what a naive filter does, for every criterion alone, in every pair, and after prunes",
        () =>
          Effect.promise(() =>
            fc.assert(
              fc.asyncProperty(Model.history, Model.values, Model.values, (history, values, pruned) =>
                Effect.gen(function* () {
                  let all: ReadonlyArray<Events.StoredEvent> = yield* Effect.forEach(history, ({ at, event }) =>
                    Effect.zipRight(TestClock.setTime(at), Events.store(event))
                  )
                  for (const criteria of Model.prunes(pruned)) {
                    const gone = Model.select(all, criteria)
                    expect(yield* Events.prune(criteria)).toBe(gone.length)
                    all = all.filter((event) => !gone.includes(event))
                  }
                  for (const criteria of Model.combinations(values)) {
                    const expected = ids(Model.select(all, criteria))
                    expect({ criteria, ids: ids(yield* Events.get(criteria)) }).toStrictEqual({
                      criteria,
                      ids: expected
                    })
                  }
                  const criteria = Model.together(values)
                  expect(ids(yield* collect(Events.stream(criteria)))).toStrictEqual(ids(Model.select(all, criteria)))
                }).pipe(inStoreAndTime)
              ),
              { numRuns: 40 }
            )
          ),
        180_000
      )

      it.effect("takes dates for times, and excludes both ends", () =>
        Effect.gen(function* () {
          for (const at of [1000, 2000, 3000]) {
            yield* TestClock.setTime(at)
            yield* Events.store({ type: "t", data: at })
          }
          const between = yield* Events.get({ after: new Date(1000), before: new Date(3000) })
          expect(between.map((event) => event.data)).toStrictEqual([2000])
        }).pipe(inStore)
      )

      it.effect("matches data by the fields that are given, each in full", () =>
        Effect.gen(function* () {
          yield* Events.storeAll([
            { type: "t", id: "1", data: { a: 1, b: { c: [1, 2], d: null } } },
            { type: "t", id: "2", data: { a: 1, b: { c: [1, 2] } } },
            { type: "t", id: "3", data: { a: null } },
            { type: "t", id: "4", data: [1] },
            { type: "t", id: "5" },
            { type: "t", id: "6", data: { toString: 1 } }
          ])
          const found = (data: Record<string, unknown>) => Effect.map(Events.get({ data }), ids)
          expect(yield* found({ a: 1 })).toStrictEqual(["1", "2"])
          expect(yield* found({ b: { d: null, c: [1, 2] } })).toStrictEqual(["1"])
          expect(yield* found({ b: { c: [1, 2] } })).toStrictEqual(["2"])
          expect(yield* found({ b: { c: [2, 1] } })).toStrictEqual([])
          expect(yield* found({ a: null })).toStrictEqual(["3"])
          expect(yield* found({ toString: 1 })).toStrictEqual(["6"])
          expect(yield* found({ length: 1 })).toStrictEqual([])
        }).pipe(inStore)
      )

      it.effect("answers 1,000 events unless the limit says otherwise", () =>
        Effect.gen(function* () {
          yield* Events.storeAll(Array.from({ length: 1200 }, (_, data) => ({ type: "t", data })))
          expect(yield* Events.get()).toHaveLength(1000)
          expect(yield* Events.get({ limit: 1100 })).toHaveLength(1100)
          expect(yield* Events.get({ limit: 0 })).toHaveLength(0)
          expect((yield* Events.get({ order: "desc", limit: 1 }))[0]?.data).toBe(1199)
        }).pipe(inStore)
      )

      const invalid: ReadonlyArray<readonly [unknown, ...ReadonlyArray<string>]> = [
        [null, "criteria are null"],
        [[], "criteria are a list"],
        ["order_placed", "criteria are text"],
        [{ typ: "a" }, "typ is no criterion", "did you mean type?", "afterPosition, beforePosition"],
        [{ eventType: "a" }, "did you mean type?"],
        [{ corelationID: "a" }, "did you mean correlationId?"],
        [{ constructor: 1 }, "constructor is no criterion"],
        [JSON.parse('{"__proto__":1}'), "__proto__ is no criterion"],
        [{ type: undefined }, "type is undefined"],
        [{ type: "" }, "type is empty"],
        [{ type: 1 }, "type is the number 1"],
        [{ type: ["a", null] }, "type[1] is null"],
        [{ type: new Array(2) }, "type[0] is undefined"],
        [{ id: Array.from({ length: 1001 }, (_, index) => `${index}`) }, "lists 1001"],
        [{ stream: null }, "stream is null"],
        [{ correlationId: 5 }, "correlationId"],
        [{ causationId: [] }, "causationId is a list"],
        [{ after: "2020-01-01" }, 'after is "2020-01-01"'],
        [{ before: new Date(Number.NaN) }, "before"],
        [{ after: Number.NaN }, "after is NaN"],
        [{ after: 2, before: 2 }, "after (2) is not earlier than before (2)"],
        [{ after: 3, before: 2 }, "nothing lies between"],
        [{ afterPosition: -1 }, "afterPosition is the number -1"],
        [{ beforePosition: 1.5 }, "beforePosition is the number 1.5"],
        [{ afterPosition: 7, beforePosition: 7 }, "afterPosition (7) is not less than beforePosition (7)"],
        [{ metadata: 5 }, "metadata is the number 5"],
        [{ metadata: {} }, "states no field"],
        [{ data: [] }, "data is a list"],
        [{ data: { a: undefined } }, "data.a is undefined"],
        [{ data: { a: 1n } }, "data.a is a bigint"],
        [{ order: "up" }, 'order is "up"'],
        [{ limit: Number.NaN }, "limit is NaN"],
        [{ limit: -1 }, "limit is the number -1"],
        [{ limit: 2.5 }, "limit is the number 2.5"],
        [{ limit: Number.POSITIVE_INFINITY }, "limit is Infinity"],
        [{ limit: "10" }, 'limit is "10"']
      ]
      it.effect("refuses criteria that are unknown, malformed or contradict each other, and names them", () =>
        Effect.gen(function* () {
          yield* Events.store({ type: "a" })
          for (const [input, ...said] of invalid) {
            const criteria = input as Events.Criteria
            for (const ask of [
              Events.get(criteria),
              Events.prune(criteria),
              Stream.runDrain(Events.stream(criteria)),
              Stream.runDrain(Events.subscribe(criteria))
            ]) {
              const error = yield* failure(ask)
              expect(error.reason).toBe("invalid_criteria")
              for (const part of said) expect(error.message).toContain(part)
            }
          }
          expect(yield* Events.get()).toHaveLength(1)
        }).pipe(inStore)
      )
    })

    describe("stream", () => {
      it.effect("pages through everything in either order, and up to a limit", () =>
        Effect.gen(function* () {
          const all = yield* Events.storeAll(
            Array.from({ length: 1500 }, (_, data) => ({ type: data % 2 === 0 ? "even" : "odd", data }))
          )
          expect(yield* collect(Events.stream())).toStrictEqual(all)
          expect(yield* collect(Events.stream({ order: "desc" }))).toStrictEqual([...all].reverse())
          const odd = all.filter((event) => event.type === "odd")
          expect(yield* collect(Events.stream({ type: "odd" }))).toStrictEqual(odd)
          expect(yield* collect(Events.stream({ type: "odd", limit: 600 }))).toStrictEqual(odd.slice(0, 600))
          expect(yield* collect(Events.stream({ limit: 512 }))).toStrictEqual(all.slice(0, 512))
          expect(yield* collect(Events.stream({ limit: 0 }))).toStrictEqual([])
          const last = yield* collect(Events.stream({ type: "odd", order: "desc", limit: 300 }))
          expect(last).toStrictEqual([...odd].reverse().slice(0, 300))
        }).pipe(inStore)
      )

      it.effect("ends with what was stored when it started, though every page stores more", () =>
        Effect.gen(function* () {
          yield* Events.storeAll(Array.from({ length: 700 }, () => ({ type: "t" })))
          for (const order of ["asc", "desc"] as const) {
            const before = yield* Events.head
            const seen = yield* Events.stream({ order }).pipe(
              Stream.chunks,
              Stream.tap(() => Events.storeAll(Array.from({ length: 300 }, () => ({ type: "t" })))),
              Stream.flattenChunks,
              collect
            )
            expect(seen).toHaveLength(before)
            expect(Math.max(...seen.map((event) => event.position))).toBe(before)
          }
        }).pipe(inStore)
      )
    })

    describe("subscribe", () => {
      it.effect(
        "loses nothing and repeats nothing while stores race with its start",
        () =>
          Effect.promise(() =>
            fc.assert(
              fc.asyncProperty(Model.race, ({ stored, storers, start, from, only }) =>
                Effect.gen(function* () {
                  yield* Events.storeAll(
                    Array.from({ length: stored }, (_, index) => ({ type: "ab"[index % 2] ?? "" }))
                  )
                  const afterPosition = Math.floor(from * (yield* Events.head))
                  const type = [...only, "end"]
                  const subscriber = yield* Effect.repeatN(Effect.yieldNow(), start).pipe(
                    Effect.zipRight(
                      Events.subscribe({ type, afterPosition }).pipe(
                        Stream.takeUntil((event) => event.type === "end"),
                        collect
                      )
                    ),
                    Effect.fork
                  )
                  yield* Effect.forEach(
                    storers,
                    (steps) =>
                      Effect.forEach(steps, ({ yields, count }) =>
                        Effect.repeatN(Effect.yieldNow(), yields).pipe(
                          Effect.zipRight(
                            Events.storeAll(
                              Array.from({ length: count }, (_, index) => ({ type: "ab"[index % 2] ?? "" }))
                            )
                          )
                        )
                      ),
                    { concurrency: "unbounded" }
                  )
                  yield* Events.store({ type: "end" })
                  const seen = yield* Fiber.join(subscriber)
                  const all = yield* collect(Events.stream({ afterPosition }))
                  const expected = all.filter((event) => type.includes(event.type))
                  expect(ids(seen)).toStrictEqual(ids(expected))
                }).pipe(inStoreAndTime)
              ),
              { numRuns: 100 }
            )
          ),
        180_000
      )

      it.effect("holds up no store, however slow it is, and delivers all in the end", () =>
        Effect.gen(function* () {
          const gate = yield* Deferred.make<void>()
          const started = yield* Deferred.make<void>()
          const subscriber = yield* Events.subscribe().pipe(
            Stream.tap(() => Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(gate))),
            Stream.take(1001),
            collect,
            Effect.fork
          )
          yield* Events.store({ type: "t", data: -1 })
          yield* Deferred.await(started)
          yield* Effect.forEach(Array.from({ length: 1000 }), (_, data) => Events.store({ type: "t", data }))
          yield* Deferred.succeed(gate, undefined)
          const seen = yield* Fiber.join(subscriber)
          expect(seen.map((event) => event.data)).toStrictEqual(Array.from({ length: 1001 }, (_, index) => index - 1))
        }).pipe(inStore)
      )

      it.effect("resumes behind a position, and takes only what is new after the head", () =>
        Effect.gen(function* () {
          const all = yield* Events.storeAll(Array.from({ length: 10 }, (_, data) => ({ type: "t", data })))
          const afterPosition = all[6]?.position ?? 0
          const resumed = yield* collect(Stream.take(Events.subscribe({ afterPosition }), 3))
          expect(resumed.map((event) => event.data)).toStrictEqual([7, 8, 9])
          const head = yield* Events.head
          const fresh = yield* Effect.fork(collect(Stream.take(Events.subscribe({ afterPosition: head }), 1)))
          yield* Events.store({ type: "t", data: "new" })
          expect((yield* Fiber.join(fresh)).map((event) => event.data)).toStrictEqual(["new"])
        }).pipe(inStore)
      )

      it.effect("refuses what would end it", () =>
        Effect.gen(function* () {
          const ends: ReadonlyArray<Events.Criteria> = [
            { limit: 5 },
            { order: "desc" },
            { before: 5 },
            { beforePosition: 5 }
          ]
          for (const criteria of ends) {
            const error = yield* failure(Stream.runDrain(Events.subscribe(criteria)))
            expect(error.reason).toBe("invalid_criteria")
            expect(error.message).toContain(Object.keys(criteria)[0])
          }
        }).pipe(inStore)
      )

      it.effect("leaves out what was pruned before it was read", () =>
        Effect.gen(function* () {
          yield* Events.storeAll([{ type: "a" }, { type: "b" }, { type: "a" }])
          yield* Events.prune({ type: "a" })
          yield* Events.store({ type: "c" })
          const seen = yield* collect(Stream.take(Events.subscribe(), 2))
          expect(seen.map((event) => event.type)).toStrictEqual(["b", "c"])
        }).pipe(inStore)
      )
    })

    describe("prune", () => {
      it.effect("removes what matches, and nothing else; positions and versions go on", () =>
        Effect.gen(function* () {
          const [, , last] = yield* Events.append("s", [{ type: "a" }, { type: "b" }, { type: "a" }])
          expect(yield* Events.prune({ type: "a" })).toBe(2)
          expect((yield* Events.get()).map((event) => event.type)).toStrictEqual(["b"])
          expect(yield* Events.prune({ type: "a" })).toBe(0)
          expect(yield* Events.prune({ afterPosition: 0 })).toBe(1)
          expect(yield* Events.get()).toStrictEqual([])
          expect(yield* Events.head).toBe(last?.position)
          const [next] = yield* Events.append("s", [{ type: "c" }], { expectedVersion: 3 })
          expect(next).toMatchObject({ version: 4, stream: "s" })
          expect(next?.position).toBeGreaterThan(last?.position ?? 0)
          expect(yield* Effect.flip(Events.append("s", [{ type: "c" }], { expectedVersion: "none" }))).toMatchObject({
            actual: 4
          })
        }).pipe(inStore)
      )

      it.effect("forgets the ids", () =>
        Effect.gen(function* () {
          const first = yield* Events.store({ type: "a", id: "1" })
          yield* Events.prune({ id: "1" })
          const again = yield* Events.store({ type: "other", id: "1" })
          expect(again.position).toBeGreaterThan(first.position)
        }).pipe(inStore)
      )

      it.effect("takes the first or the last few, with order and limit", () =>
        Effect.gen(function* () {
          yield* Events.storeAll(Array.from({ length: 9 }, (_, data) => ({ type: "t", data })))
          expect(yield* Events.prune({ type: "t", limit: 2 })).toBe(2)
          expect(yield* Events.prune({ type: "t", order: "desc", limit: 3 })).toBe(3)
          expect((yield* Events.get()).map((event) => event.data)).toStrictEqual([2, 3, 4, 5])
        }).pipe(inStore)
      )

      it.effect("refuses to remove everything unless it is said", () =>
        Effect.gen(function* () {
          yield* Events.store({ type: "a" })
          for (const criteria of [{}, { limit: 5 }, { order: "desc" as const }]) {
            const error = yield* failure(Events.prune(criteria))
            expect(error.reason).toBe("invalid_criteria")
            expect(error.message).toContain("afterPosition: 0")
          }
          expect(yield* Events.get()).toHaveLength(1)
        }).pipe(inStore)
      )
    })

    describe("a definition", () => {
      const OrderPlaced = Events.define("order_placed", Schema.Struct({ orderId: Schema.Number, at: Schema.Date }), {
        version: 3,
        upcast: (data, from) => {
          const { id } = data as { id: string }
          return { orderId: from === 1 ? Number(id) : Number(id) * 10, at: "2020-01-01T00:00:00.000Z" }
        }
      })
      const at = new Date("2024-05-01T00:00:00.000Z")

      it.effect("encodes what it stores and decodes what it reads", () =>
        Effect.gen(function* () {
          const stored = yield* OrderPlaced.store(
            { orderId: 7, at },
            { id: "1", stream: "o-7", metadata: { by: "web" } }
          )
          expect(stored.data.at).toStrictEqual(at)
          const [raw] = yield* Events.get()
          expect(raw).toMatchObject({
            id: "1",
            type: "order_placed",
            stream: "o-7",
            data: { orderId: 7, at: "2024-05-01T00:00:00.000Z" },
            metadata: { by: "web", schemaVersion: 3 }
          })
          yield* Events.store({ type: "other", data: 1 })
          expect(yield* OrderPlaced.get({ stream: "o-7" })).toStrictEqual([stored])
          expect(yield* collect(OrderPlaced.stream())).toStrictEqual([stored])
          expect(yield* collect(Stream.take(OrderPlaced.subscribe(), 1))).toStrictEqual([stored])
          expect(
            yield* OrderPlaced.store({ orderId: 7, at }, { id: "1", stream: "o-7", metadata: { by: "web" } })
          ).toStrictEqual(stored)
          const [appended] = yield* Events.append("o-8", [yield* OrderPlaced.encode({ orderId: 8, at })])
          expect((yield* OrderPlaced.get({ stream: "o-8" }))[0]?.position).toBe(appended?.position)
        }).pipe(inStore)
      )

      it.effect("brings data of older versions to the form of today", () =>
        Effect.gen(function* () {
          yield* Events.store({ type: "order_placed", data: { id: "4" } })
          yield* Events.store({ type: "order_placed", data: { id: "5" }, metadata: { schemaVersion: 2 } })
          yield* OrderPlaced.store({ orderId: 6, at })
          const ids = (yield* OrderPlaced.get()).map((event) => event.data.orderId)
          expect(ids).toStrictEqual([4, 50, 6])
        }).pipe(inStore)
      )

      it.effect("leaves out the undefined fields of what its schema encoded, at any depth", () =>
        Effect.gen(function* () {
          const Noted = Events.define(
            "noted",
            Schema.Struct({
              note: Schema.optional(Schema.String),
              by: Schema.Struct({ name: Schema.String, nick: Schema.UndefinedOr(Schema.String) }),
              lines: Schema.Array(Schema.Struct({ sku: Schema.String, gift: Schema.optional(Schema.Boolean) }))
            })
          )
          const data = { note: undefined, by: { name: "a", nick: undefined }, lines: [{ sku: "b", gift: undefined }] }
          const stored = yield* Noted.store(data, { id: "1" })
          expect(stored.data.note).toBeUndefined()
          expect((yield* Events.get())[0]?.data).toStrictEqual({ by: { name: "a" }, lines: [{ sku: "b" }] })
          expect(yield* Noted.get()).toStrictEqual([stored])
          const [again] = yield* Events.storeAll([yield* Noted.encode(data, { id: "1" })])
          expect(again?.position).toBe(stored.position)
          expect((yield* failure(Events.store({ type: "noted", data }))).message).toContain("data.note is undefined")
        }).pipe(inStore)
      )

      it.effect("refuses undefined in a list, and all else that JSON cannot hold, before anything is stored", () =>
        Effect.gen(function* () {
          const Anything = Events.define("anything", Schema.Unknown)
          const cycle: Record<string, unknown> = { none: undefined }
          cycle.one = cycle
          cycle.other = cycle
          const refused: ReadonlyArray<readonly [data: unknown, message: string]> = [
            [{ list: [1, undefined] }, "data.list[1] is undefined"],
            [{ list: [{ none: undefined, at: new Date(0) }] }, "data.list[0].at is a Date"],
            [cycle, "cycle"],
            [{ ...JSON.parse('{"__proto__":{}}'), none: undefined }, "would replace the prototype"]
          ]
          for (const [data, message] of refused) {
            const error = yield* failure(Anything.store(data))
            expect(error.reason).toBe("invalid_event")
            expect(error.message).toContain('Event "anything" was not stored')
            expect(error.message).toContain(message)
          }
          expect(yield* Events.get()).toStrictEqual([])
        }).pipe(inStore)
      )

      it.effect("reads back what its schema encodes to nothing, which is stored as null", () =>
        Effect.gen(function* () {
          const Started = Events.define("started", Schema.Void)
          const Scored = Events.define("scored", Schema.UndefinedOr(Schema.Number))
          const Nullish = Events.define("nullish", Schema.NullishOr(Schema.Number))
          yield* Started.store()
          const stored = yield* Scored.store(undefined)
          expect(stored.data).toBeUndefined()
          expect(yield* Scored.get()).toStrictEqual([stored])
          expect((yield* Nullish.store(null)).data).toBe(null)
          expect((yield* Events.get()).map(({ data }) => data)).toStrictEqual([null, null, null])
        }).pipe(inStore)
      )

      it.effect("stores the same data under the same id once, whichever version of it stores them", () =>
        Effect.gen(function* () {
          const Order = Schema.Struct({ orderId: Schema.Number, note: Schema.optional(Schema.String) })
          const upcast = (data: unknown) => data
          const First = Events.define("ordered", Schema.Struct({ orderId: Schema.Number }))
          const Second = Events.define("ordered", Order, { version: 2, upcast })
          const options = { id: "1", stream: "o-7", metadata: { by: "web" } }
          const first = yield* First.store({ orderId: 7 }, options)
          const [raw] = yield* Events.get()
          expect(yield* Second.store({ orderId: 7 }, options)).toStrictEqual(first)
          const retried = yield* Second.encode({ orderId: 7 }, options)
          expect(yield* Events.append("o-7", [retried], { expectedVersion: "none" })).toStrictEqual([raw])
          expect(yield* Events.store({ ...retried, metadata: { by: "web" } })).toStrictEqual(raw)
          expect(yield* Events.get()).toStrictEqual([raw])

          const other = yield* failure(Second.store({ orderId: 7, note: "new" }, options))
          expect(other.reason).toBe("duplicate_event")
          const elsewhere = yield* failure(Second.store({ orderId: 7 }, { ...options, metadata: { by: "app" } }))
          expect(elsewhere.reason).toBe("duplicate_event")
          const less = yield* failure(Second.store({ orderId: 7 }, { id: "1", stream: "o-7" }))
          expect(less.reason).toBe("duplicate_event")
        }).pipe(inStore)
      )

      it.effect("refuses data that does not fit, in either direction", () =>
        Effect.gen(function* () {
          const Named = Events.define("named", Schema.Struct({ name: Schema.NonEmptyString }))
          const empty = yield* failure(Named.store({ name: "" }))
          expect(empty.reason).toBe("invalid_event")
          expect(empty.message).toContain("NonEmptyString")
          const clash = yield* failure(Named.store({ name: "x" }, { metadata: { schemaVersion: 2 } }))
          expect(clash.message).toContain("metadata.schemaVersion")
          expect(yield* Events.get()).toStrictEqual([])

          const good = yield* Named.store({ name: "ok" })
          const { position } = yield* Events.store({ type: "named", data: { name: 5 } })
          const unfit = yield* failure(Named.get())
          expect(unfit).toMatchObject({ reason: "invalid_event", context: { position, type: "named" } })
          expect(unfit.message).toContain(`position ${position}`)
          const seen: Array<number> = []
          const stopped = yield* failure(
            Stream.runForEach(Named.stream(), (event) => Effect.sync(() => seen.push(event.position)))
          )
          expect(stopped.context).toMatchObject({ position })
          expect(seen).toStrictEqual([good.position])

          const newer = yield* Events.store({ type: "order_placed", data: {}, metadata: { schemaVersion: 4 } })
          const unknown = yield* failure(OrderPlaced.get())
          expect(unknown.message).toContain("version 4")
          expect(unknown.context).toMatchObject({ position: newer.position })
          const bad = Events.define("named", Schema.Unknown, { version: 2, upcast: () => expect.unreachable("old") })
          expect((yield* failure(bad.get())).message).toContain("upcast from version 1 threw")
          expect((yield* failure(Events.define("x", Schema.Null, { version: 0 }).store(null))).message).toContain(
            "version"
          )
        }).pipe(inStore)
      )
    })

    describe("telemetry", () => {
      it.effect("tells of stores, reads, prunes and refusals, under the correlation id of the events", () =>
        Effect.gen(function* () {
          const seen: Array<Telemetry.Event> = []
          yield* Telemetry.attach("spec", "events.*", (event) => {
            seen.push(event)
          })
          const stored = yield* Effect.gen(function* () {
            const stored = yield* Events.append("s", [{ type: "a" }, { type: "b" }])
            yield* Events.get({ type: "a" })
            yield* Effect.flip(Events.store({ type: "" }))
            yield* Effect.flip(Events.append("s", [{ type: "c" }], { expectedVersion: 1 }))
            yield* Effect.flip(Events.get({ limit: -1 }))
            yield* Events.prune({ type: "b" })
            return stored
          }).pipe(CorrelationId.with("req-9"))
          expect(stored.map((event) => event.correlationId)).toStrictEqual(["req-9", "req-9"])
          expect(seen.map((event) => event.correlationId)).toStrictEqual(seen.map(() => "req-9"))
          expect(seen.map(({ name, measurements, metadata }) => [name, measurements.count, metadata])).toStrictEqual([
            ["events.store", 2, { stream: "s" }],
            ["events.get", 1, {}],
            ["events.rejected", 1, { operation: "store", reason: "invalid_event" }],
            ["events.rejected", 1, { operation: "append", reason: "version_conflict" }],
            ["events.rejected", 1, { operation: "get", reason: "invalid_criteria" }],
            ["events.prune", 1, {}]
          ])
          expect(seen[0]?.measurements.duration).toBeGreaterThanOrEqual(0)
        }).pipe(Effect.scoped, inStore)
      )

      it.effect(
        "tells once of what a definition refuses on its schema, under the operation that it was asked for",
        () =>
          Effect.gen(function* () {
            const Named = Events.define("named", Schema.Struct({ name: Schema.NonEmptyString }))
            const seen: Array<unknown> = []
            yield* Telemetry.attach("spec", "events.rejected", ({ correlationId, measurements, metadata }) => {
              seen.push([correlationId, measurements.count, metadata.operation, metadata.reason])
            })
            yield* Effect.gen(function* () {
              yield* Effect.flip(Named.store({ name: "" }))
              yield* Effect.flip(Named.store({ name: "x" }, { id: "" }))
              yield* Named.store({ name: "read by all" })
              yield* Events.store({ type: "named", data: { name: 5 } })
              yield* Effect.flip(Named.get())
              yield* Effect.flip(Stream.runDrain(Named.stream()))
              yield* Effect.flip(Stream.runDrain(Named.subscribe()))
              yield* Effect.flip(Named.get({ limit: -1 }))
            }).pipe(CorrelationId.with("req-9"))
            expect(seen).toStrictEqual([
              ["req-9", 1, "store", "invalid_event"],
              ["req-9", 1, "store", "invalid_event"],
              ["req-9", 1, "get", "invalid_event"],
              ["req-9", 1, "stream", "invalid_event"],
              ["req-9", 1, "subscribe", "invalid_event"],
              ["req-9", 1, "get", "invalid_criteria"]
            ])
          }).pipe(Effect.scoped, inStore)
      )
    })
  })
}
