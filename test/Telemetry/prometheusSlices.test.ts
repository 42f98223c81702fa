import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { turn } from "../../src/internal/turn.js"
import { type Step, steps } from "../../src/Telemetry/Prometheus/Render.js"
import { nextSlice, sliceCost, sliceText, sliceTime, streamOf } from "../../src/Telemetry/Prometheus/Slices.js"

/** Steps of so much work, each of which the clock takes so long for. */
const machine = (count: number, cost: number, took: number, text = "x") => {
  let now = 1000
  let done = 0
  let looks = 0
  function* run(): Generator<Step, void> {
    for (; done < count; done++) {
      now += took
      yield { text, cost }
    }
  }
  return {
    steps: run(),
    clock: () => {
      looks++
      return now
    },
    done: () => done,
    looks: () => looks
  }
}

const slicesOf = (steps: Iterator<Step, void>, clock?: () => number) => {
  const lengths: Array<number> = []
  for (let text = nextSlice(steps, clock); text !== undefined; text = nextSlice(steps, clock)) lengths.push(text.length)
  return lengths
}

describe("a slice of a scrape", () => {
  it("ends when there is enough work in it, however fast the clock says it was", () => {
    const { clock, steps } = machine(500, 1, 0)
    expect(slicesOf(steps, clock)).toEqual([sliceCost, sliceCost, 500 - 2 * sliceCost])
  })

  it("ends when there is enough text in it", () => {
    const { clock, steps } = machine(3, 1, 0, "x".repeat(sliceText / 2))
    expect(slicesOf(steps, clock)).toEqual([sliceText, sliceText / 2])
  })

  it("ends when it has taken long enough, at most ten units of work later", () => {
    const { clock, steps } = machine(100, 1, sliceTime / 15)
    expect(slicesOf(steps, clock)).toEqual([20, 20, 20, 20, 20])
  })

  it("has one step at the least, however long that takes", () => {
    const { clock, steps } = machine(3, 50, 100)
    expect(slicesOf(steps, clock)).toEqual([1, 1, 1])
  })

  it("looks at the clock only now and then", () => {
    const { clock, looks, steps } = machine(sliceCost, 1, 0)
    expect(slicesOf(steps, clock)).toEqual([sliceCost])
    expect(looks()).toBeLessThan(sliceCost / 8)
  })

  it("is told apart from the end of the text where it has none", () => {
    const { clock, steps } = machine(20, sliceCost / 2, 0, "")
    expect(slicesOf(steps, clock)).toEqual(Array.from({ length: 10 }, () => 0))
  })

  it("that adds up many series with the same labels is of bounded work too", () => {
    const series = Array.from({ length: 1000 }, () => ({ labels: [], state: { value: 1 }, cost: 5 }))
    const all = Array.from(steps([{ name: "same", kind: "counter", series }], "text"))
    expect(all.map(({ text }) => text).join("")).toContain("\nsame_total 1000\n")
    expect(Math.max(...all.map(({ cost }) => cost))).toBe(6)
  })
})

describe("a turn of the event loop", () => {
  /** How many of the effects were at it in each turn, while all of them run. */
  const perTurn = (work: (at: () => void) => ReadonlyArray<Effect.Effect<unknown>>) =>
    Effect.suspend(() => {
      const counts: Array<number> = []
      let now = 0
      let next = setImmediate(function ended() {
        counts.push(now)
        now = 0
        next = setImmediate(ended)
      })
      return Effect.all(
        work(() => now++),
        { concurrency: "unbounded" }
      ).pipe(
        Effect.map(() => counts),
        Effect.ensuring(Effect.sync(() => clearImmediate(next)))
      )
    })

  it.live("has a slice of one of several scrapes", () =>
    Effect.gen(function* () {
      const counts = yield* perTurn((at) =>
        Array.from({ length: 4 }, () => {
          const { steps } = machine(20, sliceCost, 0)
          return Stream.runForEach(
            streamOf(() => steps),
            () => Effect.sync(at)
          )
        })
      )
      expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(79)
      expect(Math.max(...counts)).toBe(1)
    })
  )

  it.live("goes to whoever waits for longest", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const thrice = (name: string) =>
        Effect.repeatN(
          Effect.zipRight(
            turn,
            Effect.sync(() => order.push(name))
          ),
          2
        )
      yield* Effect.all([thrice("a"), thrice("b"), thrice("c")], { concurrency: "unbounded" })
      expect(order).toEqual(["a", "b", "c", "a", "b", "c", "a", "b", "c"])
    })
  )

  it.live("is not for whoever was interrupted, and the others are not kept waiting", () =>
    Effect.gen(function* () {
      const gone: Array<string> = []
      const counts = yield* perTurn((at) => {
        const waits = (name: string) =>
          Effect.zipRight(
            turn,
            Effect.sync(() => void gone.push(name))
          )
        const cut = Effect.gen(function* () {
          for (let n = 0; n < 5; n++) {
            const fiber = yield* Effect.fork(waits("cut"))
            yield* Effect.yieldNow()
            yield* Fiber.interrupt(fiber)
          }
        })
        const stays = Effect.repeatN(Effect.zipLeft(waits("stays"), Effect.sync(at)), 9)
        return [cut, stays, stays]
      })
      expect(gone).toEqual(Array.from({ length: 20 }, () => "stays"))
      expect(Math.max(...counts)).toBe(1)
    })
  )
})
