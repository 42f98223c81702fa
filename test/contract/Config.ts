import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Effect, Exit, Fiber, Option, Queue, Redacted, Schema, type Scope, Stream } from "effect"
import type { Config } from "effect-foundation/Config"
import { Config as Configuration } from "effect-foundation/Config"
import type { ConfigError } from "effect-foundation/FoundationError"

/** One configuration of one source, whose values others can change. */
export interface Subject {
  readonly config: Config.Service
  /** What the origin of a value that was set is. */
  readonly setOrigin: string
  /** Has the source state these values and no others, as somebody else does; `reload` brings them. */
  readonly state: (values: Readonly<Record<string, unknown>>) => Effect.Effect<void>
}

export type MakeSubject = (
  values: Readonly<Record<string, unknown>>,
  keys?: ReadonlyArray<Config.Key<unknown>>
) => Effect.Effect<Subject, ConfigError, Scope.Scope>

/** Lets the other fibers come as far as they can: a stream that was forked has subscribed by then. */
const settled = Effect.repeatN(Effect.yieldNow(), 20)

const Port = Configuration.Key("server.port", Schema.Int)
const Count = Configuration.Key("count", Schema.Number, { default: 0 })

/** What holds wherever the values come from and what is set goes to. */
export const configContract = (name: string, make: MakeSubject): void => {
  describe(`configuration ${name}`, () => {
    it.scopedLive("has what was set, through reloads, until it is unset", () =>
      Effect.gen(function* () {
        const { config, setOrigin } = yield* make({})
        yield* config.set("server.port", 1)
        yield* config.reload
        expect(yield* config.get("server.port", 0)).toBe(1)
        expect(yield* config.get("server")).toEqual({ port: 1 })
        expect(yield* config.origin("server.port")).toEqual(Option.some(setOrigin))
        yield* config.unset("server.port")
        yield* config.reload
        expect(yield* config.get("server.port", 0)).toBe(0)
        expect(yield* config.origin("server.port")).toEqual(Option.none())
      })
    )

    it.scopedLive("has what the source states after a reload", () =>
      Effect.gen(function* () {
        const { config, state } = yield* make({ a: 1, gone: true, list: [1, { x: 2 }] })
        expect((yield* config.snapshot).toJSON()).toEqual({ a: 1, gone: true, list: [1, { x: 2 }] })
        yield* state({ a: 2, "deep.er": null })
        yield* config.reload
        expect((yield* config.snapshot).toJSON()).toEqual({ a: 2, deep: { er: null } })
      })
    )

    it.scopedLive("takes a reload as a whole or not at all", () =>
      Effect.gen(function* () {
        const { config, state } = yield* make({ "server.port": 1, other: 1 }, [Port])
        const before = yield* config.snapshot
        yield* state({ "server.port": "x", other: 2 })
        expect(yield* Effect.flip(config.reload)).toMatchObject({ reason: "invalid_value", path: "server.port" })
        expect(yield* config.snapshot).toBe(before)
        yield* state({ "server.port": 2, other: 2 })
        yield* config.reload
        expect(yield* config.get(Port)).toBe(2)
      })
    )

    it.scopedLive("refuses what does not hold, and is as before", () =>
      Effect.gen(function* () {
        const { config } = yield* make({ "server.port": 1 }, [Port])
        const before = yield* config.snapshot
        const circular: Record<string, unknown> = {}
        circular.self = circular
        for (const attempt of [
          config.set("server.port", "x"),
          config.set(Port, 1.5),
          config.set("server", 5),
          config.set("server.port.deeper", 1),
          config.set("server.port", undefined),
          config.set("other", () => 1),
          config.set("other", { a: [Symbol("x")] }),
          config.set("other", circular),
          config.set("", 1),
          config.set("a..b", 1),
          config.set("__proto__.x", 1),
          config.set("a", { constructor: 1 }),
          config.update(Port, () => 0.5)
        ]) {
          const error = yield* Effect.flip(attempt)
          expect(error).toMatchObject({ _tag: "ConfigError" })
          expect(["invalid_value", "invalid_key"]).toContain(error.reason)
          expect(yield* config.snapshot).toBe(before)
        }
        yield* config.reload
        expect(yield* config.snapshot).toBe(before)
      })
    )

    it.scopedLive("tells each accepted change once, in order", () =>
      Effect.gen(function* () {
        const { config, setOrigin } = yield* make({})
        const changes = yield* Queue.unbounded<Config.Change>()
        yield* Effect.forkScoped(Stream.runForEach(config.changes, (change) => Queue.offer(changes, change)))
        yield* settled
        yield* config.set("a", 1)
        yield* config.set("a", 2)
        yield* config.reload
        yield* config.set("b.c", true)
        yield* config.unset("a")
        yield* config.reload
        yield* settled
        expect(Chunk.toReadonlyArray(yield* Queue.takeAll(changes))).toEqual([
          { key: "a", before: undefined, after: 1, source: setOrigin },
          { key: "a", before: 1, after: 2, source: setOrigin },
          { key: "b.c", before: undefined, after: true, source: setOrigin },
          { key: "a", before: 2, after: undefined, source: setOrigin }
        ])
      })
    )

    it.scopedLive("sets by key what a source would have to state", () =>
      Effect.gen(function* () {
        const { config } = yield* make({})
        const When = Configuration.Key("when", Schema.Date)
        yield* config.set(When, new Date(0))
        yield* config.reload
        expect(yield* config.get("when")).toBe("1970-01-01T00:00:00.000Z")
        expect((yield* config.get(When)).getTime()).toBe(0)
      })
    )

    it.scopedLive("keeps a section whole where it is set, and a part of it where that is", () =>
      Effect.gen(function* () {
        const { config } = yield* make({})
        yield* config.set("k.a.b", 1)
        yield* config.set("k.c", 1)
        yield* config.set("k", { d: 1, e: { f: [1] } })
        yield* config.set("k.e.g", 2)
        yield* config.reload
        expect(yield* config.get("k")).toEqual({ d: 1, e: { f: [1], g: 2 } })
        yield* config.unset("k")
        yield* config.reload
        expect((yield* config.snapshot).keys).toEqual([])
      })
    )

    it.scopedLive("is not unset where a required key would be without a value", () =>
      Effect.gen(function* () {
        const { config } = yield* make({})
        yield* config.set(Port, 1)
        expect(yield* Effect.flip(config.unset("server"))).toMatchObject({
          reason: "invalid_value",
          path: "server.port"
        })
        yield* config.reload
        expect(yield* config.get(Port)).toBe(1)
      })
    )

    it.scopedLive("loses no update of a hundred fibers", () =>
      Effect.gen(function* () {
        const { config } = yield* make({})
        const seen = yield* Effect.forEach(Array.from({ length: 100 }), () => config.update(Count, (n) => n + 1), {
          concurrency: "unbounded"
        })
        expect([...seen].sort((one, other) => one - other)).toEqual(
          Array.from({ length: 100 }, (_, index) => index + 1)
        )
        expect(yield* config.get(Count)).toBe(100)
      })
    )

    it.scopedLive("dies of what an update throws, and takes the next", () =>
      Effect.gen(function* () {
        const { config } = yield* make({})
        // As of a file that is not there, and as of a database that is locked: nothing of the source's own.
        for (const code of [undefined, "ENOENT", "40001", "SQLITE_BUSY"]) {
          const thrown = Object.assign(new Error("boom"), { code })
          const exit = yield* Effect.exit(
            config.update(Count, () => {
              throw thrown
            })
          )
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(thrown)
        }
        expect(yield* config.update(Count, (n) => n + 1)).toBe(1)
      })
    )

    it.scopedLive("sets nothing where the value is another than in the given snapshot", () =>
      Effect.gen(function* () {
        const { config } = yield* make({ a: 1, b: 1 })
        const since = yield* config.snapshot
        yield* config.set("b", 2)
        yield* config.set("a", 2, { since })
        expect(yield* Effect.flip(config.set("a", 3, { since }))).toMatchObject({ reason: "conflict", path: "a" })
        expect(yield* config.get("a")).toBe(2)
        yield* config.set("a", 3, { since: yield* config.snapshot })
        expect(yield* config.get("a")).toBe(3)
      })
    )

    it.scopedLive("loses nothing that fibers get, and set again since the snapshot that they got it from", () =>
      Effect.gen(function* () {
        const { config } = yield* make({ count: 0 })
        const increment = Effect.gen(function* () {
          const since = yield* config.snapshot
          const count = since.get("count") as number
          yield* Effect.yieldNow()
          yield* config.set("count", count + 1, { since })
        }).pipe(Effect.retry({ while: ({ reason }) => reason === "conflict" }))
        yield* Effect.forEach(Array.from({ length: 20 }), () => increment, { concurrency: "unbounded" })
        expect(yield* config.get("count")).toBe(20)
      })
    )

    it.scopedLive("has what was set last, however sets and reloads race", () =>
      Effect.gen(function* () {
        const { config } = yield* make({ steady: "s" })
        const reloading = yield* Effect.fork(Effect.forever(config.reload))
        for (let value = 1; value <= 50; value++) {
          yield* config.set("a", value)
          expect(yield* config.get("a")).toBe(value)
          yield* Effect.yieldNow()
          expect(yield* config.get("a")).toBe(value)
        }
        yield* Fiber.interrupt(reloading)
      })
    )

    it.scopedLive("keeps secrets hidden, in snapshots, changes and refusals", () =>
      Effect.gen(function* () {
        const { config } = yield* make({})
        const Pin = Configuration.Key("stripe.pin", Schema.Redacted(Schema.String.pipe(Schema.maxLength(12))))
        const told: Array<unknown> = []
        yield* Effect.forkScoped(Stream.runForEach(config.changes, (change) => Effect.sync(() => told.push(change))))
        yield* settled
        yield* config.set(Pin, Redacted.make("hunter2-one"))
        yield* config.set("db.password", "hunter2-two")
        yield* config.set("plain", Redacted.make("hunter2-three"))
        yield* config.set("section", { inner: Redacted.make("hunter2-four") })
        const errors = [
          yield* Effect.flip(config.set(Pin, Redacted.make("hunter2-much-too-long"))),
          yield* Effect.flip(config.set("stripe.pin", "hunter2-much-too-long")),
          yield* Effect.flip(config.set("db.password.deeper.api..token", "hunter2"))
        ]
        yield* config.reload
        yield* settled
        const snapshot = yield* config.snapshot
        expect(Redacted.value(yield* config.get(Pin))).toBe("hunter2-one")
        for (const path of ["db.password", "plain", "section.inner"]) {
          expect(Redacted.isRedacted(snapshot.get(path)), path).toBe(true)
        }
        expect(yield* config.get("plain", "")).toBe("hunter2-three")
        expect(told.length).toBeGreaterThan(3)
        expect(JSON.stringify([told, errors, snapshot]) + String(errors) + String(snapshot)).not.toContain("hunter2")
      })
    )
  })
}
