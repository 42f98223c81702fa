import { describe, expect, it, vi } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Refused } from "effect-foundation/internal/json"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import { Feed, Watcher } from "effect-foundation/ServiceRegistry/Feed"
import { Lifelines, type Mortal } from "effect-foundation/ServiceRegistry/Lifelines"
import { acceptMetadata, maxMetadataBytes, noMetadata } from "effect-foundation/ServiceRegistry/Metadata"
import type { Registration } from "effect-foundation/ServiceRegistry/Registration"
import { Table } from "effect-foundation/ServiceRegistry/Table"
import { Waiters } from "effect-foundation/ServiceRegistry/Waiters"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"

const address = new URL("http://localhost")
const registration = (name: string, token: number): Registration => ({
  name,
  process: address,
  metadata: noMetadata,
  token,
  registeredAt: 0
})

/** How often a `Map` was asked, while `run` ran, by key and by walking through it. */
const mapReads = (run: () => void): { readonly gets: number; readonly walks: number } => {
  const gets = vi.spyOn(Map.prototype, "get")
  const walks = [
    vi.spyOn(Map.prototype, "values"),
    vi.spyOn(Map.prototype, "keys"),
    vi.spyOn(Map.prototype, "entries"),
    vi.spyOn(Map.prototype, "forEach"),
    vi.spyOn(Map.prototype, Symbol.iterator)
  ]
  try {
    run()
    return { gets: gets.mock.calls.length, walks: walks.reduce((sum, spy) => sum + spy.mock.calls.length, 0) }
  } finally {
    for (const spy of [gets, ...walks]) spy.mockRestore()
  }
}

describe("the table", () => {
  it("answers a lookup among a million names with one read of a map", () => {
    const table = new Table<{ registration: Registration }>()
    const names = Array.from({ length: 1_000_000 }, (_, index) => `service-${index}`)
    for (const [index, name] of names.entries()) table.put({ registration: registration(name, index + 1) })
    expect(table.size).toBe(1_000_000)
    expect(names.filter((name, index) => table.find(name)?.token !== index + 1)).toEqual([])
    const counted = mapReads(() => {
      for (let index = 0; index < 100; index++) table.find(`service-${index * 9_999}`)
    })
    expect(counted).toEqual({ gets: 100, walks: 0 })
  }, 120_000) // making the names takes seconds where processors are shared

  it("takes out the holder that is meant, and not another that has the name by now", () => {
    const table = new Table<{ registration: Registration }>()
    const [first, second] = [{ registration: registration("x", 1) }, { registration: registration("x", 2) }]
    table.put(first)
    table.remove(first)
    table.put(second)
    table.remove(first)
    expect(table.find("x")?.token).toBe(2)
    table.remove(second)
    expect(table.size).toBe(0)
  })
})

