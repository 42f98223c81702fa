import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import type { Backend } from "effect-foundation/Events/Backend"
import type { DeadLetter } from "effect-foundation/Events/Consumer/DeadLetter"
import type { Claimed, ConsumerStore, Lease } from "effect-foundation/Events/Consumer/Store"
import { decodeCriteria, type Query } from "effect-foundation/Events/Criteria"
import { decodeEvent } from "effect-foundation/Events/Event"

/**
 * What every store of consumers does. `make` is a backend of its own for each test; `pass` lets at least so many
 * milliseconds go by on the clock of the store, of which it takes care to waste none: leases here are short.
 */
export const consumerStoreContract = <E>(
  name: string,
  make: Effect.Effect<Backend, E, Scope.Scope>,
  pass: (millis: number) => Effect.Effect<void>
): void => {
  const claimOf = (owner: string, more: { readonly criteria?: string; readonly startAfter?: number } = {}) => ({
    name: "a",
    owner,
    lease: 60_000,
    criteria: "{}",
    startAfter: 0,
    ...more
  })
  const brief = 300

  const active = (claimed: Claimed) => {
    expect(claimed._tag).toBe("Active")
    if (claimed._tag !== "Active") throw new Error("not active")
    return claimed
  }
  const leaseOf = (owner: string, claimed: Claimed, lease = 60_000): Lease => ({
    name: "a",
    owner,
    token: active(claimed).token,
    lease
  })
  const letterAt = (position: number): DeadLetter => ({
    consumer: "a",
    position,
    id: `id-${position}`,
    type: "t ' \" ; --",
    error: "Broken: ö 😀 'x' \\",
    attempts: 2,
    failedAt: 1_700_000_000_123,
    replaying: false
  })
  const lettersOf = (store: ConsumerStore) => store.deadLetters("a", 0, 100)
  const stateOf = (store: ConsumerStore) => Effect.map(store.list, (all) => all[0])

  const query = (criteria: object): Query => {
    const query = decodeCriteria(criteria)
    if ("problem" in query) throw new Error(String(query))
    return query
  }

  describe(`the state of consumers on ${name}`, () => {
    it.live("has one active consumer to a name, under a token that only grows", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const one = active(yield* consumers.claim(claimOf("one", { startAfter: 5 })))
        expect(one).toStrictEqual({ _tag: "Active", token: one.token, position: 5, replays: false })
        const waiting = yield* consumers.claim(claimOf("other"))
        expect(waiting._tag).toBe("Standby")
        if (waiting._tag === "Standby") {
          expect(waiting.remaining).toBeGreaterThan(30_000)
          expect(waiting.remaining).toBeLessThanOrEqual(60_000)
        }
        yield* consumers.release("a", "one", 7)
        const other = active(yield* consumers.claim(claimOf("other")))
        expect(other).toMatchObject({ position: 7 })
        expect(other.token).toBeGreaterThan(one.token)
        // Its own claim may have been heard before, though the answer was not.
        const again = active(yield* consumers.claim(claimOf("other")))
        expect(again.token).toBeGreaterThan(other.token)
        expect(yield* stateOf(consumers)).toMatchObject({ name: "a", owner: "other", token: again.token, position: 7 })
      }).pipe(Effect.scoped)
    )

    it.live("gives one of many claims at the same time the lease", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const claims = Array.from({ length: 20 }, (_, index) => consumers.claim(claimOf(`owner-${index}`)))
        const claimed = yield* Effect.all(claims, { concurrency: "unbounded" })
        expect(claimed.filter(({ _tag }) => _tag === "Active")).toHaveLength(1)
        expect(claimed.filter(({ _tag }) => _tag === "Standby")).toHaveLength(19)
      }).pipe(Effect.scoped)
    )

    it.live("gives the lease to another when it has run out, and not while it is renewed", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const claimed = yield* consumers.claim({ ...claimOf("one"), lease: brief })
        const lease = leaseOf("one", claimed, brief)
        for (let step = 0; step < 4; step++) {
          yield* pass(brief / 3)
          expect(yield* consumers.keep(lease, 0)).toStrictEqual({ replays: false })
          expect((yield* consumers.claim(claimOf("other")))._tag).toBe("Standby")
        }
        yield* pass(brief + 10)
        expect((yield* stateOf(consumers))?.owner).toBe(undefined)
        expect(active(yield* consumers.claim(claimOf("other"))).token).toBeGreaterThan(lease.token)
      }).pipe(Effect.scoped)
    )

    it.live("lets nobody move anything whose lease is over, or was given to another", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const lease = leaseOf("one", yield* consumers.claim({ ...claimOf("one"), lease: brief }), brief)
        expect(yield* consumers.keep(lease, 4)).toStrictEqual({ replays: false })
        expect(yield* consumers.bury(lease, letterAt(5))).toBe(true)
        const before = yield* lettersOf(consumers)
        yield* pass(brief + 10)
        const tryAll = Effect.gen(function* () {
          expect(yield* consumers.keep(lease, 9)).toBe(undefined)
          expect(yield* consumers.bury(lease, letterAt(9))).toBe(false)
          expect(yield* consumers.settle(lease, 5, undefined)).toBe(false)
          expect(yield* consumers.settle(lease, 5, { ...letterAt(5), attempts: 9 })).toBe(false)
          expect(yield* lettersOf(consumers)).toStrictEqual(before)
          expect(yield* stateOf(consumers)).toMatchObject({ position: 5 })
        })
        yield* tryAll
        const other = leaseOf("other", yield* consumers.claim(claimOf("other")))
        yield* tryAll
        yield* consumers.release("a", "one", 9)
        yield* tryAll
        expect(yield* stateOf(consumers)).toMatchObject({ owner: "other" })
        expect(yield* consumers.keep(other, 6)).toStrictEqual({ replays: false })
        yield* consumers.release("a", "other", 6)
        expect(yield* consumers.keep(other, 7)).toBe(undefined)
        expect(yield* stateOf(consumers)).toMatchObject({ position: 6, owner: undefined })
      }).pipe(Effect.scoped)
    )

    it.live("does not take a consumer that was forgotten and made again for the old one", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const old = leaseOf("one", yield* consumers.claim({ ...claimOf("one"), lease: brief }), brief)
        expect(yield* consumers.forget("a")).toBe("active")
        yield* pass(brief + 10)
        expect(yield* consumers.forget("a")).toBe("forgotten")
        expect(yield* consumers.forget("a")).toBe("unknown")
        yield* consumers.claim(claimOf("other"))
        expect(yield* consumers.keep(old, 5)).toBe(undefined)
        expect(yield* consumers.bury(old, letterAt(5))).toBe(false)
        expect(yield* lettersOf(consumers)).toStrictEqual([])
      }).pipe(Effect.scoped)
    )

    it.live("never moves a checkpoint back", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const lease = leaseOf("one", yield* consumers.claim(claimOf("one")))
        const position = Effect.map(stateOf(consumers), (state) => state?.position)
        yield* consumers.keep(lease, 8)
        yield* consumers.keep(lease, 3)
        expect(yield* position).toBe(8)
        yield* consumers.bury(lease, letterAt(5))
        expect(yield* position).toBe(8)
        yield* consumers.release("a", "one", 0)
        expect(yield* position).toBe(8)
      }).pipe(Effect.scoped)
    )

    it.live("tells those who claim with other criteria, and leaves the consumer as it is", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const criteria = '{"type":"ö \' x"}'
        yield* consumers.claim(claimOf("one", { criteria }))
        const before = yield* consumers.list
        const other = { _tag: "OtherCriteria", criteria }
        expect(yield* consumers.claim(claimOf("other"))).toStrictEqual(other)
        expect(yield* consumers.list).toStrictEqual(before)
        yield* consumers.release("a", "one", 0)
        expect(yield* consumers.claim(claimOf("other"))).toStrictEqual(other)
      }).pipe(Effect.scoped)
    )

    it.live("keeps dead letters as they are, one to an event", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const lease = leaseOf("one", yield* consumers.claim(claimOf("one")))
        for (const position of [3, 5, 9]) expect(yield* consumers.bury(lease, letterAt(position))).toBe(true)
        expect(yield* lettersOf(consumers)).toStrictEqual([3, 5, 9].map(letterAt))
        expect(yield* consumers.deadLetters("a", 3, 1)).toStrictEqual([letterAt(5)])
        expect(yield* consumers.deadLetters("b", 0, 9)).toStrictEqual([])
        expect(yield* consumers.bury(lease, { ...letterAt(5), attempts: 9 })).toBe(true)
        expect(yield* lettersOf(consumers)).toStrictEqual([letterAt(3), { ...letterAt(5), attempts: 9 }, letterAt(9)])
        expect(yield* stateOf(consumers)).toMatchObject({ deadLetters: 3, position: 9 })
      }).pipe(Effect.scoped)
    )

    it.live("has dead letters wait for their replay until it is settled or they are removed", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const lease = leaseOf("one", yield* consumers.claim(claimOf("one")))
        for (const position of [3, 5, 9]) yield* consumers.bury(lease, letterAt(position))
        expect(yield* consumers.nextReplay("a")).toBe(undefined)
        expect(yield* consumers.replay("a", [9, 5, 77])).toBe(2)
        expect(yield* consumers.replay("b", "all")).toBe(0)
        expect(yield* consumers.keep(lease, 9)).toStrictEqual({ replays: true })
        expect(yield* consumers.nextReplay("a")).toStrictEqual({ ...letterAt(5), replaying: true })
        expect((yield* lettersOf(consumers)).map(({ replaying }) => replaying)).toStrictEqual([false, true, true])
        expect(yield* consumers.settle(lease, 5, undefined)).toBe(true)
        expect(yield* consumers.nextReplay("a")).toStrictEqual({ ...letterAt(9), replaying: true })
        yield* consumers.release("a", "one", 9)
        const next = yield* consumers.claim(claimOf("one"))
        expect(next).toMatchObject({ replays: true })
        expect(yield* consumers.settle(leaseOf("one", next), 9, { ...letterAt(9), attempts: 4 })).toBe(true)
        expect(yield* consumers.nextReplay("a")).toBe(undefined)
        expect(yield* lettersOf(consumers)).toStrictEqual([letterAt(3), { ...letterAt(9), attempts: 4 }])
        expect(yield* consumers.replay("a", "all")).toBe(2)
        expect(yield* consumers.removeDeadLetters("a", [3])).toBe(1)
        expect(yield* consumers.nextReplay("a")).toMatchObject({ position: 9 })
        expect(yield* consumers.removeDeadLetters("a", "all")).toBe(1)
        expect(yield* consumers.nextReplay("a")).toBe(undefined)
        // The letter was removed while its event was handled: it does not come back.
        expect(yield* consumers.settle(leaseOf("one", next), 9, letterAt(9))).toBe(true)
        expect(yield* lettersOf(consumers)).toStrictEqual([])
        expect(yield* consumers.keep(leaseOf("one", next), 9)).toStrictEqual({ replays: false })
      }).pipe(Effect.scoped)
    )

    it.live("counts events up to a limit, and tells how far a checkpoint is behind", () =>
      Effect.gen(function* () {
        const { append, consumers, read } = yield* make
        const surroundings = { timestamp: 1, correlationId: () => "c", stream: undefined }
        const event = (type: string) => {
          const event = decodeEvent({ type }, surroundings)
          if ("problem" in event) throw new Error(String(event))
          return event
        }
        yield* append(["a", "b", "a", "a"].map(event))
        const { events, head } = yield* read(query({}))
        expect(yield* consumers.count(query({}))).toBe(4)
        expect(yield* consumers.count(query({ type: "a" }))).toBe(3)
        expect(yield* consumers.count(query({ type: "a", limit: 2 }))).toBe(2)
        expect(yield* consumers.count(query({ type: ["a", "b"], limit: 9 }))).toBe(4)
        expect(yield* consumers.count(query({ correlationId: "c", type: "b" }))).toBe(1)
        expect(yield* consumers.count(query({ after: 0, type: "a" }))).toBe(3)
        expect(yield* consumers.count(query({ after: 1 }))).toBe(0)
        expect(yield* consumers.count(query({ data: { n: 5 } }))).toBe(0)
        expect(yield* consumers.count(query({ afterPosition: head }))).toBe(0)
        expect(yield* consumers.count(query({ type: "a", afterPosition: events[0]?.position ?? 0 }))).toBe(2)
        const lease = leaseOf("one", yield* consumers.claim(claimOf("one")))
        expect(yield* stateOf(consumers)).toMatchObject({ position: 0, behind: head })
        yield* consumers.keep(lease, head - 1)
        expect(yield* stateOf(consumers)).toMatchObject({ behind: 1 })
      }).pipe(Effect.scoped)
    )

    it.live("wakes those that wait for a release or a replay, or leaves it to them to look", () =>
      Effect.gen(function* () {
        const { consumers } = yield* make
        const changed = yield* consumers.changes("a")
        const lease = leaseOf("one", yield* consumers.claim(claimOf("one")))
        yield* consumers.bury(lease, letterAt(3))
        const waiting = yield* Effect.fork(changed)
        yield* Effect.yieldNow()
        expect(yield* Effect.exit(Fiber.interrupt(waiting))).toMatchObject({ _tag: "Success" })
        yield* consumers.replay("a", "all")
        yield* consumers.release("a", "one", 3)
        yield* Effect.timeoutOption(changed, "2 seconds")
      }).pipe(Effect.scoped)
    )
  })
}
