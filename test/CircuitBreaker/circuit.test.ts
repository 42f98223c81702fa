import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Circuit, type Delays, type Outcome, Permit, type Rules } from "../../src/CircuitBreaker/Circuit.js"
import type { Trip } from "../../src/CircuitBreaker/Trip.js"
import { Oracle } from "./Oracle.js"

const ms = 1000

const growing = (delays: ReadonlyArray<number>): Delays => {
  let openings = 0
  return {
    get last() {
      return delays[Math.min(Math.max(openings, 1), delays.length) - 1] ?? 0
    },
    next() {
      openings++
      return this.last
    },
    reset() {
      openings = 0
    }
  }
}

const slow = fc.option(
  fc.record({ rate: fc.constantFrom(0, 0.3, 0.5, 1), micros: fc.constantFrom(50 * ms, 200 * ms) }),
  {
    nil: undefined
  }
)
const rate = fc.constantFrom(0, 0.1, 0.3, 0.5, 2 / 3, 1)
const trip: fc.Arbitrary<Trip> = fc.oneof(
  fc.record({ type: fc.constant("consecutive" as const), maxFailures: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    type: fc.constant("rate" as const),
    window: fc.record({ type: fc.constant("count" as const), size: fc.constantFrom(3, 5) }),
    failureRate: rate,
    slow,
    minimumCalls: fc.integer({ min: 1, max: 3 })
  }),
  fc.record({
    type: fc.constant("rate" as const),
    window: fc.record({ type: fc.constant("time" as const), micros: fc.constantFrom(1000 * ms, 300 * ms) }),
    failureRate: rate,
    slow,
    minimumCalls: fc.integer({ min: 1, max: 6 })
  })
)
const rules: fc.Arbitrary<Rules> = fc.record({
  trip,
  probes: fc.integer({ min: 1, max: 3 }),
  lease: fc.constantFrom(undefined, 100 * ms, 700 * ms)
})

const command = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ do: "call" as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      which: fc.nat(9),
      outcome: fc.constantFrom<Outcome>("success", "success", "failure", "failure", "failure", "ignore"),
      elapsed: fc.constantFrom(0, 50 * ms, 199 * ms, 200 * ms)
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      micros: fc.oneof(
        fc.constantFrom(1, 29 * ms, 30 * ms, 99 * ms, 100 * ms, 101 * ms, 499 * ms, 500 * ms, 700 * ms, 1000 * ms),
        fc.nat(1500 * ms)
      )
    })
  },
  { weight: 1, arbitrary: fc.constant({ do: "look" as const }) },
  { weight: 1, arbitrary: fc.constantFrom({ do: "forceOpen" as const }, { do: "disable" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "reset" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("adopt" as const), rules }) }
)

describe("Circuit", () => {
  it("does what a circuit does that keeps its whole history", () => {
    const reached = new Set<string>()
    fc.assert(
      fc.property(
        rules,
        fc.constantFrom([500 * ms], [100 * ms, 300 * ms, 900 * ms]),
        fc.array(command, { minLength: 10, maxLength: 80 }),
        (rules, delays, commands) => {
          const circuit = new Circuit(rules, growing(delays))
          const oracle = new Oracle(rules, delays)
          const permits = new Map<number, Permit>()
          let time = 123_456 * ms
          const now = () => time
          for (const [id, step] of commands.entries()) {
            const before = oracle.state
            switch (step.do) {
              case "call": {
                const answer = circuit.acquire(now)
                const expected = oracle.acquire(id, time)
                if (answer instanceof Permit) permits.set(id, answer)
                expect(
                  answer instanceof Permit
                    ? { admitted: true }
                    : { admitted: false, state: answer.state, retryAfter: answer.retryAfter }
                ).toEqual(expected)
                break
              }
              case "end": {
                const out = [...permits.keys()]
                const which = out[step.which % Math.max(1, out.length)]
                const permit = which === undefined ? undefined : permits.get(which)
                if (which === undefined || permit === undefined) break
                permits.delete(which)
                circuit.settle(permit, step.outcome, step.elapsed, now)
                oracle.settle(which, step.outcome, step.elapsed, time)
                break
              }
              case "wait":
                time += step.micros
                break
              case "look":
                circuit.advance(time)
                oracle.look(time)
                break
              case "adopt":
                circuit.adopt(step.rules)
                oracle.adopt(step.rules)
                break
              default:
                circuit[step.do]()
                oracle[step.do]()
            }
            expect(circuit.state).toBe(oracle.state)
            // Each change is told once, and nothing else is.
            const { moved } = circuit
            circuit.moved = undefined
            expect(moved === undefined ? before : moved.to).toBe(oracle.state)
            if (moved !== undefined) expect(moved.from).toBe(before)
            if (moved !== undefined) reached.add(`${moved.from} → ${moved.to}: ${moved.reason}`)
            expect(Number.isFinite(circuit.retryAfter(time))).toBe(true)
          }
        }
      ),
      { numRuns: 1500 }
    )
    // A model that never gets there shows nothing.
    expect([...reached]).toEqual(
      expect.arrayContaining([
        "closed → open: failures",
        "closed → open: failure_rate",
        "closed → open: slow_call_rate",
        "open → half_open: reset_timeout",
        "half_open → open: probe_failed",
        "half_open → closed: probes_succeeded",
        "open → forced_open: forced_open",
        "half_open → disabled: disabled",
        "forced_open → closed: reset"
      ])
    )
  })

  it("tells how long until the next call has a chance, and then lets one through", () => {
    fc.assert(
      fc.property(rules, fc.array(fc.constantFrom<Outcome>("failure", "success")), (rules, outcomes) => {
        const circuit = new Circuit(rules, growing([500 * ms, 900 * ms]))
        let time = 0
        const now = () => time
        for (const outcome of outcomes) {
          const answer = circuit.acquire(now)
          if (answer instanceof Permit) {
            circuit.settle(answer, outcome, 0, now)
            continue
          }
          expect(answer.retryAfter).toBe(circuit.retryAfter(time))
          time += answer.retryAfter
          expect(circuit.acquire(now)).toBeInstanceOf(Permit)
        }
      })
    )
  })

  it("keeps no more for a window of time than its buckets, however many calls there are", () => {
    const circuit = new Circuit(
      {
        trip: {
          type: "rate",
          window: { type: "time", micros: 1000 * ms },
          failureRate: 1,
          slow: undefined,
          minimumCalls: 2
        },
        probes: 1,
        lease: undefined
      },
      growing([500 * ms])
    )
    let time = 0
    const now = () => time
    const call = (outcome: Outcome) => {
      const permit = circuit.acquire(now)
      if (permit instanceof Permit) circuit.settle(permit, outcome, 0, now)
    }
    const size = () => JSON.stringify(circuit).length
    call("success")
    const before = size()
    for (let i = 0; i < 10_000; i++, time += 1) call("success")
    expect(size() - before).toBeLessThan(50)
    // Ten successes a microsecond ago outweigh a failure; a second later nothing is left of them.
    call("failure")
    expect(circuit.state).toBe("closed")
    time += 1000 * ms
    call("failure")
    call("failure")
    expect(circuit.state).toBe("open")
  })
})
