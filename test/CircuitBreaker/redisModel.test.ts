import { it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { expect } from "vitest"
import { Circuit, type Delays, type Move, type Outcome, Permit, type Rules } from "../../src/CircuitBreaker/Circuit.js"
import { CountWindow } from "../../src/CircuitBreaker/CountWindow.js"
import { keysOf } from "../../src/CircuitBreaker/Redis/Keys.js"
import { Proposals } from "../../src/CircuitBreaker/Redis/Proposals.js"
import * as Scripts from "../../src/CircuitBreaker/Redis/Scripts.js"
import { countingOf, digitOf, messageOf, replyOf } from "../../src/CircuitBreaker/Redis/Wire.js"
import { TimeWindow } from "../../src/CircuitBreaker/TimeWindow.js"
import type { RateTrip } from "../../src/CircuitBreaker/Trip.js"
import { describeRedis, freshPrefix, sharedRedis, sharedRedisLayer } from "../support/redis.js"

const ms = 1000

/** Consecutive openings get longer, as by a schedule. */
class Growing implements Delays {
  private openings = 0
  get last(): number {
    return 200 * ms * Math.max(1, this.openings)
  }
  next(): number {
    this.openings++
    return this.last
  }
  reset(): void {
    this.openings = 0
  }
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ do: "call" as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      which: fc.nat(9),
      outcome: fc.constantFrom<Outcome>("success", "failure", "failure", "failure", "ignore"),
      elapsed: fc.constantFrom(0, 199_999, 200_000)
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("waitOut" as const), more: fc.constantFrom(-1000, -999, -1, 0, 1) })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("endAll" as const),
      failed: fc.array(fc.boolean(), { minLength: 10, maxLength: 10 })
    })
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("burst" as const),
      failed: fc.array(fc.constantFrom(false, false, false, true), { minLength: 1, maxLength: 12 })
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      micros: fc.oneof(
        fc.constantFrom(1, 999, 1000, 99_000, 100_000, 199_000, 500_000, 1_000_000, 2_000_000),
        fc.nat(600_000)
      )
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("force_open" as const, "disable" as const, "reset" as const) })
  }
)

const rules: fc.Arbitrary<Rules> = fc.record({
  probes: fc.integer({ min: 1, max: 3 }),
  lease: fc.constantFrom(undefined, 250 * ms),
  trip: fc.oneof(
    fc.record({ type: fc.constant("consecutive" as const), maxFailures: fc.integer({ min: 1, max: 3 }) }),
    fc.record({
      type: fc.constant("rate" as const),
      window: fc.constantFrom(
        { type: "count" as const, size: 8 },
        { type: "count" as const, size: 1 },
        { type: "time" as const, micros: 1_000_000 },
        { type: "time" as const, micros: 5 }
      ),
      failureRate: fc.constantFrom(0, 0.3, 0.5, 0.75, 1),
      slow: fc.constantFrom(undefined, { rate: 0.5, micros: 200_000 }),
      minimumCalls: fc.constantFrom(1, 3, 8)
    })
  )
})

interface InFlight {
  readonly permit: Permit
  readonly generation: number
  readonly token: string | undefined
}

/** Why the circuit is open, as its rejections say. */
const becauseOf = (core: Circuit, time: number) => {
  const rejection = core.acquire(() => time)
  return rejection instanceof Permit ? undefined : rejection.because
}

