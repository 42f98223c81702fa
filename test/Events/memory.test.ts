import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { Events } from "effect-foundation/Events"
import type { Backend } from "effect-foundation/Events/Backend"
import { memory } from "effect-foundation/Events/Memory"
import { Signals } from "effect-foundation/Events/Signals"
import { ConfigError } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"
import { eventsContract } from "../contract/Events.js"

eventsContract("memory", Events.layer)

const withBounds = (options: Events.MemoryOptions) =>
  Effect.provide(Layer.provide(Events.layerMemory(options), Telemetry.layer))
const inMemory = Effect.provide(Layer.provide(Events.layer, Telemetry.layer))

/** The service, and what it asked of its backend. */
const observed = Effect.gen(function* () {
  const backend = yield* memory()
  const pages: Array<number> = []
  const from: Array<number> = []
  let listening = 0
  const watched: Backend = {
    ...backend,
    read: (query) =>
      Effect.tap(backend.read(query), ({ events }) =>
        Effect.sync(() => {
          pages.push(events.length)
          from.push(query.afterPosition)
        })
      ),
    changes: Effect.acquireRelease(
      Effect.sync(() => listening++),
      () => Effect.sync(() => listening--)
    ).pipe(Effect.zipRight(backend.changes))
  }
  const events = yield* Events.make(watched).pipe(Effect.provide(Telemetry.layer))
  return { events, pages, from, listening: () => listening }
})

describe("the bounds of Events in memory", () => {
  it.effect("are reached with storage_full; all that was stored is still there, and a retry is answered", () =>
    Effect.gen(function* () {
      const stored = yield* Effect.forEach(Array.from({ length: 8 }), (_, index) =>
        Events.store({ type: "t", id: `${index}`, data: index })
      )
      const batch = yield* Effect.flip(Events.storeAll([{ type: "t" }, { type: "t" }, { type: "t" }]))
      expect(batch).toMatchObject({ reason: "storage_full", context: { bound: "10 events" } })
      expect(yield* Events.get()).toStrictEqual(stored)
      yield* Events.storeAll([{ type: "t" }, { type: "t" }])
      const one = yield* Effect.flip(Events.append("s", [{ type: "t" }]))
      expect(one).toMatchObject({ reason: "storage_full" })
      expect(one.message).toContain("10 events")
      expect(yield* Events.store({ type: "t", id: "3", data: 3 })).toStrictEqual(stored[3])
      expect(yield* Events.storeAll([{ type: "t", id: "3", data: 3 }])).toStrictEqual([stored[3]])
      expect(yield* Effect.flip(Events.store({ type: "t", id: "3" }))).toMatchObject({ reason: "duplicate_event" })
      expect(yield* Events.get()).toHaveLength(10)
      yield* Events.prune({ id: "0" })
      expect((yield* Events.store({ type: "t" })).position).toBe(11)
    }).pipe(withBounds({ capacity: 10 }))
  )

  it.effect("count the bytes of data and metadata, and prunes free them", () =>
    Effect.gen(function* () {
      const big = { type: "t", data: "x".repeat(398), metadata: {} }
      yield* Events.store({ ...big, id: "1" })
      yield* Events.store({ ...big, id: "2" })
      const error = yield* Effect.flip(Events.store(big))
      expect(error).toMatchObject({ reason: "storage_full" })
      expect(error.message).toContain("1000 bytes")
      expect(yield* Events.get()).toHaveLength(2)
      yield* Events.prune({ id: "1" })
      yield* Events.store(big)
      expect(yield* Effect.flip(Events.store(big))).toMatchObject({ reason: "storage_full" })
    }).pipe(withBounds({ maxBytes: 1000 }))
  )

  it.effect("hold for the versions of streams that were pruned empty", () =>
    Effect.gen(function* () {
      for (const stream of ["a", "b", "c"]) yield* Events.append(stream, [{ type: "t" }, { type: "t" }])
      yield* Events.prune({ afterPosition: 0 })
      yield* Events.storeAll([{ type: "t" }, { type: "t" }, { type: "t" }])
      expect(yield* Effect.flip(Events.store({ type: "t" }))).toMatchObject({ reason: "storage_full" })
      yield* Events.prune({ type: "t" })
      const [event] = yield* Events.append("a", [{ type: "t" }], { expectedVersion: 2 })
      expect(event?.version).toBe(3)
      yield* Events.prune({ stream: "a" })
      yield* Events.storeAll([{ type: "t" }, { type: "t" }, { type: "t" }])
    }).pipe(withBounds({ capacity: 6 }))
  )

  it.effect("are refused where they are none", () =>
    Effect.gen(function* () {
      for (const options of [{ capacity: 0 }, { capacity: 1.5 }, { capacity: 2 ** 24 }, { maxBytes: Number.NaN }]) {
        const error = yield* Effect.flip(Events.head.pipe(withBounds(options)))
        expect(error).toBeInstanceOf(ConfigError)
        expect(error).toMatchObject({ reason: "invalid_value", path: `events.${Object.keys(options)[0]}` })
      }
    })
  )
})

