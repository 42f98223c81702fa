import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Either, Exit, Fiber, Queue, Redacted, Schema, Scope, Stream, TestClock } from "effect"
import { Config } from "effect-foundation/Config"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { Telemetry } from "effect-foundation/Telemetry"
import { changing, collecting, environment, over, settled } from "./sources.js"

const hundred = (change: (index: number) => unknown = (index) => index) =>
  Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`key${index}`, change(index)]))

const hundredKeys = Array.from({ length: 100 }, (_, index) => Config.Key(`values.key${index}`, Schema.Number))

describe("a reload", () => {
  it.scoped("with one invalid value among a hundred changes nothing, and names path, source and reason", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ values: hundred() }, "values.yaml")
      yield* Effect.gen(function* () {
        const before = yield* Config.snapshot
        const changes = yield* collecting(yield* Config)
        state.record = { values: hundred((index) => (index === 57 ? "fifty-seven" : index + 1)) }
        const error = yield* Effect.flip(Config.reload)
        expect(error).toMatchObject({ reason: "invalid_value", path: "values.key57", source: "values.yaml" })
        expect(error.message).toContain("values.key57")
        expect(error.message).toContain("values.yaml")
        expect(error.message).toContain("fifty-seven")
        expect(yield* Config.snapshot).toBe(before)
        expect(yield* changes).toEqual([])
        // A later load does not pick the refused values up either.
        state.record = { values: hundred() }
        yield* Config.reload
        expect(yield* Config.snapshot).toBe(before)
      }).pipe(over([source], hundredKeys))
    })
  )

  it.scoped("that breaks a secret does not tell it", () =>
    Effect.gen(function* () {
      const Pin = Config.Key("stripe", Schema.Redacted(Schema.String.pipe(Schema.maxLength(8))))
      const { source, state } = changing({ stripe: "short" })
      yield* Effect.gen(function* () {
        state.record = { stripe: "much-too-long-secret" }
        const error = yield* Effect.flip(Config.reload)
        expect(error).toMatchObject({ reason: "invalid_value", path: "stripe", source: "changing" })
        expect(JSON.stringify(error) + String(error)).not.toContain("much-too-long")
        expect(Redacted.value(yield* Config.get(Pin))).toBe("short")
      }).pipe(over([source], [Pin]))
    })
  )

  it.scoped("is held to no type that only a default stood in for, and says who expects the type of a value", () =>
    Effect.gen(function* () {
      const { source, state } = changing({})
      yield* Effect.gen(function* () {
        expect(yield* Config.get("port", "8080")).toBe("8080")
        expect(yield* Config.get("nullish", "8080")).toBe("8080")
        state.record = { port: 9000, nullish: 1 }
        yield* Config.reload
        expect(yield* Config.get("port", 8080)).toBe(9000)
        yield* Config.set("port", 9001)
        const expected = `expected a number, found the text "x"; it is read as a number elsewhere in the program`
        const set = yield* Effect.flip(Config.set("port", "x"))
        expect(set.message).toBe(`The configuration key "port" (from set): ${expected}.`)
        yield* Config.unset("port")
        state.record = { port: "x" }
        const reload = yield* Effect.flip(Config.reload)
        expect(reload.message).toBe(`The configuration key "port" (from changing): ${expected}.`)
      }).pipe(over([source]))
    })
  )

  it.scoped("of what a default kept hidden while there was none, keeps it hidden, and is of any type", () =>
    Effect.gen(function* () {
      const { source, state } = changing({})
      yield* Effect.gen(function* () {
        yield* Config.get("stripe", Redacted.make(""))
        for (const value of ["sk_1", 5]) {
          state.record = { stripe: value }
          yield* Config.reload
          const read = yield* Config.get("stripe")
          expect(Redacted.isRedacted(read) && Redacted.value(read)).toBe(value)
        }
      }).pipe(over([source]))
    })
  )

  it.scoped("is held to the types that were read, from the first read on", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ port: 1, host: "h" })
      yield* Effect.gen(function* () {
        state.record = { port: "free", host: "h" }
        yield* Config.reload
        state.record = { port: 2, host: "h" }
        yield* Config.reload
        yield* Config.get("port", 0)
        yield* Config.get(Config.Key("host", Schema.String))
        for (const [path, record] of [
          ["port", { port: "3", host: "h" }],
          ["host", { port: 3 }]
        ] as const) {
          state.record = record
          expect(yield* Effect.flip(Config.reload)).toMatchObject({ reason: "invalid_value", path })
        }
        expect(yield* Config.get("port", 0)).toBe(2)
      }).pipe(over([source]))
    })
  )

  it.scoped("names every value that does not hold", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ values: hundred() })
      yield* Effect.gen(function* () {
        state.record = { values: hundred((index) => (index % 40 === 0 ? "x" : index)) }
        const error = yield* Effect.flip(Config.reload)
        expect(error.context).toEqual({ invalid: ["values.key0", "values.key40", "values.key80"] })
        expect(error.message).toContain("and 2 more")
      }).pipe(over([source], hundredKeys))
    })
  )

  it.scoped("of which one source cannot be read changes nothing, not what the others state either", () =>
    Effect.gen(function* () {
      const one = changing({ a: 1 }, "one")
      const other = changing({ b: 1 }, "other")
      yield* Effect.gen(function* () {
        one.state.record = { a: 2 }
        other.state.broken = true
        const error = yield* Effect.flip(Config.reload).pipe(CorrelationId.with("req-9"))
        expect(error).toMatchObject({ reason: "source_unavailable", source: "other", correlationId: "req-9" })
        expect(yield* Config.get("a", 0)).toBe(1)
        other.state.broken = false
        yield* Config.reload
        expect(yield* Config.get("a", 0)).toBe(2)
      }).pipe(over([one.source, other.source]))
    })
  )

  it.scoped("is never seen by half: a section, a key and a snapshot are of one moment", () =>
    Effect.gen(function* () {
      const both = (version: number) => ({ left: { version }, right: { version }, pair: { a: version, b: version } })
      const { source, state } = changing(both(0))
      // Each read of the source takes a while, so that readers run in the middle of it.
      const slow = {
        ...source,
        read: Effect.zipRight(Effect.yieldNow(), Effect.zipLeft(source.read, Effect.yieldNow()))
      }
      const Pair = Config.Key("pair", Schema.Struct({ a: Schema.Number, b: Schema.Number }))
      yield* Effect.gen(function* () {
        const seen = new Set<unknown>()
        const reader = Effect.forever(
          Effect.gen(function* () {
            const snapshot = yield* Config.snapshot
            yield* Effect.yieldNow()
            expect(snapshot.get("left.version")).toBe(snapshot.get("right.version"))
            const pair = yield* Config.get(Pair)
            expect(pair.a).toBe(pair.b)
            const section = (yield* Config.get("pair")) as { a: number; b: number }
            expect(section.a).toBe(section.b)
            seen.add(pair.a)
            yield* Effect.yieldNow()
          })
        )
        const readers = yield* Effect.forEach(Array.from({ length: 8 }), () => Effect.fork(reader))
        for (let version = 1; version <= 50; version++) {
          state.record = both(version)
          yield* Config.reload
        }
        for (const fiber of readers) {
          const exit = yield* Fiber.interrupt(fiber)
          expect(Exit.isInterrupted(exit)).toBe(true)
        }
        expect(seen.size).toBeGreaterThan(10)
      }).pipe(over([slow]))
    })
  )

  it.scoped("that is asked for while one runs is one more, however many ask", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ a: 1 })
      const gates = yield* Queue.unbounded<void>()
      const entered = yield* Queue.unbounded<void>()
      let running = 0
      let most = 0
      const gated: Config.Source = {
        ...source,
        read: Effect.suspend(() => {
          if (state.reads === 0) return source.read
          most = Math.max(most, ++running)
          return Effect.zipRight(Queue.offer(entered, undefined), Queue.take(gates)).pipe(
            Effect.zipRight(source.read),
            Effect.ensuring(Effect.sync(() => running--))
          )
        })
      }
      yield* Effect.gen(function* () {
        const first = yield* Effect.fork(Config.reload)
        yield* Queue.take(entered)
        const others = yield* Effect.forEach(Array.from({ length: 100 }), () => Effect.fork(Config.reload))
        yield* settled
        // Who gives up leaves it to the rest.
        for (const fiber of others.slice(0, 50)) yield* Fiber.interrupt(fiber)
        yield* Queue.offer(gates, undefined)
        yield* Fiber.join(first)
        yield* Queue.take(entered)
        state.record = { a: 2 }
        yield* Queue.offer(gates, undefined)
        yield* Fiber.joinAll(others.slice(50))
        expect(yield* Config.get("a", 0)).toBe(2)
        expect(state.reads).toBe(3)
        expect(most).toBe(1)
      }).pipe(over([gated]))
    })
  )

  it.scoped("that dies is the defect of who asked, and the next one works", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ a: 1 })
      const deadly = { ...source, read: Effect.suspend(() => (state.broken ? Effect.die("boom") : source.read)) }
      yield* Effect.gen(function* () {
        state.broken = true
        expect(Exit.isFailure(yield* Effect.exit(Config.reload))).toBe(true)
        state.broken = false
        state.record = { a: 2 }
        yield* Config.reload
        expect(yield* Config.get("a", 0)).toBe(2)
      }).pipe(over([deadly]))
    })
  )

  it.scoped("after the scope has closed is a ConfigError, and one that runs then does not hang", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ a: 1 })
      const hanging = { ...source, read: Effect.suspend(() => (state.broken ? Effect.never : source.read)) }
      const scope = yield* Scope.make()
      const config = yield* Config.make({ sources: [hanging] }).pipe(
        Scope.extend(scope),
        Effect.provide(Telemetry.layer)
      )
      state.broken = true
      const fiber = yield* Effect.fork(Effect.either(config.reload))
      yield* settled
      yield* Scope.close(scope, Exit.void)
      expect(Either.isLeft(yield* Fiber.join(fiber))).toBe(true)
      expect((yield* Effect.flip(config.reload)).reason).toBe("source_unavailable")
      expect(yield* config.get("a", 0)).toBe(1)
      expect(Chunk.size(yield* Stream.runCollect(config.changes))).toBe(0)
    })
  )

  it.scoped("is telemetry, as is each change, and neither carries a value", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ a: "first-value", b: 1 })
      const events: Array<{ name: string; metadata: unknown; changed: unknown }> = []
      yield* Effect.gen(function* () {
        yield* Telemetry.attach("all", "config.*", ({ measurements, metadata, name }) => {
          events.push({ name, metadata, changed: measurements.changed ?? measurements.count })
        })
        const config = yield* Config.make({ sources: [source] })
        state.record = { a: "second-value", b: 1 }
        yield* config.reload
        yield* config.reload
        yield* config.set("b", 2)
        state.broken = true
        yield* Effect.flip(config.reload)
      }).pipe(Effect.provide(Telemetry.layer))
      const none = { reason: undefined, path: undefined, source: undefined }
      expect(events).toEqual([
        { name: "config.change", metadata: { key: "a", source: "changing" }, changed: 1 },
        { name: "config.change", metadata: { key: "b", source: "changing" }, changed: 1 },
        { name: "config.reload", metadata: { outcome: "changed", ...none }, changed: 2 },
        { name: "config.change", metadata: { key: "a", source: "changing" }, changed: 1 },
        { name: "config.reload", metadata: { outcome: "changed", ...none }, changed: 1 },
        { name: "config.reload", metadata: { outcome: "unchanged", ...none }, changed: 0 },
        { name: "config.change", metadata: { key: "b", source: "set" }, changed: 1 },
        {
          name: "config.reload",
          metadata: { outcome: "failure", reason: "source_unavailable", path: undefined, source: "changing" },
          changed: 0
        }
      ])
      expect(JSON.stringify(events)).not.toContain("-value")
    })
  )

  it.scoped("comes of a source's own watch, which may fail and goes on", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ a: 1 })
      const other = changing({ b: 1 }, "other")
      const ticks = yield* Queue.unbounded<"read" | "die">()
      const watched: Config.Source = {
        ...source,
        watch: Stream.fromQueue(ticks).pipe(Stream.tap((tick) => (tick === "die" ? Effect.die("lost") : Effect.void)))
      }
      yield* Effect.gen(function* () {
        const config = yield* Config
        const changed = yield* Deferred.make<Config.Change>()
        yield* Effect.forkScoped(Stream.runForEach(config.changes, (change) => Deferred.succeed(changed, change)))
        yield* settled
        yield* Queue.offer(ticks, "die")
        yield* settled
        yield* TestClock.adjust("1 second")
        state.record = { a: 2 }
        yield* Queue.offer(ticks, "read")
        expect(yield* Deferred.await(changed)).toMatchObject({ key: "a", after: 2 })
        expect(other.state.reads).toBe(1)
      }).pipe(over([watched, other.source]))
    })
  )
})

