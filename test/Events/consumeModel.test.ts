import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Random, Schedule } from "effect"
import { Events } from "effect-foundation/Events"
import { memoryDefault } from "effect-foundation/Events/Memory"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { ManualClock, settled } from "../ManualClock.js"
import { faultyBackend, operations } from "./FaultyBackend.js"

const which = fc.nat({ max: 2 })

/** What may happen, to the store or to one of three processes. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("store" as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("start" as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stop" as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("crash" as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("freeze" as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wake" as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fail" as const),
      which,
      fault: fc.constantFrom("away" as const, "lost" as const, "hangs" as const),
      operation: fc.constantFrom(...operations)
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("heal" as const), which }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("prune" as const), part: fc.double({ min: 0, max: 1, noNaN: true }) })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("replay" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("advance" as const), millis: fc.constantFrom(1, 50, 300, 900, 1100, 4000) })
  }
)

const run = fc.record({
  steps: fc.array(step, { minLength: 10, maxLength: 60 }),
  /** What becomes of an event, by its position: it succeeds, after two failures, or never; or it is for another. */
  fates: fc.array(fc.constantFrom("good", "good", "flaky", "bad", "other"), { minLength: 1, maxLength: 12 }),
  /** How long the handler takes. */
  takes: fc.constantFrom(0, 0, 20, 700),
  checkpointEvery: fc.constantFrom(1, 1, 3),
  seed: fc.integer()
})

const lease = 1000

