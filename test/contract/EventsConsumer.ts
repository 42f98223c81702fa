import { describe, expect, it } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Fiber, Layer, Queue, Ref, Schedule, Schema } from "effect"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { Events } from "effect-foundation/Events"
import { EventError } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"

class Broken extends Data.TaggedError("Broken")<{ readonly message: string; readonly cause?: unknown }> {}

/** Reads until it is as wanted, which the test waits for at most. */
export const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>, wanted: (value: A) => boolean) =>
  effect.pipe(Effect.delay("2 millis"), Effect.repeat({ until: wanted }))

/** What every backend of Events does for consumers, in real time. Each test has a store of its own, built by `layer`. */
export const eventsConsumerContract = <E>(name: string, layer: Layer.Layer<Events, E, Telemetry>): void => {
  const provided = Layer.provideMerge(layer, Telemetry.layer)
  const inStore = <A, E2, R>(program: Effect.Effect<A, E2, R | Events | Telemetry>) => Effect.provide(program, provided)

  const failure = <A, E2, R>(effect: Effect.Effect<A, E2, R>) =>
    Effect.map(Effect.flip(effect), (error) => {
      expect(error).toBeInstanceOf(EventError)
      return error as EventError
    })

  const many = (count: number, type = "t") => Events.storeAll(Array.from({ length: count }, () => ({ type })))
  const positions = (events: ReadonlyArray<Events.StoredEvent>) => events.map((event) => event.position)
  const noDelay = Schedule.recurs(2)

  /** A consumer in the background that offers what it is given. */
  const started = (options: Partial<Events.ConsumeOptions> & { readonly name: string }) =>
    Effect.gen(function* () {
      const seen = yield* Queue.unbounded<Events.StoredEvent>()
      const { handler = () => Effect.void } = options
      const fiber = yield* Effect.fork(
        Events.consume({
          retry: noDelay,
          ...options,
          handler: (event) => Effect.zipRight(Queue.offer(seen, event), handler(event))
        })
      )
      const next = Queue.take(seen)
      const take = (count: number) => Effect.map(Queue.takeN(seen, count), (events) => [...events])
      return { fiber, next, take, end: Fiber.interrupt(fiber), rest: Queue.takeAll(seen) }
    })

  const stateOf = (name: string) =>
    Effect.map(Events.consumers, (consumers) => consumers.find((consumer) => consumer.name === name))
  const checkpoint = (name: string, position: number) =>
    eventually(stateOf(name), (state) => (state?.position ?? 0) >= position)
  const lettersOf = (consumer: string) => Events.deadLetters({ consumer })

  describe(`consumers of Events on ${name}`, () => {
    it.live("are given the stored events that meet the criteria and then each new one, in order", () =>
      Effect.gen(function* () {
        yield* many(300)
        yield* many(3, "other")
        const before = yield* many(300)
        const consumer = yield* started({ name: "a", criteria: { type: "t" } })
        const old = yield* consumer.take(600)
        expect(positions(old)).toStrictEqual(positions(yield* Events.get({ type: "t" })))
        expect(old[300]).toStrictEqual(before[0])
        yield* many(1, "other")
        const [one] = yield* many(1)
        expect(yield* consumer.next).toStrictEqual(one)
        const [two, three] = yield* many(2)
        expect(yield* consumer.take(2)).toStrictEqual([two, three])
      }).pipe(inStore)
    )

    it.live("go on from their checkpoint, which a clean end takes along", () =>
      Effect.gen(function* () {
        const stored = yield* many(10)
        const first = yield* started({ name: "a", checkpointEvery: 256 })
        yield* first.take(10)
        yield* first.end
        expect(yield* stateOf("a")).toMatchObject({ owner: undefined, position: stored[9]?.position, behind: 0 })
        const later = yield* many(3)
        const second = yield* started({ name: "a" })
        expect(yield* second.take(3)).toStrictEqual(later)
        yield* checkpoint("a", later[2]?.position ?? 0)
        expect(yield* stateOf("a")).toMatchObject({ token: 2, deadLetters: 0, owner: expect.any(String) })
      }).pipe(inStore)
    )

    it.live("have their checkpoint behind the event in hand, and past it once it is handled", () =>
      Effect.gen(function* () {
        const [one, two] = yield* many(2)
        const gate = yield* Deferred.make<void>()
        const consumer = yield* started({
          name: "a",
          handler: ({ position }) => (position === two?.position ? Deferred.await(gate) : Effect.void)
        })
        yield* consumer.take(2)
        expect((yield* checkpoint("a", one?.position ?? 0))?.position).toBe(one?.position)
        yield* Deferred.succeed(gate, undefined)
        yield* checkpoint("a", two?.position ?? 0)
      }).pipe(inStore)
    )

    it.live("do not take an interruption for a failure: the event is handled again", () =>
      Effect.gen(function* () {
        const [event] = yield* many(1)
        const first = yield* started({ name: "a", handler: () => Effect.never })
        yield* first.next
        yield* first.end
        expect(yield* stateOf("a")).toMatchObject({ position: 0, owner: undefined })
        expect(yield* lettersOf("a")).toStrictEqual([])
        const second = yield* started({ name: "a" })
        expect(yield* second.next).toStrictEqual(event)
      }).pipe(inStore)
    )

    it.live("try an event again before they go on", () =>
      Effect.gen(function* () {
        const [one, two] = yield* many(2)
        const attempts = yield* Ref.make(0)
        const consumer = yield* started({
          name: "a",
          handler: () =>
            Effect.flatMap(
              Ref.getAndUpdate(attempts, (n) => n + 1),
              (n) => (n < 2 ? Effect.fail(new Broken({ message: "not yet" })) : Effect.void)
            )
        })
        expect(positions(yield* consumer.take(4))).toStrictEqual(
          positions([one, one, one, two].flatMap((e) => e ?? []))
        )
        expect(yield* lettersOf("a")).toStrictEqual([])
      }).pipe(inStore)
    )

    it.live("leave a dead letter when the retries are used up, and go on", () =>
      Effect.gen(function* () {
        const [, bad, good] = yield* many(3)
        const consumer = yield* started({
          name: "a",
          handler: ({ position }) =>
            position === bad?.position
              ? Effect.fail(
                  new Broken({
                    message: "no answer from postgres://app:hunter2@db/x",
                    cause: new Error("password=hunter2 refused")
                  })
                )
              : Effect.void
        })
        yield* consumer.take(5)
        yield* checkpoint("a", good?.position ?? 0)
        const [letter, ...others] = yield* lettersOf("a")
        expect(others).toStrictEqual([])
        expect(letter).toStrictEqual({
          consumer: "a",
          position: bad?.position,
          id: bad?.id,
          type: "t",
          error: "Broken: no answer from postgres://app:<redacted>@db/x, caused by Error: password=<redacted> refused",
          attempts: 3,
          failedAt: expect.any(Number),
          replaying: false
        })
        expect(Math.abs((letter?.failedAt ?? 0) - Date.now())).toBeLessThan(60_000)
        expect(yield* stateOf("a")).toMatchObject({ deadLetters: 1 })
      }).pipe(inStore)
    )

    it.live("take what a handler throws, dies with or interrupts itself with for failures of the event", () =>
      Effect.gen(function* () {
        const [one, two, three, four] = yield* many(4)
        const consumer = yield* started({
          name: "a",
          retry: Schedule.recurs(0),
          handler: ({ position }) => {
            if (position === one?.position) throw new Error("thrown\0 text")
            if (position === two?.position) return Effect.die({ token: "t0ps3cret", size: 5 })
            return position === three?.position ? Effect.interrupt : Effect.void
          }
        })
        // The first is thrown before it is offered.
        expect(yield* consumer.take(3)).toStrictEqual([two, three, four])
        yield* checkpoint("a", four?.position ?? 0)
        const letters = yield* lettersOf("a")
        expect(letters.map(({ position }) => position)).toStrictEqual(
          positions([one, two, three].flatMap((e) => e ?? []))
        )
        expect(letters[0]?.error).toBe("Error: thrown\uFFFD text")
        expect(letters[1]?.error).toBe('{"token":"<redacted>","size":5}')
        expect(letters[2]?.error).toContain("InterruptedException")
      }).pipe(inStore)
    )

    it.live("bound the text of an error, whatever it holds", () =>
      Effect.gen(function* () {
        const [, last] = yield* many(2)
        yield* started({
          name: "a",
          retry: Schedule.recurs(0),
          handler: ({ position }) =>
            position === last?.position
              ? Effect.fail(new Proxy({}, { get: () => expect.fail("read") }))
              : Effect.fail(`\ud800${"😀".repeat(5000)}`)
        })
        yield* checkpoint("a", last?.position ?? 0)
        const [long, unreadable] = yield* lettersOf("a")
        expect(long?.error).toHaveLength(2000)
        expect(long?.error).not.toMatch(/\p{Surrogate}/u)
        expect(unreadable?.error).toEqual(expect.any(String))
      }).pipe(inStore)
    )

    it.live("replay a dead letter on request: it goes when its event is handled, and stays when not", () =>
      Effect.gen(function* () {
        const stored = yield* many(4)
        const broken = yield* Ref.make(true)
        const consumer = yield* started({
          name: "a",
          retry: Schedule.recurs(1),
          handler: ({ position }) =>
            Effect.flatMap(Ref.get(broken), (broken) =>
              broken && position !== stored[3]?.position ? Effect.fail(new Broken({ message: "still" })) : Effect.void
            )
        })
        yield* consumer.take(7)
        yield* checkpoint("a", stored[3]?.position ?? 0)
        const [one, two, three] = yield* lettersOf("a")
        const at = (letter: Events.DeadLetter | undefined) => letter?.position ?? 0

        expect(yield* Events.replay({ consumer: "a", position: at(two) })).toBe(1)
        expect(positions(yield* consumer.take(2))).toStrictEqual([at(two), at(two)])
        const after = yield* eventually(lettersOf("a"), (letters) => letters[1]?.replaying === false)
        expect(after).toStrictEqual([one, { ...two, attempts: 4, failedAt: after[1]?.failedAt }, three])

        yield* Ref.set(broken, false)
        expect(yield* Events.replay({ consumer: "a", position: [at(three), 9999] })).toBe(1)
        expect(yield* consumer.next).toStrictEqual(stored[2])
        yield* eventually(lettersOf("a"), (letters) => letters.length === 2)
        expect(yield* Events.replay({ consumer: "a", position: "all" })).toBe(2)
        expect(positions(yield* consumer.take(2))).toStrictEqual([at(one), at(two)])
        yield* eventually(lettersOf("a"), (letters) => letters.length === 0)
        const [next] = yield* many(1)
        expect(yield* consumer.next).toStrictEqual(next)
      }).pipe(inStore)
    )

    it.live("replay what was asked for while none was active, and say so of events that were pruned", () =>
      Effect.gen(function* () {
        const [one, two] = yield* many(2)
        const first = yield* started({
          name: "a",
          retry: Schedule.recurs(0),
          handler: () => Effect.fail(new Broken({ message: "no" }))
        })
        yield* checkpoint("a", two?.position ?? 0)
        yield* first.end
        yield* Events.prune({ id: one?.id ?? "" })
        expect(yield* Events.replay({ consumer: "a", position: "all" })).toBe(2)
        expect((yield* lettersOf("a")).map(({ replaying }) => replaying)).toStrictEqual([true, true])
        const second = yield* started({ name: "a" })
        expect(yield* second.next).toStrictEqual(two)
        const left = yield* eventually(lettersOf("a"), (letters) => letters.length === 1)
        expect(left).toMatchObject([{ position: one?.position, attempts: 1, replaying: false }])
        expect(left[0]?.error).toContain("pruned")
        expect(yield* second.rest).toHaveLength(0)
      }).pipe(inStore)
    )

    it.live("have their dead letters listed in pages and removed", () =>
      Effect.gen(function* () {
        const stored = yield* many(5)
        yield* started({ name: "a", retry: Schedule.recurs(0), handler: () => Effect.fail("no") })
        yield* started({ name: "b" })
        yield* checkpoint("a", stored[4]?.position ?? 0)
        const all = positions(stored)
        const page = (options: Omit<Events.DeadLettersOptions, "consumer">) =>
          Effect.map(Events.deadLetters({ consumer: "a", ...options }), (letters) =>
            letters.map(({ position }) => position)
          )
        expect(yield* page({})).toStrictEqual(all)
        expect(yield* page({ limit: 2 })).toStrictEqual(all.slice(0, 2))
        expect(yield* page({ limit: 2, after: all[1] ?? 0 })).toStrictEqual(all.slice(2, 4))
        expect(yield* page({ limit: 0 })).toStrictEqual([])
        expect(yield* lettersOf("b")).toStrictEqual([])
        expect(yield* lettersOf("unknown")).toStrictEqual([])
        expect(yield* Events.removeDeadLetters({ consumer: "a", position: [all[0] ?? 0, all[2] ?? 0, 9999] })).toBe(2)
        expect(yield* page({})).toStrictEqual([all[1], all[3], all[4]])
        expect(yield* Events.removeDeadLetters({ consumer: "b", position: "all" })).toBe(0)
        expect(yield* Events.removeDeadLetters({ consumer: "a", position: "all" })).toBe(3)
        expect(yield* page({})).toStrictEqual([])
        expect(yield* Events.replay({ consumer: "a", position: "all" })).toBe(0)
        expect(yield* Events.get()).toHaveLength(5)
      }).pipe(inStore)
    )

    it.live("of one name take turns: one is active, and another takes over when it ends", () =>
      Effect.gen(function* () {
        const active = yield* Ref.make(0)
        const handled: Array<number> = []
        const handler = ({ position }: Events.StoredEvent) =>
          Effect.acquireUseRelease(
            Ref.updateAndGet(active, (n) => n + 1),
            (n) =>
              Effect.sync(() => {
                expect(n).toBe(1)
                handled.push(position)
              }),
            () => Ref.update(active, (n) => n - 1)
          )
        const fibers = yield* Effect.forEach([1, 2, 3], () =>
          Effect.fork(Events.consume({ name: "a", handler, retry: Schedule.recurs(0) }))
        )
        const expected: Array<number> = []
        for (const fiber of fibers) {
          const stored = yield* many(20)
          expected.push(...positions(stored))
          yield* checkpoint("a", stored[19]?.position ?? 0)
          yield* Fiber.interrupt(fiber)
        }
        expect(handled).toStrictEqual(expected)
        expect(yield* lettersOf("a")).toStrictEqual([])
        expect((yield* stateOf("a"))?.token).toBeLessThanOrEqual(3)
      }).pipe(inStore)
    )

    it.live("of different names know nothing of each other", () =>
      Effect.gen(function* () {
        const one = yield* started({ name: "one" })
        const other = yield* started({ name: "other", handler: () => Effect.fail("no"), retry: Schedule.recurs(0) })
        const stored = yield* many(3)
        expect(yield* one.take(3)).toStrictEqual(stored)
        expect(yield* other.take(3)).toStrictEqual(stored)
        yield* checkpoint("other", stored[2]?.position ?? 0)
        yield* checkpoint("one", stored[2]?.position ?? 0)
        expect(yield* Events.consumers).toMatchObject([
          { name: "one", deadLetters: 0 },
          { name: "other", deadLetters: 3 }
        ])
      }).pipe(inStore)
    )

    it.live("keep to the criteria that their name was first used with", () =>
      Effect.gen(function* () {
        const criteria = { type: ["b", "a", "b"], data: { x: { q: 1, p: [2] } } }
        const first = yield* started({ name: "a", criteria })
        yield* eventually(stateOf("a"), (state) => state?.owner !== undefined)
        const other = yield* failure(Events.consume({ name: "a", criteria: { type: "a" }, handler: () => Effect.void }))
        expect(other).toMatchObject({ reason: "invalid_consumer", context: { option: "criteria" } })
        expect(other.message).toContain('"type":["a","b"]')
        yield* first.end
        yield* failure(Events.consume({ name: "a", handler: () => Effect.void }))
        const same = yield* started({ name: "a", criteria: { data: { x: { p: [2], q: 1 } }, type: ["a", "b"] } })
        yield* Events.store({ type: "a", data: { x: { p: [2], q: 1 }, y: 1 } })
        yield* same.next
      }).pipe(inStore)
    )

    it.live("start where they are told to, unless they have a checkpoint", () =>
      Effect.gen(function* () {
        const [one, two] = yield* many(3)
        const from = yield* started({ name: "from", startAfter: one?.position ?? 0 })
        const head = yield* started({ name: "head", startAfter: "head" })
        yield* eventually(stateOf("head"), (state) => state?.owner !== undefined)
        const [four] = yield* many(1)
        expect(yield* from.next).toStrictEqual(two)
        expect(yield* head.next).toStrictEqual(four)
        yield* head.end
        yield* many(1)
        const again = yield* started({ name: "head", startAfter: 0 })
        expect((yield* again.next).position).toBeGreaterThan(four?.position ?? 0)
      }).pipe(inStore)
    )

    it.live("pass over events that are pruned", () =>
      Effect.gen(function* () {
        yield* many(5)
        yield* Events.prune({ type: "t" })
        const [left] = yield* many(1)
        const consumer = yield* started({ name: "a" })
        expect(yield* consumer.next).toStrictEqual(left)
        yield* checkpoint("a", left?.position ?? 0)
        yield* Events.prune({ type: "t" })
        yield* consumer.end
        const [next] = yield* many(1)
        const again = yield* started({ name: "a" })
        expect(yield* again.next).toStrictEqual(next)
      }).pipe(inStore)
    )

    it.live("are forgotten on request, but not while one is active", () =>
      Effect.gen(function* () {
        const [one] = yield* many(2)
        const consumer = yield* started({ name: "a", retry: Schedule.recurs(0), handler: () => Effect.fail("no") })
        yield* consumer.take(2)
        const active = yield* failure(Events.forgetConsumer("a"))
        expect(active).toMatchObject({ reason: "invalid_consumer" })
        expect(active.message).toContain("active")
        yield* consumer.end
        expect(yield* Events.forgetConsumer("a")).toBe(true)
        expect(yield* Events.forgetConsumer("a")).toBe(false)
        expect(yield* Events.consumers).toStrictEqual([])
        expect(yield* lettersOf("a")).toStrictEqual([])
        const again = yield* started({ name: "a", criteria: { type: ["t", "u"] } })
        expect(yield* again.next).toStrictEqual(one)
      }).pipe(inStore)
    )

    it.live("run the handler under the correlation id of the event, and events that it stores have it", () =>
      Effect.gen(function* () {
        yield* Events.store({ type: "asked" }).pipe(CorrelationId.with("req-7"))
        const consumer = yield* started({ name: "answers", criteria: { type: "answered" } })
        yield* Effect.fork(
          Events.consume({
            name: "asked",
            criteria: { type: "asked" },
            handler: ({ id }) => Events.store({ type: "answered", causationId: id })
          })
        )
        expect(yield* consumer.next).toMatchObject({ correlationId: "req-7" })
      }).pipe(inStore)
    )

    it.live("of a definition are given decoded data; what does not fit is a dead letter at once", () =>
      Effect.gen(function* () {
        const Placed = Events.define("placed", Schema.Struct({ at: Schema.Date }))
        yield* Events.store({ type: "placed", data: { at: 5 } })
        yield* Events.store({ type: "other", data: { at: 5 } })
        yield* Placed.store({ at: new Date(7) })
        const seen = yield* Deferred.make<Date>()
        yield* Effect.fork(
          Placed.consume({ name: "a", handler: ({ data }) => Deferred.succeed(seen, data.at), retry: Schedule.forever })
        )
        expect(yield* Deferred.await(seen)).toStrictEqual(new Date(7))
        const [letter, ...others] = yield* lettersOf("a")
        expect(others).toStrictEqual([])
        expect(letter).toMatchObject({ attempts: 1, type: "placed" })
        expect(letter?.error).toContain("does not fit the schema")
      }).pipe(inStore)
    )

    it.live("fail at once where an option or a criterion is wrong, and say which", () =>
      Effect.gen(function* () {
        const handler = () => Effect.void
        const wrong: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
          ["name", { name: "" }],
          ["name", { name: "a\0" }],
          ["name", { name: 5 }],
          ["handler", { handler: Effect.void }],
          ["retry", { retry: 5 }],
          ["lease", { lease: "99 millis" }],
          ["lease", { lease: "2 hours" }],
          ["lease", { lease: "soon" }],
          ["transactional", { transactional: "yes" }],
          ["startAfter", { startAfter: -1 }],
          ["startAfter", { startAfter: "tail" }],
          ["checkpointEvery", { checkpointEvery: 0 }],
          ["checkpointEvery", { checkpointEvery: 257 }],
          ["nam", { nam: "b" }]
        ]
        for (const [option, change] of wrong) {
          // What a program without types may pass.
          const options = { name: "a", handler, ...change } as unknown as Events.ConsumeOptions
          const error = yield* failure(Events.consume(options))
          expect(error).toMatchObject({ reason: "invalid_consumer", context: { option } })
          expect(error.message).toContain(option)
        }
        for (const criteria of [
          { limit: 5 },
          { order: "desc" },
          { before: 5 },
          { beforePosition: 5 },
          { afterPosition: 5 },
          { typ: "a" },
          { type: undefined }
        ]) {
          const options = { name: "a", handler, criteria } as unknown as Events.ConsumeOptions
          const error = yield* failure(Events.consume(options))
          expect(error).toMatchObject({ reason: "invalid_criteria", context: { criterion: Object.keys(criteria)[0] } })
        }
        const others = [
          Events.deadLetters({ consumer: "" }),
          Events.deadLetters({ consumer: "a", limit: 1001 }),
          Events.deadLetters({ consumer: "a", after: -1 }),
          Events.replay({ consumer: "", position: 5 }),
          Events.replay({ consumer: "a", position: 0 }),
          Events.replay({ consumer: "a" } as unknown as Events.ReplayOptions),
          Events.removeDeadLetters({ consumer: "a", position: [1, 1.5] }),
          Events.forgetConsumer("")
        ]
        for (const call of others) {
          expect(yield* failure(call as Effect.Effect<unknown, EventError, Events>)).toMatchObject({
            reason: "invalid_consumer"
          })
        }
        expect(yield* Events.consumers).toStrictEqual([])
      }).pipe(inStore)
    )

    it.live("end when they are interrupted, wherever they were started", () =>
      Effect.gen(function* () {
        yield* many(1)
        const seen = yield* Deferred.make<void>()
        const scoped = Layer.scopedDiscard(
          Effect.forkScoped(Events.consume({ name: "a", handler: () => Deferred.succeed(seen, undefined) }))
        )
        yield* Effect.scoped(Effect.zipRight(Layer.build(scoped), Deferred.await(seen)))
        expect((yield* stateOf("a"))?.owner).toBe(undefined)
        const uninterruptible = yield* started({ name: "a" }).pipe(Effect.uninterruptible)
        const [event] = yield* many(1)
        expect(yield* uninterruptible.next).toStrictEqual(event)
        expect(Exit.isInterrupted(yield* uninterruptible.end)).toBe(true)
      }).pipe(inStore)
    )
  })
}
