import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Fiber, Option, Queue, Schema, Stream } from "effect"
import { Config } from "effect-foundation/Config"
import { changing, collecting, over, settled } from "./sources.js"

describe("changes", () => {
  it.scoped("carry each accepted change once, in order, to every subscriber", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ a: 1, gone: 1, same: [1, { x: 2 }] })
      yield* Effect.gen(function* () {
        const config = yield* Config
        const one = yield* collecting(config)
        const other = yield* collecting(config)
        yield* Config.get("a", 0)
        yield* Config.set("a", 2)
        yield* Config.set("a", 2)
        yield* Effect.flip(Config.set("a", "x"))
        state.record = { a: 5, same: [1, { x: 2 }], fresh: { deep: true } }
        yield* Config.reload
        yield* Config.reload
        yield* Config.unset("a")
        const expected = [
          { key: "a", before: 1, after: 2, source: "set" },
          { key: "fresh.deep", before: undefined, after: true, source: "changing" },
          { key: "gone", before: 1, after: undefined, source: "changing" },
          { key: "a", before: 2, after: 5, source: "changing" }
        ]
        expect(yield* one).toEqual(expected)
        expect(yield* other).toEqual(expected)
        expect(yield* one).toEqual([])
      }).pipe(over([source]))
    })
  )

  it.scoped("hold nobody up: a slow subscriber gets the newest value of each key, and the first before", () =>
    Effect.gen(function* () {
      const config = yield* Config
      const gate = yield* Deferred.make<void>()
      const taken = yield* Queue.unbounded<Config.Change>()
      yield* Effect.forkScoped(
        Stream.runForEach(config.changes, (change) =>
          Effect.zipRight(Queue.offer(taken, change), change.key === "first" ? Deferred.await(gate) : Effect.void)
        )
      )
      yield* settled
      yield* Config.set("first", 1)
      yield* Queue.take(taken)
      const sets = 1000
      for (let index = 1; index <= sets; index++) {
        yield* Config.set("fast", index)
        if (index === 10) yield* Config.set("rare", "once")
      }
      yield* Deferred.succeed(gate, undefined)
      const seen: Array<Config.Change> = []
      while (!seen.some(({ after }) => after === sets)) seen.push(yield* Queue.take(taken))
      const fast = seen.filter(({ key }) => key === "fast")
      // Whatever was merged, they are in order and without a gap.
      let before: unknown
      for (const change of fast) {
        expect(change.before).toBe(before)
        before = change.after
      }
      expect(before).toBe(sets)
      expect(fast.length).toBeLessThanOrEqual(65)
      expect(seen.filter(({ key }) => key === "rare").map(({ after }) => after)).toEqual(["once"])
    }).pipe(over([]))
  )

  it.scoped("of ten thousand keys at once all come", () =>
    Effect.gen(function* () {
      const many = (value: number) =>
        Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, value]))
      const { source, state } = changing(many(1))
      yield* Effect.gen(function* () {
        const config = yield* Config
        const told = yield* Effect.fork(Stream.runCollect(Stream.take(config.changes, 10_000)))
        yield* settled
        state.record = many(2)
        yield* Config.reload
        const changes = Chunk.toReadonlyArray(yield* Fiber.join(told))
        expect(new Set(changes.map(({ key }) => key)).size).toBe(10_000)
      }).pipe(over([source]))
    })
  )
})

describe("watch", () => {
  it.scoped("emits the value now, and then each new one, of any kind of read", () =>
    Effect.gen(function* () {
      const Port = Config.Key("server.port", Schema.Number, { default: 1 })
      const watched = <A, E>(stream: Stream.Stream<A, E, Config>) =>
        Effect.gen(function* () {
          const queue = yield* Queue.unbounded<A>()
          yield* Effect.forkScoped(Stream.runForEach(stream, (value) => Queue.offer(queue, value)))
          yield* settled
          return Effect.zipRight(settled, Effect.map(Queue.takeAll(queue), Chunk.toReadonlyArray))
        })
      const byKey = yield* watched(Config.watch(Port))
      const byDefault = yield* watched(Config.watch("server.port", 7))
      const plain = yield* watched(Config.watch("server.port"))
      const section = yield* watched(Config.watch("server"))
      const other = yield* watched(Config.watch("other", "none"))
      yield* Config.set("server.port", 2)
      yield* Config.set("server.host", "h")
      yield* Config.unset("server")
      expect(yield* byKey).toEqual([1, 2, 1])
      expect(yield* byDefault).toEqual([7, 2, 7])
      expect(yield* plain).toEqual([undefined, 2, undefined])
      expect(yield* section).toEqual([undefined, { port: 2 }, { port: 2, host: "h" }, undefined])
      expect(yield* other).toEqual(["none"])
    }).pipe(over([]))
  )

  it.scoped("misses nothing between its first value and the next, however they race", () =>
    Effect.gen(function* () {
      const config = yield* Config
      for (let round = 0; round < 50; round++) {
        yield* Config.set("n", 0)
        const watcher = yield* Effect.fork(
          config.watch("n", 0).pipe(
            Stream.takeUntil((value) => value === 5),
            Stream.runCollect
          )
        )
        yield* Effect.repeatN(Effect.yieldNow(), round % 10)
        for (let n = 1; n <= 5; n++) {
          yield* Config.set("n", n)
          if (n % 2 === round % 2) yield* Effect.yieldNow()
        }
        const seen = Chunk.toReadonlyArray(yield* Fiber.join(watcher))
        // From the value at its start on, each one.
        const first = seen[0] ?? Number.NaN
        expect(seen).toEqual(Array.from({ length: 6 - first }, (_, index) => first + index))
      }
    }).pipe(over([]))
  )

  it.scoped("of a value that does not hold fails with the ConfigError of the read", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Stream.runHead(Config.watch("a", 1)))
      expect(error).toMatchObject({ reason: "invalid_value", path: "a" })
      expect(yield* Stream.runHead(Config.watch("a", "x"))).toEqual(Option.some("text"))
      expect((yield* Effect.flip(Stream.runHead(Config.watch("a..b")))).reason).toBe("invalid_key")
    }).pipe(over([Config.object({ a: "text" })]))
  )
})

describe("the snapshot", () => {
  it.scoped("is the same object until a change has been accepted, and never changes", () =>
    Effect.gen(function* () {
      const config = yield* Config
      const first = config.unsafeSnapshot()
      expect(yield* Config.snapshot).toBe(first)
      yield* Config.get("a", 0)
      yield* Config.reload
      expect(config.unsafeSnapshot()).toBe(first)
      yield* Config.set("a", 2)
      expect(config.unsafeSnapshot()).not.toBe(first)
      expect([first.get("a"), config.unsafeSnapshot().get("a")]).toEqual([1, 2])
    }).pipe(over([Config.object({ a: 1 })]))
  )
})
