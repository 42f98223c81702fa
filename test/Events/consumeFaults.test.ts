import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schedule, type Scope, TestClock } from "effect"
import { Events } from "effect-foundation/Events"
import type { Backend } from "effect-foundation/Events/Backend"
import { TransactionRefused } from "effect-foundation/Events/Consumer/Store"
import { memoryDefault } from "effect-foundation/Events/Memory"
import { EventError } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"
import { TelemetryRecording } from "effect-foundation/Testing"
import { faultyBackend, type Operation } from "./FaultyBackend.js"

const recorded = Effect.provide(Layer.provideMerge(TelemetryRecording.layer, Telemetry.layer))

/** As many processes as wanted on one store, each with its own way to it. */
const processes = Effect.gen(function* () {
  const store = yield* memoryDefault
  const process = (backend: Backend = store) => {
    const faulty = faultyBackend(backend)
    return Effect.map(Events.make(faulty.backend), (events) => ({ ...faulty, events }))
  }
  return { store, process, events: yield* Events.make(store) }
})

interface Consuming {
  readonly handled: Array<number>
  readonly interrupted: Array<number>
  readonly fiber: Fiber.RuntimeFiber<never, EventError>
}

/** A consumer in the background that writes down what its handler finished, and what was cut short. */
const consuming = (
  events: Events.Service,
  options: Partial<Events.ConsumeOptions> = {}
): Effect.Effect<Consuming, never, Scope.Scope> =>
  Effect.gen(function* () {
    const handled: Array<number> = []
    const interrupted: Array<number> = []
    const { handler = () => Effect.void } = options
    const consumer = events.consume({
      name: "a",
      ...options,
      handler: (event) =>
        handler(event).pipe(
          Effect.tap(() => handled.push(event.position)),
          Effect.onInterrupt(() => Effect.sync(() => interrupted.push(event.position)))
        )
    })
    return { handled, interrupted, fiber: yield* Effect.forkScoped(consumer) }
  })

const many = (events: Events.Service, count: number) =>
  events.storeAll(Array.from({ length: count }, () => ({ type: "t" })))
/** Lets the fibers come as far as they can without time. */
const settled = TestClock.adjust(0)
const stateOf = (events: Events.Service) => Effect.map(events.consumers, ([state]) => state)
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => first + index)
const named = (name: string) =>
  Effect.flatMap(TelemetryRecording, (recording) => recording.named(`events.consumer.${name}`))