describe("a backend in memory", () => {
  it.effect("of which a method is replaced is asked by the new one", () =>
    Effect.gen(function* () {
      const backend = yield* memory()
      let asked = 0
      const append: Backend["append"] = (batch, expectation) =>
        Effect.suspend(() => {
          asked += batch.length
          return backend.append(batch, expectation)
        })
      const events = yield* Events.make({ ...backend, append }).pipe(Effect.provide(Telemetry.layer))
      const one = yield* events.store({ type: "t" })
      expect(asked).toBe(1)
      const [two, again] = yield* events.storeAll([{ type: "t" }, { type: "t", id: one.id }])
      expect(asked).toBe(3)
      expect([two?.position, again]).toStrictEqual([2, one])
    })
  )

  it.effect("stores events in the order in which they come to it, and finds each by its id, made or given", () =>
    Effect.gen(function* () {
      const backend = yield* memory()
      const late: Backend = {
        ...backend,
        append: (batch, expectation) =>
          Effect.zipRight(Effect.repeatN(Effect.yieldNow(), batch.length), backend.append(batch, expectation))
      }
      const events = yield* Events.make(late).pipe(Effect.provide(Telemetry.layer))
      const stored = yield* Effect.forEach(
        [30, 3, 20, 1, 10],
        (length) => events.storeAll(Array.from({ length }, () => ({ type: "t" }))),
        { concurrency: "unbounded" }
      )
      const all = stored.flat()
      expect(stored[0]?.[0]?.position).toBeGreaterThan(1)
      for (const event of all) {
        expect(yield* events.get({ id: event.id })).toStrictEqual([event])
        expect(yield* events.store({ type: "t", id: event.id })).toStrictEqual(event)
      }
      expect(yield* events.prune({ id: all.map(({ id }) => id).filter((_, index) => index % 2 === 0) })).toBe(32)
      for (const [index, event] of all.entries()) {
        expect(yield* events.get({ id: event.id })).toStrictEqual(index % 2 === 0 ? [] : [event])
      }
    })
  )
})

describe("positions in memory", () => {
  it.effect("are 1 to 1,000 for 1,000 concurrent stores", () =>
    Effect.gen(function* () {
      const stored = yield* Effect.forEach(
        Array.from({ length: 1000 }),
        () => Effect.zipRight(Effect.yieldNow(), Events.store({ type: "t" })),
        { concurrency: "unbounded" }
      )
      const positions = stored.map((event) => event.position).sort((one, other) => one - other)
      expect(positions).toStrictEqual(Array.from({ length: 1000 }, (_, index) => index + 1))
    }).pipe(inMemory)
  )

  it.effect("are not used up by what was not stored", () =>
    Effect.gen(function* () {
      yield* Effect.flip(Events.storeAll([{ type: "t" }, { type: "" }]))
      yield* Effect.flip(Events.append("s", [{ type: "t" }], { expectedVersion: 4 }))
      expect((yield* Events.store({ type: "t" })).position).toBe(1)
    }).pipe(inMemory)
  )
})

describe("a long read in memory", () => {
  const fill = Events.storeAll(Array.from({ length: 40_000 }, (_, n) => ({ type: "t", data: { n, odd: n % 2 } })))

  it.effect("lets others run in between, and answers as of its start", () =>
    Effect.gen(function* () {
      yield* fill
      for (const order of ["asc", "desc"] as const) {
        const rare = { data: { n: order === "asc" ? 39_999 : 0 }, order }
        const reading = yield* Effect.fork(Events.get(rare))
        yield* Effect.yieldNow()
        expect(reading.unsafePoll()).toBe(null)
        yield* Events.store({ type: "late", data: rare.data })
        expect((yield* Fiber.join(reading)).map((event) => event.type)).toStrictEqual(["t"])
        yield* Events.prune({ type: "late" })
      }
    }).pipe(inMemory)
  )

  it.effect("finds everything, once, while events before and behind it are pruned", () =>
    Effect.gen(function* () {
      yield* fill
      const reading = yield* Effect.fork(Events.get({ data: { odd: 1 }, limit: 40_000 }))
      yield* Effect.yieldNow()
      expect(reading.unsafePoll()).toBe(null)
      yield* Events.prune({ beforePosition: 10_001 })
      yield* Events.prune({ data: { odd: 0 } })
      const found = (yield* Fiber.join(reading)).map((event) => event.position)
      expect(found).toStrictEqual(Array.from({ length: 20_000 }, (_, index) => 2 * index + 2))
    }).pipe(inMemory)
  )
})