describe("the service", () => {
  const run = <A>(effect: Effect.Effect<A, unknown, ServiceRegistry | Scope.Scope>) =>
    effect.pipe(Effect.scoped, Effect.provide(Layer.provide(ServiceRegistry.layer, Telemetry.layer)))

  it.effect("does the same work for a lookup among ten names and among ten thousand", () =>
    run(
      Effect.gen(function* () {
        const registry = yield* ServiceRegistry
        const lookups = () => {
          for (let index = 0; index < 10; index++) registry.unsafeLookup(`service-${index}`)
        }
        for (let index = 0; index < 10; index++) yield* registry.register(`service-${index}`, address)
        const few = mapReads(lookups)
        for (let index = 10; index < 10_000; index++) yield* registry.register(`service-${index}`, address)
        expect(mapReads(lookups)).toEqual(few)
        expect(few).toEqual({ gets: 10, walks: 0 })
      })
    )
  )

  it.effect(
    "ends ten thousand registrations of one fiber with that fiber, and leaves one that lives on as it was",
    () =>
      run(
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Effect.never)
          const added = vi.spyOn(fiber, "addObserver")
          const removed = vi.spyOn(fiber, "removeObserver")
          const registerAll = Effect.forEach(
            Array.from({ length: 10_000 }, (_, index) => `service-${index}`),
            (name) => ServiceRegistry.register(name, fiber),
            { discard: true }
          )
          yield* Effect.scoped(registerAll)
          expect(yield* ServiceRegistry.list()).toEqual([])
          expect(added).toHaveBeenCalledTimes(1)
          expect(removed).toHaveBeenCalledTimes(1)
          yield* registerAll
          expect(yield* ServiceRegistry.list()).toHaveLength(10_000)
          yield* Fiber.interrupt(fiber)
          expect(yield* ServiceRegistry.list()).toEqual([])
        })
      )
  )

  it.effect("leaves nothing in the caller's scope for fibers that have ended", () =>
    run(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        for (let index = 0; index < 100; index++) {
          const fiber = yield* Effect.forkDaemon(Effect.never)
          yield* Scope.extend(ServiceRegistry.register(`session-${index}`, fiber), scope)
          yield* Scope.extend(ServiceRegistry.join("sessions", fiber), scope)
          yield* Fiber.interrupt(fiber)
        }
        // The state of a scope is not in its type.
        const { finalizers } = Reflect.get(scope, "state") as { readonly finalizers: ReadonlyMap<unknown, unknown> }
        expect(finalizers.size).toBe(0)
        yield* Scope.close(scope, Exit.void)
      })
    )
  )

  it.effect(
    "refuses what is over its capacity, names and places counted together, and takes it when there is room",
    () =>
      Effect.gen(function* () {
        yield* ServiceRegistry.register("a", address)
        const room = yield* Scope.make()
        yield* Scope.extend(ServiceRegistry.join("g", address), room)
        expect(yield* Effect.flip(ServiceRegistry.register("b", address))).toMatchObject({ reason: "registry_full" })
        expect(yield* Effect.flip(ServiceRegistry.join("g", address))).toMatchObject({ reason: "registry_full" })
        expect((yield* Effect.flip(ServiceRegistry.register("a", address)))._tag).toBe("AlreadyRegistered")
        yield* Scope.close(room, Exit.void)
        yield* ServiceRegistry.register("b", address)
        expect(yield* ServiceRegistry.list()).toHaveLength(2)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.provide(ServiceRegistry.layerMemory({ capacity: 2 }), Telemetry.layer))
      )
  )

  for (const capacity of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 16_000_001]) {
    it.effect(`a capacity of ${capacity} is a ConfigError`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Layer.build(ServiceRegistry.layerMemory({ capacity })))
        expect(error).toMatchObject({ _tag: "ConfigError", path: "serviceRegistry.capacity" })
        expect(error.message).toContain(String(capacity))
      }).pipe(Effect.scoped, Effect.provide(Telemetry.layer))
    )
  }
})