/** Runs the steps against the scripts, with the same times, and against the core, and compares after each. */
const compare = (rules: Rules, steps: ReadonlyArray<typeof step extends fc.Arbitrary<infer S> ? S : never>) =>
  Effect.gen(function* () {
    const redis = yield* Redis
    const keys = keysOf(yield* freshPrefix, "model")
    const core = new Circuit(rules, new Growing())
    const proposals = new Proposals(new Growing())
    const counting = countingOf(rules.trip, keys.circuit)
    let time = 1_700_000_000_000_000
    let calls: Array<InFlight> = []
    let tokens = 0
    let openings = 0
    const now = () => time

    const run = (script: Redis.Script, args: ReadonlyArray<string>, more: ReadonlyArray<string> = []) =>
      Effect.map(
        redis.run(
          script,
          [keys.circuit, keys.probes, ...more],
          [String(time), "model", "model", String(rules.probes), String(rules.lease ?? 0), ...args],
          2000
        ),
        (raw) => {
          const reply = replyOf(raw)
          if (reply === undefined) throw new Error("no reply")
          openings = reply.view.openings
          return reply
        }
      )
    const proposal = () => String(proposals.of(openings + 1, 0))
    const isSlow = (elapsed: number) =>
      rules.trip.type === "rate" && rules.trip.slow !== undefined && elapsed >= rules.trip.slow.micros
    /** How many changes the core has made, and so how many generations the scripts have begun by them. */
    const moved = (): Move | undefined => {
      const move = core.moved
      core.moved = undefined
      return move
    }

    for (const step of steps) {
      switch (step.do) {
        case "call": {
          const token = String(++tokens).padStart(6, "0")
          const reply = yield* run(Scripts.acquire, ["999999999", token])
          const answer = core.acquire(now)
          expect(reply.moves).toBe(moved() === undefined ? 0 : 1)
          if (answer instanceof Permit) {
            const isProbe = answer.leaseEnds !== undefined
            expect(reply.verdict.split(" ")[0]).toBe(isProbe ? "probe" : "pass")
            const { generation } = reply.view
            calls.push({ permit: answer, generation, token: isProbe ? token : undefined })
          } else {
            expect(reply.verdict).toBe("reject")
            expect(reply.view.state).toBe(answer.state)
            if (answer.state !== "forced_open") {
              expect(reply.view.wait).toBe(answer.retryAfter)
              expect(reply.view.because).toEqual(answer.because)
            }
          }
          break
        }
        // Calls that begin and end at once, where the circuit lets them through.
        case "burst": {
          const token = String(++tokens).padStart(6, "0")
          const { verdict, view } = yield* run(Scripts.acquire, ["999999999", token])
          const permit = core.acquire(now)
          const first = moved()
          if (!(permit instanceof Permit)) break
          if (permit.leaseEnds !== undefined) {
            calls.push({ permit, generation: view.generation, token })
            break
          }
          expect(verdict).toBe("pass")
          for (const failed of step.failed) core.settle(permit, failed ? "failure" : "success", 0, now)
          const reply = yield* run(
            rules.trip.type === "consecutive" ? Scripts.countFailures : Scripts.countRate,
            [
              String(view.generation),
              step.failed.map((failed) => digitOf(failed, false)).join(""),
              proposal(),
              ...counting.args
            ],
            counting.keys
          )
          expect(first).toBe(undefined)
          expect(reply.moves).toBe(moved() === undefined ? 0 : 1)
          if (reply.moves > 0) expect(reply.view.because).toEqual(becauseOf(core, time))
          break
        }
        case "end":
        case "endAll": {
          const ended =
            step.do === "endAll" ? calls.slice(0, 10) : calls.slice(step.which % Math.max(1, calls.length)).slice(0, 1)
          calls = calls.filter((call) => !ended.includes(call))
          const outcomeOf = (index: number): Outcome =>
            step.do === "end" ? step.outcome : step.failed[index] === true ? "failure" : "success"
          const elapsed = step.do === "end" ? step.elapsed : 0
          // What one process reports together is of one generation.
          const batches = new Map<number, string>()
          for (const [index, { generation, permit, token }] of ended.entries()) {
            const outcome = outcomeOf(index)
            if (token !== undefined) {
              const word = outcome === "success" && isSlow(elapsed) ? "failure" : outcome
              const reply = yield* run(Scripts.settle, [String(generation), token, word, proposal()])
              core.settle(permit, outcome, elapsed, now)
              expect(reply.moves).toBe(moved() === undefined ? 0 : 1)
            } else if (outcome !== "ignore") {
              batches.set(generation, (batches.get(generation) ?? "") + digitOf(outcome === "failure", isSlow(elapsed)))
              core.settle(permit, outcome, elapsed, now)
            }
          }
          const move = moved()
          let moves = 0
          for (const [generation, outcomes] of batches) {
            const reply = yield* run(
              rules.trip.type === "consecutive" ? Scripts.countFailures : Scripts.countRate,
              [String(generation), outcomes, proposal(), ...counting.args],
              counting.keys
            )
            moves += reply.moves
          }
          expect(moves).toBe(move === undefined ? 0 : 1)
          break
        }
        case "wait":
          time += step.micros
          break
        // Until the next call has a chance, to the microsecond.
        case "waitOut":
          time += Math.max(0, core.retryAfter(time) + step.more)
          break
        default: {
          const reply = yield* run(Scripts.control, [step.do])
          if (step.do === "force_open") core.forceOpen()
          else if (step.do === "disable") core.disable()
          else core.reset()
          expect(reply.moves).toBe(moved() === undefined ? 0 : 1)
        }
      }
      const { view } = yield* run(Scripts.look, [""])
      core.advance(time)
      core.moved = undefined
      if (view.generation === 0) expect(core.state).toBe("closed")
      expect(view.state).toBe(core.state)
      if (core.state !== "forced_open") expect(view.wait).toBe(Math.max(0, core.retryAfter(time)))
    }
  })

