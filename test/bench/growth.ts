import { Console, Effect } from "effect"
import * as Config from "./growth/config.js"
import * as Events from "./growth/events.js"
import type { Call, Growing } from "./growth/Growing.js"
import * as Named from "./growth/named.js"
import { BenchError, measure } from "./measure.js"
import type { Contender, Row } from "./Row.js"
import { figure, table, withSpread } from "./table.js"

const sizes: ReadonlyArray<number> = [10, 10_000, 1_000_000]

/** A prime: the entries are asked for in no order that a cache could know. */
const stride = 7_919_993

/** In use once all that is garbage is gone. */
const heapUsed = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/** Fewer entries than these take less than what else comes and goes. */
const weighable = 1000

const number = (value: number) => value.toLocaleString("en-US")

const contender = (call: Call, size: number): Contender => {
  let entry = 0
  return {
    name: number(size),
    effect: () => {
      entry = (entry + stride) % 1_000_000_000
      return call.run(entry)
    },
    gives: call.gives
  }
}

/** A line for each call: its time at each size, how it has grown from the least to the greatest, and the weight of entries. */
const grown = (growing: Growing) =>
  Effect.gen(function* () {
    const made: Array<{ readonly size: number; readonly bytes: number; readonly calls: ReadonlyArray<Call> }> = []
    for (const size of growing.sizes ?? sizes) {
      const before = heapUsed()
      const calls = yield* growing.make(size)
      made.push({ size, calls, bytes: (growing.files?.get(size) ?? heapUsed() - before) / size })
    }
    const bytes = sizes.slice(1).map((size) => {
      const weighed = made.find((one) => one.size === size && size >= weighable)
      return weighed === undefined ? "–" : figure(weighed.bytes)
    })
    const lines: Array<ReadonlyArray<string>> = []
    for (const [at, { name, order }] of (made[0]?.calls ?? []).entries()) {
      const contenders = made.flatMap(({ calls, size }) => {
        const call = calls[at]
        return call === undefined ? [] : [{ reset: call.reset, contender: contender(call, size) }]
      })
      const [least, ...others] = contenders
      if (least === undefined) continue
      const row: Row = {
        work: `${growing.holds}: ${name}`,
        about: "",
        rounds: 5,
        ours: least.contender,
        peers: others.map((other) => other.contender),
        reset: Effect.forEach(contenders, ({ reset }) => reset ?? Effect.void, { discard: true })
      }
      const { ours, peers } = yield* measure(row)
      const times = [ours, ...peers.flatMap(({ inEffect }) => inEffect?.time ?? [])]
      const growth = 1 / (peers.at(-1)?.inEffect?.ratio.median ?? Number.NaN)
      yield* Console.error(`${row.work}: ${times.map(withSpread).join(", ")} µs, × ${figure(growth)}`)
      lines.push([
        row.work,
        order,
        ...sizes.map((_, index) => (times[index] === undefined ? "–" : withSpread(times[index]))),
        `× ${figure(growth)}`,
        ...bytes,
        growing.bound ?? ""
      ])
    }
    return lines
  }).pipe(
    Effect.scoped,
    Effect.mapError((cause) =>
      cause instanceof BenchError ? cause : new BenchError({ message: `${growing.holds}: ${cause}`, cause })
    )
  )

/** How the cost of each hot call grows with what is stored: µs for a call, and bytes for an entry. */
export const growth = (part: string): Effect.Effect<string, BenchError> =>
  Effect.map(
    Effect.forEach(
      [...Config.growing, ...Events.growing, ...Named.growing].filter(({ holds }) =>
        holds.toLowerCase().includes(part.toLowerCase())
      ),
      grown
    ),
    (lines) =>
      table(
        ["call", "order", ...sizes.map(number), "grows", "bytes, 10,000", "bytes, 1,000,000", "bound"],
        lines.flat(),
        (column) => column > 1 && column < 8
      )
  )
