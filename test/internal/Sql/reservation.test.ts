import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Reservation } from "effect-foundation/internal/Sql/Reservation"

const client = SqliteClient.layer({ filename: ":memory:" })

/** A transaction that has the connection until it is told to end. */
const holding = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const begun = yield* Deferred.make<void>()
  const end = yield* Deferred.make<void>()
  const fiber = yield* Effect.fork(
    sql.withTransaction(Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(end)))
  )
  yield* Deferred.await(begun)
  return { end: Effect.zipRight(Deferred.succeed(end, undefined), Fiber.join(fiber)) }
})

describe("the reservation of a connection", () => {
  it.scopedLive("is made in the same step where the connection is free, and given back whatever comes of its use", () =>
    Effect.gen(function* () {
      const reservation = yield* Reservation.make(yield* SqlClient.SqlClient)
      for (const use of [Effect.succeed(1), Effect.fail("no"), Effect.die("bug"), Effect.interrupt]) {
        const fiber = Effect.runFork(
          reservation.whileHeld(() => use, 1000),
          { immediate: true }
        )
        expect(fiber.unsafePoll()).not.toBe(null)
      }
      expect(yield* reservation.whileHeld(() => Effect.succeed("free"), 1000)).toBe("free")
    }).pipe(Effect.provide(client))
  )

  it.scopedLive("is waited for in the order of those who come", () =>
    Effect.gen(function* () {
      const reservation = yield* Reservation.make(yield* SqlClient.SqlClient)
      const { end } = yield* holding
      const order: Array<number> = []
      const waiting = yield* Effect.forEach([1, 2, 3], (turn) =>
        Effect.fork(reservation.whileHeld(() => Effect.sync(() => order.push(turn)), 5000))
      )
      yield* Effect.yieldNow()
      expect(order).toStrictEqual([])
      yield* end
      yield* Fiber.joinAll(waiting)
      expect(order).toStrictEqual([1, 2, 3])
    }).pipe(Effect.provide(client))
  )

  it.scopedLive("is given up at the deadline or by an interruption, and then holds up nobody", () =>
    Effect.gen(function* () {
      const reservation = yield* Reservation.make(yield* SqlClient.SqlClient)
      const { end } = yield* holding
      const used: Array<string> = []
      const use = (name: string) => () => Effect.sync(() => used.push(name))
      const late = yield* Effect.flip(reservation.whileHeld(use("late"), 20))
      expect(late).toMatchObject({ kind: "timeout" })
      const interrupted = yield* Effect.fork(reservation.whileHeld(use("interrupted"), 5000))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(interrupted)
      yield* end
      yield* reservation.whileHeld(use("next"), 1000)
      expect(used).toStrictEqual(["next"])
    }).pipe(Effect.provide(client))
  )
})