const windows = fc.constantFrom<RateTrip["window"]>(
  { type: "count", size: 1 },
  { type: "count", size: 8 },
  { type: "time", micros: 1_000_000 },
  { type: "time", micros: 7 }
)
const outcomes = fc.array(fc.record({ failed: fc.boolean(), slow: fc.boolean() }), { minLength: 1, maxLength: 12 })
const batch = fc.record({
  wait: fc.oneof(fc.constantFrom(0, 1, 9, 99_999, 100_000, 1_000_000), fc.nat(3_000_000)),
  outcomes
})

/** Counts the same in Redis and in memory, and compares the sums. */
const compareSums = (
  window: RateTrip["window"],
  batches: ReadonlyArray<typeof batch extends fc.Arbitrary<infer B> ? B : never>
) =>
  Effect.gen(function* () {
    const { command } = yield* sharedRedis
    const redis = yield* Redis
    const keys = keysOf(yield* freshPrefix, "window")
    const trip = { type: "rate", window, failureRate: 1, minimumCalls: 1_000_000, slow: undefined } as const
    const counting = countingOf(trip, keys.circuit)
    const memory = window.type === "count" ? new CountWindow(window.size) : new TimeWindow(window.micros)
    let time = 1_700_000_000_000_000
    const run = (script: Redis.Script, args: ReadonlyArray<string>, more: ReadonlyArray<string> = []) =>
      redis.run(script, [keys.circuit, keys.probes, ...more], [String(time), "model", "model", "1", "0", ...args], 2000)
    const generation = String(replyOf(yield* run(Scripts.acquire, ["1", "token"]))?.view.generation)
    for (const { outcomes, wait } of batches) {
      time += wait
      const digits = outcomes.map(({ failed, slow }) => digitOf(failed, slow)).join("")
      yield* run(Scripts.countRate, [generation, digits, "1000", ...counting.args], counting.keys)
      for (const { failed, slow } of outcomes) memory.add(failed, slow, () => time)
      const sums = yield* command("HMGET", counting.keys[0] ?? "", "calls", "failed", "slow")
      expect(sums.match(/^\d+$/gm)?.map(Number)).toEqual([memory.calls, memory.failures, memory.slow])
    }
  })

const layer = sharedRedisLayer.pipe(Layer.provideMerge(Telemetry.layer))

describeRedis("the scripts", () => {
  it.scopedLive(
    "keep the sums of a window as the windows in memory do",
    () =>
      Effect.gen(function* () {
        const runtime = yield* Effect.runtime<Redis>()
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(
              windows,
              fc.array(batch, { minLength: 3, maxLength: 20, size: "max" }),
              (window, batches) => Effect.runPromise(Effect.provide(compareSums(window, batches), runtime))
            ),
            { numRuns: 25 }
          )
        )
      }).pipe(Effect.provide(layer)),
    60_000
  )

  it.scopedLive(
    "decide as the circuit in memory does, with the same calls at the same times",
    () =>
      Effect.gen(function* () {
        const runtime = yield* Effect.runtime<Redis>()
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(rules, fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), (rules, steps) =>
              Effect.runPromise(Effect.provide(compare(rules, steps), runtime))
            ),
            { numRuns: 80 }
          )
        )
      }).pipe(Effect.provide(layer)),
    60_000
  )
})