describe("a signal", () => {
  it.effect("that is raised before it is waited for is not lost, and is raised once for many", () =>
    Effect.gen(function* () {
      const signals = new Signals()
      const wait = yield* signals.listen
      const other = yield* signals.listen
      signals.raise()
      signals.raise()
      yield* wait
      const waiting = yield* Effect.fork(wait)
      yield* Effect.yieldNow()
      expect(waiting.unsafePoll()).toBe(null)
      signals.raise()
      yield* Fiber.join(waiting)
      yield* other
    }).pipe(Effect.scoped)
  )

  it.effect("that was waited for in vain is still raised for the next wait", () =>
    Effect.gen(function* () {
      const signals = new Signals()
      const wait = yield* signals.listen
      const waiting = yield* Effect.fork(wait)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(waiting)
      signals.raise()
      yield* wait
    }).pipe(Effect.scoped)
  )
})

describe("a subscriber in memory", () => {
  it.effect("reads at most one page of 256 at a time, and none before it is asked for more", () =>
    Effect.gen(function* () {
      const { events, pages } = yield* observed
      yield* events.storeAll(Array.from({ length: 600 }, () => ({ type: "t" })))
      const gate = yield* Deferred.make<void>()
      const entered = yield* Deferred.make<void>()
      const subscriber = yield* events.subscribe().pipe(
        Stream.tap(() => Effect.zipRight(Deferred.succeed(entered, undefined), Deferred.await(gate))),
        Stream.take(800),
        Stream.runCount,
        Effect.fork
      )
      yield* Deferred.await(entered)
      yield* Effect.forEach(Array.from({ length: 200 }), () => events.store({ type: "t" }))
      yield* Effect.repeatN(Effect.yieldNow(), 50)
      expect(pages).toStrictEqual([256])
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Fiber.join(subscriber)).toBe(800)
      expect(Math.max(...pages)).toBe(256)
    })
  )

  it.effect("is woken once by many stores, and does not look again at what did not match", () =>
    Effect.gen(function* () {
      const { events, pages, from } = yield* observed
      const subscriber = yield* events
        .subscribe({ data: { wanted: true } })
        .pipe(Stream.take(1), Stream.runCollect, Effect.fork)
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      expect(pages).toStrictEqual([0])
      for (let n = 0; n < 100; n++) yield* events.store({ type: "t" })
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      expect(pages.length).toBeLessThanOrEqual(3)
      yield* events.store({ type: "t", data: { wanted: true } })
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      expect(from.at(-1)).toBe(100)
      expect(Chunk.toReadonlyArray(yield* Fiber.join(subscriber))).toHaveLength(1)
    })
  )

  it.effect("leaves nothing behind when it is interrupted, ends or fails", () =>
    Effect.gen(function* () {
      const { events, listening } = yield* observed
      const waiting = yield* Effect.fork(Stream.runDrain(events.subscribe()))
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      expect(listening()).toBe(1)
      yield* Fiber.interrupt(waiting)
      expect(listening()).toBe(0)
      yield* events.store({ type: "t" })
      yield* Stream.runDrain(Stream.take(events.subscribe(), 1))
      yield* Effect.exit(Stream.runForEach(events.subscribe(), () => Effect.fail("enough")))
      expect(listening()).toBe(0)
      const scope = yield* Scope.make()
      const pull = yield* Stream.toPull(events.subscribe()).pipe(Scope.extend(scope))
      yield* pull
      expect(listening()).toBe(1)
      yield* Scope.close(scope, Exit.void)
      expect(listening()).toBe(0)
    })
  )

  it.effect("of which there are a hundred: each sees every event, once, in order", () =>
    Effect.gen(function* () {
      const subscribers = yield* Effect.forEach(Array.from({ length: 100 }), (_, index) =>
        Effect.repeatN(Effect.yieldNow(), index % 7).pipe(
          Effect.zipRight(Stream.runCollect(Stream.take(Events.subscribe(), 300))),
          Effect.fork
        )
      )
      yield* Effect.forEach(
        Array.from({ length: 300 }),
        () => Effect.zipRight(Effect.yieldNow(), Events.store({ type: "t" })),
        { concurrency: 10 }
      )
      const expected = Array.from({ length: 300 }, (_, index) => index + 1)
      for (const subscriber of subscribers) {
        const seen = yield* Fiber.join(subscriber)
        expect(Chunk.toReadonlyArray(seen).map((event) => event.position)).toStrictEqual(expected)
      }
    }).pipe(inMemory)
  )
})

describe("the layer of Events in memory", () => {
  it.effect("is one store, however often it is provided in one program", () =>
    Effect.gen(function* () {
      const Other = Layer.effectDiscard(Events.store({ type: "at_start" })).pipe(Layer.provide(Events.layer))
      const stored = yield* Events.get().pipe(
        Effect.provide(Layer.mergeAll(Other, Events.layer).pipe(Layer.provide(Telemetry.layer)))
      )
      expect(stored.map((event) => event.type)).toStrictEqual(["at_start"])
    })
  )
})