describe("a value that is set", () => {
  it.scoped("is on top of every source until it is unset, through reloads", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ a: 1 })
      yield* Effect.gen(function* () {
        yield* Config.set("a", 50)
        state.record = { a: 2 }
        yield* Config.reload
        expect(yield* Config.get("a", 0)).toBe(50)
        yield* Config.unset("a")
        expect(yield* Config.get("a", 0)).toBe(2)
      }).pipe(over([source, environment({ FOUNDATION__B: "1" })]))
    })
  )

  it.scoped("that does not hold is a ConfigError and changes nothing, an object none of its fields", () =>
    Effect.gen(function* () {
      const Server = Config.Key("server", Schema.Struct({ port: Schema.Number, host: Schema.String }))
      const before = yield* Config.snapshot
      const server = yield* Config.get(Server)
      const attempts: ReadonlyArray<Effect.Effect<void, unknown, Config>> = [
        Config.set("server", { port: "x", host: "new" }),
        Config.set("server", { host: "new" }),
        Config.set("server", 5),
        Config.set("server.port", "x"),
        Config.set("server.port", null),
        Config.set("server.port", undefined),
        Config.set("server.port.deeper", 1),
        Config.set(Server, { port: 1, host: 2 } as never),
        Config.set("other", () => 1),
        Config.set("other", { a: { b: Symbol("x") } }),
        Config.set("other", {
          get a(): never {
            throw new Error("no")
          }
        })
      ]
      for (const attempt of attempts) {
        expect(yield* Effect.flip(attempt)).toMatchObject({
          _tag: "ConfigError",
          reason: "invalid_value",
          source: "set"
        })
        expect(yield* Config.snapshot).toBe(before)
      }
      const circular: Record<string, unknown> = {}
      circular.self = circular
      expect(yield* Effect.flip(Config.set("other", circular))).toMatchObject({ _tag: "ConfigError" })
      expect(yield* Config.get(Server)).toBe(server)
    }).pipe(over([Config.object({ server: { port: 1, host: "h" } })]))
  )

  it.scoped("takes the place of the whole section: what was set is what is got", () =>
    Effect.gen(function* () {
      const Server = Config.Key("server", Schema.Struct({ port: Schema.Number, host: Schema.optional(Schema.String) }))
      yield* Config.set(Server, { port: 2 })
      expect(yield* Config.get(Server)).toEqual({ port: 2 })
      expect(yield* Config.get("server.host")).toBeUndefined()
      yield* Config.set("server.host", "over")
      expect(yield* Config.get(Server)).toEqual({ port: 2, host: "over" })
      yield* Config.unset(Server)
      expect(yield* Config.get(Server)).toEqual({ port: 1, host: "h" })
    }).pipe(over([Config.object({ server: { port: 1, host: "h" } })]))
  )

  it.scoped("by key is what a source would have to state", () =>
    Effect.gen(function* () {
      const When = Config.Key("when", Schema.Date)
      yield* Config.set(When, new Date(0))
      expect(yield* Config.get("when")).toBe("1970-01-01T00:00:00.000Z")
      expect((yield* Config.get(When)).getTime()).toBe(0)
    }).pipe(over([]))
  )

  it.scoped("may not be taken back where it is what holds a required key", () =>
    Effect.gen(function* () {
      const Port = Config.Key("port", Schema.Number)
      yield* Config.set(Port, 1)
      yield* Config.get(Port)
      expect(yield* Effect.flip(Config.unset(Port))).toMatchObject({ reason: "invalid_value", path: "port" })
      expect(yield* Config.get(Port)).toBe(1)
    }).pipe(over([]))
  )

  it.scoped("takes back what was set beneath it before", () =>
    Effect.gen(function* () {
      yield* Config.set("k.a.b", 1)
      yield* Config.set("k.c", 1)
      yield* Config.set("k", { d: 1 })
      expect(yield* Config.get("k")).toEqual({ d: 1 })
      yield* Config.unset("k")
      expect((yield* Config.snapshot).keys).toEqual([])
    }).pipe(over([]))
  )
})