describeRedis("the clock of Redis", () => {
  it.scopedLive("lengthens no opening and no lease where it goes back", () =>
    Effect.gen(function* () {
      const redis = yield* Redis
      const keys = keysOf(yield* freshPrefix, "clock")
      const start = 1_700_000_000_000_000
      const hour = 3_600_000_000
      const run = (time: number, script: Redis.Script, args: ReadonlyArray<string>) =>
        Effect.map(
          redis.run(script, [keys.circuit, keys.probes], [String(time), "clock", "clock", "1", "0", ...args], 2000),
          (raw) => replyOf(raw) ?? Effect.runSync(Effect.dieMessage("no reply"))
        )
      const { view } = yield* run(start, Scripts.acquire, ["1000000", "a"])
      yield* run(start, Scripts.countFailures, [String(view.generation), "1", "200000", "1"])
      expect((yield* run(start - hour, Scripts.look, [""])).view).toMatchObject({ state: "open", wait: 200_000 })
      expect((yield* run(start - hour + 150_000, Scripts.look, [""])).view).toMatchObject({
        state: "open",
        wait: 50_000
      })
      expect((yield* run(start - hour + 200_000, Scripts.acquire, ["1000000", "b"])).verdict).toBe("probe 200000")
      expect((yield* run(start - 2 * hour, Scripts.acquire, ["1000000", "c"])).view.wait).toBe(200_000)
      expect((yield* run(start - 2 * hour + 200_000, Scripts.acquire, ["1000000", "d"])).verdict).toBe("probe 200000")
    }).pipe(Effect.provide(layer))
  )
})

describeRedis("what a rate is judged by", () => {
  const start = 1_700_000_000_000_000
  const begin = (window: RateTrip["window"]) =>
    Effect.gen(function* () {
      const redis = yield* Redis
      const keys = keysOf(yield* freshPrefix, "rate")
      const trip = { type: "rate", window, failureRate: 0.5, minimumCalls: 4, slow: undefined } as const
      const counting = countingOf(trip, keys.circuit)
      const run = (time: number, script: Redis.Script, args: ReadonlyArray<string>) =>
        Effect.map(
          redis.run(
            script,
            [keys.circuit, keys.probes, ...counting.keys],
            [String(time), "rate", "rate", "1", "0", ...args],
            2000
          ),
          (raw) => replyOf(raw) ?? Effect.runSync(Effect.dieMessage("no reply"))
        )
      const { view } = yield* run(start, Scripts.acquire, ["1000000", "a"])
      const count = (time: number, digits: string) =>
        Effect.map(
          run(time, Scripts.countRate, [String(view.generation), digits, "200000", ...counting.args]),
          ({ view }) => view.state
        )
      return { count, keys: counting.keys }
    })

  it.scopedLive("leaves the window in time where the clock went back", () =>
    Effect.gen(function* () {
      const { count } = yield* begin({ type: "time", micros: 1_000_000 })
      const back = start - 3_600_000_000
      yield* count(start, "000000000000")
      yield* count(back, "0")
      expect(yield* count(back + 1_100_000, "0011")).toBe("open")
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("is counted anew where Redis has thrown away a part of it", () =>
    Effect.gen(function* () {
      const { command } = yield* sharedRedis
      const { count, keys } = yield* begin({ type: "count", size: 8 })
      yield* count(start, "10000010")
      yield* command("DEL", keys[1] ?? "")
      expect(yield* count(start, "00000000")).toBe("closed")
      expect(yield* count(start, "10010")).toBe("closed")
      expect(yield* count(start, "11")).toBe("open")
    }).pipe(Effect.provide(layer))
  )
})

it("every message is read as it was written", () => {
  expect(messageOf("pay%007bments 1700000000000001 0 open 200000 1 0 failures:5 - closed>open:failures")).toEqual({
    name: "pay{ments",
    view: {
      generation: 1700000000000001,
      seq: 0,
      state: "open",
      wait: 200000,
      openings: 1,
      failures: 0,
      because: { reason: "failures", failures: 5 },
      advice: []
    },
    moves: [{ from: "closed", to: "open", reason: "failures" }]
  })
})
