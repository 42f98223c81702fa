import { describe, expect, it } from "@effect/vitest"
import * as Lease from "effect-foundation/ServiceRegistry/Sql/Lease"
import * as fc from "fast-check"

/** Microseconds. */
const lease = 1_000_000
const terms = Lease.termsOf(lease)

/**
 * What may happen to a process between two of its steps, in true microseconds: how long it is stopped, how long its
 * question is on the way, how long the database takes to come to it, and how long the answer is on the way. Any may be
 * longer than the lease, and an answer may be lost.
 */
const span = fc.oneof(
  fc.nat(1000),
  fc.nat(1000),
  fc.nat(300_000),
  fc.integer({ min: 800_000, max: 1_200_000 }),
  fc.nat(3 * lease)
)
const step = fc.record({
  by: fc.nat(2),
  pause: span,
  there: span,
  back: span,
  isLost: fc.boolean()
})

/** By how much the clock of a process runs slow or fast against that of the database. */
const rate = fc.oneof(fc.constant(0.91), fc.constant(1.1), fc.double({ min: 0.91, max: 1.1, noNaN: true }))

interface Process {
  /** Until when it does nothing: it is stopped, or waits for an answer. */
  busyUntil: number
  /** What its own clock says that it may believe in. */
  until: number
  /** The true time at which it began to believe, for each span of belief. */
  readonly beliefs: Array<{ from: number; to: number }>
}

describe("leases", () => {
  it("are never believed in by two at a time, whatever is stopped, late or lost, and however slow a clock is", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.tuple(rate, rate, rate), (steps, rates) => {
        const processes = rates.map((): Process => ({ busyUntil: 0, until: Number.NEGATIVE_INFINITY, beliefs: [] }))
        /** The database: who has the name, and until when. It does one thing at a time. */
        let holder: number | undefined
        let expiresAt = 0
        const questions: Array<{ at: number; run: () => void }> = []

        for (const { back, by, isLost, pause, there } of steps) {
          const own = processes[by]
          const ratio = rates[by]
          if (own === undefined || ratio === undefined) throw new Error("there are three")
          const local = (time: number) => Math.floor(time * ratio)
          const sentAt = own.busyUntil + pause
          const executedAt = sentAt + there
          const answeredAt = executedAt + back
          own.busyUntil = answeredAt
          questions.push({
            at: executedAt,
            run: () => {
              const isFree = holder === undefined || expiresAt <= executedAt
              const isOwn = holder === by && expiresAt > executedAt
              if (!isFree && !isOwn) return
              holder = by
              expiresAt = executedAt + lease
              if (isLost) return
              const now = local(answeredAt)
              const held = Lease.isValid(own.until, now)
              const before = own.until
              own.until =
                isOwn && held
                  ? Lease.renewed(terms, before, local(sentAt), now)
                  : Lease.validUntil(terms, local(sentAt))
              if (!Lease.isValid(own.until, now)) return
              // In true time: from the answer on, to when its own clock says that it is over.
              own.beliefs.push({ from: answeredAt, to: own.until / ratio })
            }
          })
        }
        for (const { run } of questions.sort((a, b) => a.at - b.at)) run()

        const beliefs = processes.flatMap((process, by) => process.beliefs.map((belief) => ({ ...belief, by })))
        for (const a of beliefs) {
          for (const b of beliefs) if (a.by !== b.by) expect(a.from < b.to && b.from < a.to).toBe(false)
        }
      }),
      { numRuns: 3000 }
    )
  })

  it("that have run out are not revived by an answer that comes too late", () => {
    fc.assert(
      fc.property(fc.nat(5 * lease), fc.nat(5 * lease), fc.nat(5 * lease), (until, sentAt, now) => {
        const renewed = Lease.renewed(terms, until, sentAt, now)
        expect(renewed).toBeGreaterThanOrEqual(until)
        if (!Lease.isValid(until, now)) expect(Lease.isValid(renewed, now)).toBe(false)
      })
    )
  })

  it("are renewed with time for two more attempts, at times that spread, and no attempt outlives them", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(20),
        fc.nat(2 * lease),
        (random, failures, now) => {
          const after = Lease.renewAfter(terms, random)
          expect(after).toBeGreaterThanOrEqual(Math.floor(lease / 3) * 0.8 - 1)
          expect(after).toBeLessThanOrEqual(lease * 0.4)
          const again = Lease.retryAfter(terms, failures, random)
          expect(again).toBeGreaterThan(0)
          expect(again).toBeLessThanOrEqual(lease / 4)
          const until = Lease.validUntil(terms, 0)
          const within = Lease.attemptWithin(terms, until, now)
          if (now < until) expect(now + within).toBeLessThanOrEqual(until)
          expect(within).toBeGreaterThan(0)
        }
      )
    )
  })
})