describe("retries", () => {
  it.effect("are five by default, after 0.2 to 3.2 seconds with jitter, and each is told", () =>
    Effect.gen(function* () {
      const { events } = yield* processes
      yield* many(events, 2)
      const { handled } = yield* consuming(events, {
        handler: ({ position }) => (position === 1 ? Effect.fail("busy") : Effect.void)
      })
      yield* TestClock.adjust("3 seconds")
      expect((yield* named("retry")).length).toBeGreaterThanOrEqual(3)
      expect(yield* events.deadLetters({ consumer: "a" })).toStrictEqual([])
      expect(handled).toStrictEqual([])
      yield* TestClock.adjust("4 seconds")
      expect((yield* events.deadLetters({ consumer: "a" }))[0]).toMatchObject({ position: 1, attempts: 6 })
      expect(handled).toStrictEqual([2])
      const metadata = { name: "a", type: "t", position: 1 }
      expect(yield* named("retry")).toMatchObject(
        upTo(6, 2).map((attempt) => ({ measurements: { attempt }, metadata }))
      )
      expect(yield* named("dead_letter")).toMatchObject([{ measurements: { attempts: 6 }, metadata }])
      expect(yield* named("handled")).toMatchObject([{ measurements: { attempts: 1 }, metadata: { name: "a" } }])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("wait for the retryAfter of an error, and stop at nothing where the schedule has no end", () =>
    Effect.gen(function* () {
      const { events } = yield* processes
      yield* many(events, 2)
      let broken = true
      const { handled } = yield* consuming(events, {
        retry: Schedule.spaced("1 minute"),
        handler: () => (broken ? Effect.fail("busy") : Effect.void)
      })
      yield* TestClock.adjust("5 minutes")
      expect(handled).toStrictEqual([])
      expect(yield* stateOf(events)).toMatchObject({ position: 0, token: 1, deadLetters: 0 })
      broken = false
      yield* TestClock.adjust("1 minute")
      expect(handled).toStrictEqual([1, 2])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("can be chosen by what the handler failed with", () =>
    Effect.gen(function* () {
      const { events } = yield* processes
      yield* many(events, 3)
      yield* consuming(events, {
        retry: Schedule.recurs(9).pipe(Schedule.whileInput((error) => error === "busy")),
        handler: ({ position }) => {
          if (position === 1) return Effect.fail("busy")
          return position === 2 ? Effect.fail("bad") : Effect.die("bad")
        }
      })
      yield* settled
      const letters = yield* events.deadLetters({ consumer: "a" })
      expect(letters.map(({ attempts }) => attempts)).toStrictEqual([10, 1, 1])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("are not spent on an event that is invalid in itself", () =>
    Effect.gen(function* () {
      const { events } = yield* processes
      yield* many(events, 1)
      yield* consuming(events, { handler: () => events.store({ type: "" }), retry: Schedule.forever })
      yield* settled
      expect(yield* events.deadLetters({ consumer: "a" })).toMatchObject([{ attempts: 1 }])
    }).pipe(recorded, Effect.scoped)
  )
})

describe("the lease", () => {
  it.effect("is renewed at a third of its length for as long as a handler takes", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      yield* many(events, 2)
      const gate = yield* Deferred.make<void>()
      const one = yield* process()
      const other = yield* process()
      const active = yield* consuming(one.events, { handler: () => Deferred.await(gate), lease: "30 seconds" })
      yield* settled
      const standby = yield* consuming(other.events, { lease: "30 seconds" })
      one.takeCalls()
      yield* TestClock.adjust("2 minutes")
      const renewals = one.takeCalls().filter((call) => call === "keep").length
      expect(renewals).toBeGreaterThanOrEqual(12)
      expect(renewals).toBeLessThanOrEqual(15)
      expect(yield* stateOf(events)).toMatchObject({ token: 1 })
      yield* Deferred.succeed(gate, undefined)
      yield* settled
      expect(active.handled).toStrictEqual([1, 2])
      expect(standby.handled).toStrictEqual([])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("of a process that died goes to another when it has run out", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      yield* many(events, 3)
      const one = yield* process()
      const other = yield* process()
      const first = yield* consuming(one.events, {
        handler: ({ position }) => (position < 2 ? Effect.void : Effect.never)
      })
      yield* settled
      const second = yield* consuming(other.events)
      yield* TestClock.adjust("5 seconds")
      // It says nothing more, and its clean end does not reach the store.
      one.fail("hangs")
      const ending = yield* Effect.fork(Fiber.interrupt(first.fiber))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(ending)
      expect(second.handled).toStrictEqual([])
      yield* TestClock.adjust("9 seconds")
      expect(second.handled).toStrictEqual([2, 3])
      expect(first.handled).toStrictEqual([1])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("is given up by a process that cannot renew it: before another begins, its handler is interrupted", () =>
    Effect.gen(function* () {
      for (const fault of ["away", "hangs"] as const) {
        const { process, events } = yield* processes
        yield* many(events, 2)
        const one = yield* process()
        const other = yield* process()
        const first = yield* consuming(one.events, { handler: () => Effect.never })
        yield* settled
        let begun = false
        const second = yield* consuming(other.events, {
          handler: () =>
            Effect.sync(() => {
              begun = true
              expect(first.interrupted).toStrictEqual([1])
            })
        })
        one.fail(fault)
        yield* TestClock.adjust("11 seconds")
        expect(begun).toBe(true)
        expect(second.handled).toStrictEqual([1, 2])
        one.heal()
        yield* TestClock.adjust("1 minute")
        expect(first.handled).toStrictEqual([])
        expect(yield* events.deadLetters({ consumer: "a" })).toStrictEqual([])
        expect(yield* stateOf(events)).toMatchObject({ position: 2, token: 2 })
      }
      expect((yield* named("lease")).map(({ metadata }) => metadata.outcome)).toContain("lost")
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("of a process that was frozen past it moves nothing when it wakes, and goes back to waiting", () =>
    Effect.gen(function* () {
      for (const outcome of [Effect.void, Effect.fail("broken")]) {
        const { process, events } = yield* processes
        yield* many(events, 3)
        const one = yield* process()
        const other = yield* process()
        const gate = yield* Deferred.make<void>()
        const first = yield* consuming(one.events, {
          retry: Schedule.recurs(0),
          // Neither does its handler hear that it is to stop.
          handler: () => Effect.uninterruptible(Effect.zipRight(Deferred.await(gate), outcome))
        })
        yield* settled
        const wake = one.freeze()
        const second = yield* consuming(other.events, {
          handler: ({ position }) => (position < 3 ? Effect.void : Effect.never)
        })
        yield* TestClock.adjust("30 seconds")
        expect(second.handled).toStrictEqual([1, 2])
        wake()
        yield* Deferred.succeed(gate, undefined)
        yield* TestClock.adjust("30 seconds")
        expect(yield* stateOf(events)).toMatchObject({ position: 2, token: 2, deadLetters: 0 })
        yield* Fiber.interrupt(second.fiber)
        yield* TestClock.adjust("30 seconds")
        expect(yield* stateOf(events)).toMatchObject({ position: 3, token: 3 })
        expect(first.handled.includes(3) || (yield* events.deadLetters({ consumer: "a" })).length === 1).toBe(true)
      }
    }).pipe(recorded, Effect.scoped)
  )

  it.effect(
    "that is over when a dead letter is written, or a replay ends, has the event handled again by who is next",
    () =>
      Effect.gen(function* () {
        const { store, process, events } = yield* processes
        const fenced = new Set(["bury", "settle"])
        const consumers: Backend["consumers"] = {
          ...store.consumers,
          bury: (lease, letter) =>
            fenced.delete("bury") ? Effect.succeed(false) : store.consumers.bury(lease, letter),
          settle: (lease, position, letter) =>
            fenced.delete("settle") ? Effect.succeed(false) : store.consumers.settle(lease, position, letter)
        }
        const one = yield* process({ ...store, consumers })
        const given: Array<number> = []
        yield* many(events, 2)
        yield* consuming(one.events, {
          retry: Schedule.recurs(0),
          handler: ({ position }) => {
            given.push(position)
            return position === 1 ? Effect.fail("broken") : Effect.void
          }
        })
        yield* settled
        expect(given.splice(0)).toStrictEqual([1, 1, 2])
        yield* events.replay({ consumer: "a", position: "all" })
        yield* settled
        expect(given).toStrictEqual([1, 1])
        expect((yield* named("lease")).map(({ metadata }) => metadata.outcome)).toStrictEqual([
          "acquired",
          "lost",
          "acquired",
          "lost",
          "acquired"
        ])
      }).pipe(recorded, Effect.scoped)
  )

  it.effect("is taken back from a consumer that ends between two attempts to get over a store", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      yield* many(events, 1)
      const one = yield* process()
      const { fiber } = yield* consuming(one.events, {
        retry: Schedule.recurs(0),
        handler: () => Effect.fail("broken")
      })
      one.fail("away", "bury")
      yield* TestClock.adjust("20 millis")
      expect(yield* stateOf(events)).toMatchObject({ owner: expect.any(String) })
      yield* Fiber.interrupt(fiber)
      expect(yield* stateOf(events)).toMatchObject({ owner: undefined })
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("is taken back from a consumer that ends within two seconds, also from a store that does not answer", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      const one = yield* process()
      const { fiber } = yield* consuming(one.events)
      yield* settled
      one.fail("hangs", "release")
      const ending = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1900 millis")
      expect(ending.unsafePoll()).toBe(null)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(ending)
      expect(yield* stateOf(events)).toMatchObject({ owner: expect.any(String) })
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("does not stay with a claim whose answer was lost", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      yield* many(events, 1)
      const one = yield* process()
      one.fail("lost", "claim")
      const { fiber, handled } = yield* consuming(one.events)
      yield* settled
      expect(yield* stateOf(events)).toMatchObject({ owner: expect.any(String) })
      yield* Fiber.interrupt(fiber)
      expect(yield* stateOf(events)).toMatchObject({ owner: undefined })
      const again = yield* consuming(one.events)
      yield* settled
      one.heal()
      yield* TestClock.adjust("1 second")
      expect(again.handled).toStrictEqual([1])
      expect(handled).toStrictEqual([])
    }).pipe(recorded, Effect.scoped)
  )
})

describe("a store that is away for a while", () => {
  const reasons: ReadonlyArray<Operation> = ["read", "listen", "claim", "keep", "bury", "settle", "nextReplay", "count"]

  it.effect.each(reasons)("is waited for, and the consumer goes on by itself: %s", (operation) =>
    Effect.gen(function* () {
      for (const fault of ["away", "lost"] as const) {
        for (const begin of ["before", "meanwhile"] as const) {
          const { process, events } = yield* processes
          const one = yield* process()
          if (begin === "before") one.fail(fault, operation)
          const broken = new Set([2, 5])
          const { handled } = yield* consuming(one.events, {
            retry: Schedule.recurs(1),
            handler: ({ position }) => (broken.has(position) ? Effect.fail("broken") : Effect.void)
          })
          yield* many(events, 3)
          yield* TestClock.adjust("1 second")
          if (begin === "meanwhile") one.fail(fault, operation)
          yield* many(events, 3)
          yield* events.replay({ consumer: "a", position: "all" })
          yield* TestClock.adjust("4 seconds")
          one.heal()
          yield* TestClock.adjust("10 seconds")
          yield* events.replay({ consumer: "a", position: "all" })
          yield* TestClock.adjust("10 seconds")
          expect([...new Set(handled)].sort()).toStrictEqual([1, 3, 4, 6])
          const letters = yield* events.deadLetters({ consumer: "a" })
          expect(letters.map(({ position, replaying }) => [position, replaying])).toStrictEqual([
            [2, false],
            [5, false]
          ])
          expect(yield* stateOf(events)).toMatchObject({ position: 6 })
          broken.clear()
          yield* events.replay({ consumer: "a", position: "all" })
          yield* TestClock.adjust("10 seconds")
          expect(yield* events.deadLetters({ consumer: "a" })).toStrictEqual([])
        }
      }
      if (operation !== "count") expect((yield* named("unavailable")).length).toBeGreaterThan(0)
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("is asked again after 0.1 to 5 seconds, and told of each time", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      yield* many(events, 1)
      const one = yield* process()
      one.fail("away", "claim")
      const { handled } = yield* consuming(one.events)
      yield* TestClock.adjust("1 minute")
      const told = yield* named("unavailable")
      expect(told.length).toBeGreaterThan(12)
      expect(told.length).toBeLessThan(35)
      const delays = told.map(({ measurements }) => measurements.delay ?? 0)
      expect(Math.max(...delays)).toBeLessThanOrEqual(5000)
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(50)
      expect(told[0]?.metadata).toStrictEqual({ name: "a", reason: "storage_unavailable" })
      one.heal()
      yield* TestClock.adjust("5 seconds")
      expect(handled).toStrictEqual([1])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("does not cost an event that was handled its checkpoint, nor a second handling, within the lease", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      yield* many(events, 3)
      const one = yield* process()
      one.fail("away", "keep")
      const { handled } = yield* consuming(one.events)
      yield* TestClock.adjust("5 seconds")
      expect(handled).toStrictEqual([1])
      one.heal()
      yield* TestClock.adjust("4 seconds")
      expect(handled).toStrictEqual([1, 2, 3])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("does not cost what was handled before a dead letter its checkpoint", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      yield* many(events, 4)
      const one = yield* process()
      one.fail("away", "bury")
      const { handled } = yield* consuming(one.events, {
        checkpointEvery: 256,
        retry: Schedule.recurs(0),
        handler: ({ position }) => (position === 3 ? Effect.fail("broken") : Effect.void)
      })
      yield* TestClock.adjust("1 second")
      expect(yield* stateOf(events)).toMatchObject({ position: 2 })
      one.heal()
      yield* TestClock.adjust("5 seconds")
      expect(handled).toStrictEqual([1, 2, 4])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("that is full of dead letters stops the consumer at the event, and nothing is lost", () =>
    Effect.gen(function* () {
      const { store, process, events } = yield* processes
      yield* many(events, 3)
      let full = true
      const bury: Backend["consumers"]["bury"] = (lease, letter) =>
        full
          ? Effect.fail(new EventError({ reason: "storage_full", message: "no room" }))
          : store.consumers.bury(lease, letter)
      const one = yield* process({ ...store, consumers: { ...store.consumers, bury } })
      const { handled } = yield* consuming(one.events, {
        retry: Schedule.recurs(0),
        handler: ({ position }) => (position === 2 ? Effect.fail("broken") : Effect.void)
      })
      yield* TestClock.adjust("1 minute")
      expect(handled).toStrictEqual([1])
      expect((yield* named("unavailable"))[0]?.metadata).toStrictEqual({ name: "a", reason: "storage_full" })
      full = false
      yield* TestClock.adjust("5 seconds")
      expect(handled).toStrictEqual([1, 3])
      expect(yield* events.deadLetters({ consumer: "a" })).toHaveLength(1)
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("and fails for another reason, ends the consumer with it", () =>
    Effect.gen(function* () {
      const { store, process } = yield* processes
      const error = new EventError({ reason: "invalid_event", message: "unreadable" })
      const one = yield* process({ ...store, read: () => Effect.fail(error) })
      const { fiber } = yield* consuming(one.events)
      yield* settled
      expect(yield* Effect.flip(Fiber.join(fiber))).toBe(error)
      expect(yield* Effect.map(store.consumers.list, ([state]) => state?.owner)).toBe(undefined)
    }).pipe(recorded, Effect.scoped)
  )
})

describe("a consumer", () => {
  it.effect("holds one page, and reads the next when it has handled it", () =>
    Effect.gen(function* () {
      const { store, events } = yield* processes
      const pages: Array<number> = []
      const counted: Backend = {
        ...store,
        read: (query) => Effect.tap(store.read(query), ({ events }) => void pages.push(events.length))
      }
      const watched = yield* Events.make(counted)
      yield* many(events, 1000)
      const gate = yield* Deferred.make<void>()
      const { handled } = yield* consuming(watched, {
        handler: ({ position }) => (position === 257 ? Deferred.await(gate) : Effect.void)
      })
      yield* TestClock.adjust("1 minute")
      expect(handled).toStrictEqual(upTo(256))
      expect(pages.filter((size) => size > 1)).toStrictEqual([256, 256])
      yield* Deferred.succeed(gate, undefined)
      yield* settled
      expect(handled).toStrictEqual(upTo(1000))
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("writes its checkpoint after so many events, and when there is no further one", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      yield* many(events, 25)
      const one = yield* process()
      const { handled } = yield* consuming(one.events, { checkpointEvery: 10 })
      yield* settled
      expect(handled).toHaveLength(25)
      expect(one.takeCalls().filter((call) => call === "keep")).toHaveLength(3)
      expect(yield* stateOf(events)).toMatchObject({ position: 25 })
      const each = yield* process()
      yield* consuming(each.events, { name: "each" })
      yield* settled
      expect(each.takeCalls().filter((call) => call === "keep")).toHaveLength(25)
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("moves past events that it is not for with its next renewal", () =>
    Effect.gen(function* () {
      const { process, events } = yield* processes
      const one = yield* process()
      const { handled } = yield* consuming(one.events, { criteria: { type: "rare" } })
      yield* many(events, 1000)
      yield* settled
      expect(one.takeCalls().filter((call) => call === "keep")).toHaveLength(0)
      yield* TestClock.adjust("5 seconds")
      expect(yield* stateOf(events)).toMatchObject({ position: 1000, behind: 0 })
      expect(handled).toStrictEqual([])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("tells its lag at once and every ten seconds: events that it is for, and the age of the oldest", () =>
    Effect.gen(function* () {
      const { events } = yield* processes
      yield* TestClock.setTime(1_000_000)
      const gate = yield* Deferred.make<void>()
      yield* consuming(events, { criteria: { type: "t" }, handler: () => Deferred.await(gate) })
      yield* settled
      yield* many(events, 2)
      yield* events.store({ type: "other" })
      yield* TestClock.adjust("5 seconds")
      yield* many(events, 1)
      yield* TestClock.adjust("5 seconds")
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("10 seconds")
      expect((yield* named("lag")).map(({ measurements }) => measurements)).toStrictEqual([
        { behind: 0, age: 0 },
        { behind: 3, age: 10_000 },
        { behind: 0, age: 0 }
      ])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("tells when it becomes active and when it ends", () =>
    Effect.gen(function* () {
      const { events } = yield* processes
      const one = yield* consuming(events)
      yield* settled
      const other = yield* consuming(events)
      yield* settled
      yield* Fiber.interrupt(one.fiber)
      yield* settled
      yield* Fiber.interrupt(other.fiber)
      expect((yield* named("lease")).map(({ metadata }) => metadata.outcome)).toStrictEqual([
        "acquired",
        "released",
        "acquired",
        "released"
      ])
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("leaves no lease behind and passes over nothing, wherever it is interrupted", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 120; steps++) {
        const { process, events } = yield* processes
        const one = yield* process()
        yield* many(events, 4)
        const options: Partial<Events.ConsumeOptions> = {
          retry: Schedule.recurs(1),
          checkpointEvery: 2,
          handler: ({ position }) =>
            Effect.zipRight(Effect.yieldNow(), position === 3 ? Effect.fail("broken") : Effect.void)
        }
        const first = yield* consuming(one.events, options)
        yield* Effect.repeatN(Effect.yieldNow(), steps)
        yield* Fiber.interrupt(first.fiber)
        const state = yield* stateOf(events)
        expect(state?.owner).toBe(undefined)
        const reached = Math.max(0, ...first.handled)
        expect(state?.position ?? 0).toBeGreaterThanOrEqual(reached)
        yield* consuming(one.events, options)
        yield* settled
        expect(yield* stateOf(events)).toMatchObject({ position: 4, deadLetters: 1 })
        expect([...new Set(first.handled)]).toStrictEqual(first.handled)
      }
    }).pipe(recorded, Effect.scoped)
  )

  it.effect("is refused a transaction where the store has none to share", () =>
    Effect.gen(function* () {
      const { events } = yield* processes
      const error = yield* Effect.flip(events.consume({ name: "a", transactional: true, handler: () => Effect.void }))
      expect(error).toMatchObject({ reason: "invalid_consumer", context: { option: "transactional" } })
    }).pipe(recorded, Effect.scoped)
  )
})

describe("a transactional consumer", () => {
  /** A store whose transactions are counted, and refused at the commit where it is so said. */
  const withTransactions = (store: Backend) => {
    const ended: Array<"committed" | "rolled back"> = []
    let refusals = 0
    let fenced = false
    const consumers: Backend["consumers"] = {
      ...store.consumers,
      keep: (lease, position) => (fenced ? Effect.succeed(undefined) : store.consumers.keep(lease, position)),
      transact: (effect) =>
        effect.pipe(
          Effect.tap(() => (refusals-- > 0 ? Effect.fail(new TransactionRefused("conflict")) : Effect.void)),
          Effect.tapBoth({
            onFailure: () => Effect.sync(() => ended.push("rolled back")),
            onSuccess: () => Effect.sync(() => ended.push("committed"))
          })
        )
    }
    return {
      backend: { ...store, consumers },
      ended,
      refuse: (times: number) => {
        refusals = times
      },
      fence: (is: boolean) => {
        fenced = is
      }
    }
  }

  it.effect(
    "commits each event with its checkpoint, and takes a commit that is refused for a failure of the event",
    () =>
      Effect.gen(function* () {
        const { store, process, events } = yield* processes
        const transactions = withTransactions(store)
        const { events: own, takeCalls } = yield* process(transactions.backend)
        yield* many(events, 3)
        yield* consuming(own, { transactional: true, retry: Schedule.recurs(1) })
        yield* settled
        expect(transactions.ended).toStrictEqual(["committed", "committed", "committed"])
        expect(takeCalls().filter((call) => call === "keep")).toHaveLength(3)
        transactions.refuse(1)
        yield* many(events, 1)
        yield* settled
        expect(transactions.ended.splice(0)).toStrictEqual([
          "committed",
          "committed",
          "committed",
          "rolled back",
          "committed"
        ])
        transactions.refuse(2)
        yield* many(events, 2)
        yield* settled
        expect(transactions.ended).toStrictEqual(["rolled back", "rolled back", "committed"])
        expect(yield* events.deadLetters({ consumer: "a" })).toMatchObject([
          { position: 5, attempts: 2, error: "conflict" }
        ])
      }).pipe(recorded, Effect.scoped)
  )

  it.effect("is rolled back where it was fenced, and the event is no failure", () =>
    Effect.gen(function* () {
      const { store, process, events } = yield* processes
      const transactions = withTransactions(store)
      const { events: own } = yield* process(transactions.backend)
      yield* many(events, 1)
      transactions.fence(true)
      let attempts = 0
      const { handled } = yield* consuming(own, {
        transactional: true,
        handler: () =>
          Effect.sync(() => {
            if (++attempts === 5) transactions.fence(false)
          })
      })
      yield* settled
      expect(transactions.ended).toStrictEqual([...Array.from({ length: 4 }, () => "rolled back"), "committed"])
      expect(handled).toHaveLength(5)
      expect(yield* stateOf(events)).toMatchObject({ position: 1, deadLetters: 0 })
    }).pipe(recorded, Effect.scoped)
  )
})