const drive = ({ steps, fates, takes, checkpointEvery, seed }: typeof run extends fc.Arbitrary<infer A> ? A : never) =>
  Effect.gen(function* () {
    const clock = new ManualClock()
    const store = yield* memoryDefault
    const observer = yield* Events.make(store)
    let repaired = false

    const fateOf = (position: number) => fates[position % fates.length] ?? "good"
    const stored: Array<number> = []
    const pruned = new Set<number>()
    const attempts = new Map<number, number>()
    const done = new Set<number>()
    const violations: Array<string> = []

    const makeProcess = () => {
      const faulty = faultyBackend(store)
      let thaw: (() => void) | undefined
      let frozen: Promise<void> | undefined
      return {
        ...faulty,
        fiber: undefined as Fiber.RuntimeFiber<never, unknown> | undefined,
        wasFrozen: false,
        running: 0,
        freeze() {
          if (thaw !== undefined) return
          this.wasFrozen = true
          const wakeStore = faulty.freeze()
          frozen = new Promise((resolve) => {
            thaw = () => {
              wakeStore()
              thaw = undefined
              frozen = undefined
              resolve()
            }
          })
        },
        wake() {
          thaw?.()
        },
        /** What a frozen process does not pass, nor hear an interruption in. */
        get passing() {
          return Effect.suspend(() =>
            frozen === undefined ? Effect.void : Effect.uninterruptible(Effect.promise(async () => frozen))
          )
        }
      }
    }
    const processes = [makeProcess(), makeProcess(), makeProcess()]

    const lettersOf = Effect.map(
      observer.deadLetters({ consumer: "a", limit: 1000 }),
      (letters) => new Map(letters.map((letter) => [letter.position, letter]))
    )

    /** What is open of the events up to the position, for which the consumer is. */
    const openUpTo = (position: number) =>
      Effect.map(lettersOf, (letters) =>
        stored.filter(
          (one) => one <= position && fateOf(one) !== "other" && !pruned.has(one) && !done.has(one) && !letters.has(one)
        )
      )

    const start = (process: ReturnType<typeof makeProcess>) =>
      Effect.gen(function* () {
        if (process.fiber !== undefined) return
        const events = yield* Events.make(process.backend)
        const handler = ({ position, type }: Events.StoredEvent) =>
          Effect.gen(function* () {
            yield* process.passing
            if (type !== "t") violations.push(`${position} is of another type`)
            const open = yield* openUpTo(position - 1)
            if (open.length > 0) violations.push(`${position} was handled before ${open}`)
            process.running++
            yield* Effect.addFinalizer(() => Effect.sync(() => process.running--))
            // One that was frozen past its lease cannot know yet; all others are one at a time.
            const running = processes.filter((other) => !other.wasFrozen && other.running > 0)
            if (!process.wasFrozen && running.length > 1) violations.push(`${position} was handled twice at a time`)
            const attempt = (attempts.get(position) ?? 0) + 1
            attempts.set(position, attempt)
            if (takes > 0) yield* Effect.sleep(takes)
            yield* process.passing
            const fate = fateOf(position)
            if (!repaired && (fate === "bad" || (fate === "flaky" && attempt <= 2))) return yield* Effect.fail(fate)
            done.add(position)
          }).pipe(Effect.scoped, Effect.orDie)
        process.fiber = yield* Effect.forkDaemon(
          events.consume({
            name: "a",
            criteria: { type: "t" },
            lease,
            retry: Schedule.recurs(2),
            checkpointEvery,
            handler
          })
        )
      })

    const check = Effect.gen(function* () {
      expect(violations).toStrictEqual([])
      for (const { fiber } of processes) expect(fiber?.unsafePoll() ?? null).toBe(null)
      const [state] = yield* observer.consumers
      expect(yield* openUpTo(state?.position ?? 0)).toStrictEqual([])
      for (const position of (yield* lettersOf).keys()) expect(fateOf(position)).toBe("bad")
    })

    const end = (process: ReturnType<typeof makeProcess>) =>
      Effect.gen(function* () {
        const { fiber } = process
        process.fiber = undefined
        if (fiber !== undefined) yield* Effect.forkDaemon(Fiber.interrupt(fiber))
      })

    const perform = (step: (typeof steps)[number]) =>
      Effect.gen(function* () {
        switch (step.do) {
          case "store": {
            const types = Array.from({ length: step.count }, (_, index) =>
              fateOf(stored.length + index + 1) === "other" ? "other" : "t"
            )
            const events = yield* observer.storeAll(types.map((type) => ({ type })))
            stored.push(...events.map(({ position }) => position))
            return
          }
          case "prune": {
            const position = Math.max(1, Math.round(stored.length * step.part))
            yield* observer.prune({ afterPosition: position - 1, beforePosition: position + 1 })
            pruned.add(position)
            return
          }
          case "replay":
            return yield* observer.replay({ consumer: "a", position: "all" })
          case "advance":
            return yield* clock.advance(step.millis)
        }
        const process = processes[step.which] ?? makeProcess()
        switch (step.do) {
          case "start":
            return yield* start(process)
          case "stop":
            return yield* end(process)
          case "crash":
            process.fail("hangs")
            yield* end(process)
            processes[step.which] = makeProcess()
            return
          case "freeze":
            return process.freeze()
          case "wake":
            return process.wake()
          case "fail":
            return process.fail(step.fault, step.operation)
          case "heal":
            return process.heal()
        }
      })

    const body = Effect.gen(function* () {
      for (const step of steps) {
        yield* perform(step)
        yield* settled
        yield* check
      }
      // All is well again.
      for (const process of processes) {
        process.wake()
        process.heal()
        yield* start(process)
      }
      const drained = Effect.gen(function* () {
        yield* clock.advance(1000)
        yield* check
        const [state] = yield* observer.consumers
        const letters = [...(yield* lettersOf).values()]
        return state?.behind === 0 && letters.every(({ replaying }) => !replaying)
      })
      yield* Effect.repeat(drained, { until: (is) => is, times: 300 })
      const matching = stored.filter((position) => fateOf(position) !== "other" && !pruned.has(position))
      const letters = yield* lettersOf
      expect(matching.filter((position) => letters.has(position))).toStrictEqual(
        matching.filter((position) => fateOf(position) === "bad")
      )
      expect(matching.filter((position) => !done.has(position))).toStrictEqual(
        matching.filter((position) => fateOf(position) === "bad")
      )
      repaired = true
      yield* observer.replay({ consumer: "a", position: "all" })
      yield* Effect.repeat(drained, { until: (is) => is, times: 300 })
      expect(matching.filter((position) => !done.has(position))).toStrictEqual([])
      for (const position of (yield* lettersOf).keys()) expect(pruned.has(position)).toBe(true)
      for (const process of processes) yield* end(process)
      yield* clock.advance(3000)
      expect((yield* observer.consumers)[0]?.owner).toBe(undefined)
    })
    yield* body.pipe(Effect.withClock(clock), Effect.withRandom(Random.make(seed)))
  }).pipe(Effect.provide(Telemetry.layer))

/** The store keeps the active one from listening for longer than its lease, and then two begin at a time. */
const keptFromListening: typeof run extends fc.Arbitrary<infer A> ? A : never = {
  steps: [
    { do: "start", which: 1 },
    { do: "crash", which: 1 },
    { do: "start", which: 0 },
    { do: "fail", which: 0, fault: "away", operation: "listen" },
    { do: "advance", millis: 900 },
    { do: "store", count: 1 },
    { do: "advance", millis: 1 },
    { do: "advance", millis: 900 }
  ],
  fates: ["good"],
  takes: 700,
  checkpointEvery: 1,
  seed: 0
}

it(
  "every event is handled at least once and in order, whatever becomes of the store and of those who consume",
  { timeout: 120_000 },
  () =>
    fc.assert(
      fc.asyncProperty(run, (run) => Effect.runPromise(drive(run))),
      { numRuns: 100, examples: [[keptFromListening]] }
    )
)