describe("metadata", () => {
  const refused: ReadonlyArray<[string, unknown, string]> = [
    ["undefined inside", { a: undefined }, "metadata.a is undefined"],
    ["a function", { a: { b: () => 1 } }, "metadata.a.b is a function"],
    ["a symbol", { a: [Symbol("s")] }, "metadata.a[0] is a symbol"],
    ["a bigint", { a: 1n }, "metadata.a is a bigint"],
    ["an infinity", { a: Number.NEGATIVE_INFINITY }, "metadata.a is -Infinity"],
    ["a date", { a: new Date(0) }, "metadata.a is a Date"],
    ["a map", { a: new Map() }, "metadata.a is an instance of Map"],
    ["a hole in an array", { a: new Array(2) }, "metadata.a[0] is a hole"],
    ["an array in place of an object", [1], "metadata is not an object"],
    ["null in place of an object", null, "metadata is not an object"],
    ["text in place of an object", "x", "metadata is not an object"],
    ["a key __proto__", JSON.parse('{"__proto__":{"polluted":true}}'), "metadata.__proto__ is a field"],
    ["more than its bound", { a: "x".repeat(maxMetadataBytes) }, "bytes as JSON (reached at metadata.a)"],
    ["a huge sparse array", { a: new Array(4_000_000_000) }, "bytes as JSON (reached at metadata.a)"]
  ]
  for (const [what, input, said] of refused) {
    it(`refuses ${what}, and says where`, () => {
      const problem = acceptMetadata(input)
      expect(problem).toBeInstanceOf(Refused)
      expect(String(problem)).toContain(said)
    })
  }

  it("takes exactly as many bytes of UTF-8 as its bound", () => {
    const bytes = maxMetadataBytes - Buffer.byteLength('{"a":""}')
    expect(acceptMetadata({ a: "é".repeat(bytes / 2) })).not.toBeInstanceOf(Refused)
    expect(acceptMetadata({ a: `${"é".repeat(bytes / 2)}x` })).toBeInstanceOf(Refused)
  })

  it("refuses a cycle, and takes the same object twice", () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = { cycle }
    expect(acceptMetadata(cycle)).toMatchObject({
      path: "metadata.self.cycle",
      problem: "is metadata again: JSON cannot hold a cycle"
    })
    const shared = { v: 1 }
    expect(acceptMetadata({ a: shared, b: [shared] })).toEqual({ a: { v: 1 }, b: [{ v: 1 }] })
  })

  it("answers for a nesting of 100,000 levels, and for a getter that throws", () => {
    let deep: Record<string, unknown> = {}
    for (let level = 0; level < 100_000; level++) deep = { deep }
    expect(acceptMetadata(deep)).toMatchObject({ problem: "is nested more than 256 deep" })
    const throwing = Object.defineProperty({}, "a", {
      enumerable: true,
      get: () => {
        throw new Error("no")
      }
    })
    expect(acceptMetadata(throwing)).toMatchObject({ path: "metadata.a" })
  })

  it("takes every JSON object that is small enough, as an equal, deeply frozen copy", () => {
    const frozen = (value: unknown): boolean =>
      typeof value !== "object" || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen))
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (input) => {
        const text = JSON.stringify(input)
        fc.pre(Buffer.byteLength(text) <= maxMetadataBytes && !text.includes('"__proto__"'))
        const plain: Record<string, unknown> = JSON.parse(text)
        const copy = acceptMetadata(plain)
        expect(JSON.stringify(copy)).toBe(text)
        expect(frozen(copy)).toBe(true)
      })
    )
  })
})

describe("what waits and watches is taken out again", () => {
  it("waiters go when they are woken, and when they forget", () => {
    const waiters = new Waiters<number>()
    const woken: Array<string> = []
    const forget = waiters.add("x", () => woken.push("first"))
    waiters.add("x", () => woken.push("second"))
    forget()
    waiters.wake("x", 1)
    waiters.wake("x", 2)
    expect(woken).toEqual(["second"])
    const late = waiters.add("x", () => woken.push("third"))
    forget()
    expect(waiters.size).toBe(1)
    late()
    expect(waiters.size).toBe(0)
  })

  it("a watcher that was removed is told nothing", () => {
    const feed = new Feed()
    const watcher = new Watcher({}, 8)
    feed.add(watcher)
    watcher.take(() => [])
    feed.publish("x", { _tag: "Registered", registration: registration("x", 1) })
    expect(watcher.ready).toBe(true)
    watcher.take(() => [])
    feed.remove(watcher)
    feed.publish("x", { _tag: "Registered", registration: registration("x", 2) })
    expect(watcher.ready).toBe(false)
    expect(feed.size).toBe(0)
  })

  it("a fiber is observed once, while it holds anything", () => {
    const observers = new Set<() => void>()
    let exit: unknown = null
    const fiber: Mortal = {
      unsafePoll: () => exit,
      addObserver: (observer) => observers.add(observer),
      removeObserver: (observer) => observers.delete(observer)
    }
    const ended: Array<string> = []
    const lifelines = new Lifelines<string>((hold) => ended.push(hold))
    lifelines.add(fiber, "a")
    lifelines.add(fiber, "b")
    expect(observers.size).toBe(1)
    lifelines.remove(fiber, "a")
    lifelines.remove(fiber, "a")
    expect(observers.size).toBe(1)
    lifelines.remove(fiber, "b")
    expect([observers.size, lifelines.size]).toEqual([0, 0])
    lifelines.add(fiber, "c")
    exit = "ended"
    for (const observer of observers) observer()
    expect(ended).toEqual(["c"])
    expect(lifelines.size).toBe(0)
  })
})
