import { inspect } from "node:util"
import { Array, Data, Effect, Runtime } from "effect"
import { Bench } from "tinybench"
import type { Contender, Row, Work } from "./Row.js"
import { ratioOf, type Series, seriesOf } from "./Series.js"

/** A run that went wrong, or did not do the work. */
export class BenchError extends Data.TaggedError("BenchError")<{
  readonly message: string
  readonly cause?: unknown
}> {}

/** What a row came to: times in microseconds for one run, ratios of our time to theirs. */
export interface Result {
  readonly row: Row
  readonly ours: Series
  readonly peers: ReadonlyArray<{
    readonly contender: Contender
    readonly inEffect?: Beside
    readonly bare?: Beside
  }>
}

export interface Beside {
  readonly time: Series
  readonly ratio: Series
}

/** A contender called in one way. */
interface Way {
  readonly contender: Contender
  readonly called: "in Effect" | "bare"
  /** So many runs, which give what the last of them gave. */
  readonly sample: (runs: number) => unknown
  /** Tells itself how long it took. */
  readonly tells?: () => Promise<number>
  /** Microseconds for one run, for each turn. */
  readonly times: Array<number>
}

/** How long a contender's turn is, in milliseconds. */
const turn = 80

/**
 * Before the first turn, a contender runs until the engine has compiled it: for so many runs, within so many milliseconds.
 * What waits for a server makes few runs in a turn: a store on PostgreSQL took half as much again in the first thousand.
 */
const warmUp = { runs: 10_000, atLeast: 160, atMost: 3_000 }

/** The rounds of a row end when they have taken so many milliseconds, but not before the third. */
const patience = 20_000

const inTurn = (work: Work, runs: number) =>
  Effect.gen(function* () {
    let last: unknown
    if (Effect.isEffect(work)) for (let run = 0; run < runs; run++) last = yield* work
    else for (let run = 0; run < runs; run++) last = yield* work()
    return last
  })

const atATime = (work: Work, runs: number, fibers: number) =>
  Effect.map(
    Effect.forEach(Array.range(1, runs), Effect.isEffect(work) ? () => work : () => work(), { concurrency: fibers }),
    (all) => all.at(-1)
  )

/** Without Effect: `fibers` loops take the next run as soon as they have ended one. */
const awaited = async (first: Promise<unknown>, bare: () => unknown, runs: number, fibers: number) => {
  let left = runs - 1
  let last: unknown
  const loop = async (own?: Promise<unknown>) => {
    if (own !== undefined) last = await own
    while (left-- > 0) last = await bare()
  }
  await Promise.all(Array.makeBy(Math.min(fibers, runs), (at) => loop(at === 0 ? first : undefined)))
  return last
}

/** What the last run gave, where anyone could read it: so no engine can leave a run out. */
let kept: unknown

const bareSample = (bare: () => unknown, runs: number, fibers: number): unknown => {
  kept = bare()
  if (kept instanceof Promise) return awaited(kept, bare, runs, fibers)
  for (let run = 1; run < runs; run++) kept = bare()
  return kept
}

const waysOf = (row: Row, contender: Contender): ReadonlyArray<Way> => {
  const { bare, effect, sample, takes } = contender
  const { fibers = 1, runtime = Runtime.defaultRuntime } = row
  const ways: Array<Way> = []
  if (effect !== undefined) {
    const program = (runs: number) => (fibers === 1 ? inTurn(effect, runs) : atATime(effect, runs, fibers))
    const run = Runtime.runPromise(runtime)
    ways.push({ contender, called: "in Effect", times: [], sample: (runs) => run(program(runs)) })
  }
  if (sample !== undefined) {
    ways.push({ contender, called: "in Effect", times: [], sample: (runs) => sample(runs, Math.min(fibers, runs)) })
  }
  if (bare !== undefined) {
    ways.push({ contender, called: "bare", times: [], sample: (runs) => bareSample(bare, runs, fibers) })
  }
  if (takes !== undefined) {
    ways.push({ contender, called: "bare", times: [], sample: () => takes(), tells: takes })
  }
  return ways
}

const attempt = <A>(row: Row, { called, contender }: Way, what: string, work: () => A | Promise<A>) =>
  Effect.tryPromise({
    try: async () => work(),
    catch: (cause) =>
      new BenchError({ message: `${row.work}: ${contender.name}, ${called}, failed ${what}: ${cause}`, cause })
  })

const verified = Effect.fn(function* (row: Row, way: Way) {
  const gave = yield* attempt(row, way, "when it was tried", () => way.sample(1))
  const done = yield* attempt(row, way, "when it was checked", () => way.contender.gives(gave))
  if (done) return
  const message = `${row.work}: ${way.contender.name}, ${way.called}, did not do the work: it gave ${inspect(gave)}`
  return yield* new BenchError({ message })
})

const perSampleOf = ({ perSample = 200 }: Row): number => perSample

const warmedUp = async (row: Row, { sample, tells }: Way): Promise<void> => {
  if (tells !== undefined) return
  const perSample = perSampleOf(row)
  const began = performance.now()
  for (let runs = 0; ; runs += perSample) {
    const took = performance.now() - began
    if (took > warmUp.atMost || (took > warmUp.atLeast && runs >= warmUp.runs)) return
    await sample(perSample)
  }
}

/** The median of a turn, in microseconds for one run. */
const taken = async (row: Row, way: Way): Promise<number> => {
  if (way.tells !== undefined) return way.tells()
  const perSample = perSampleOf(row)
  const bench = new Bench({
    time: turn,
    iterations: 1,
    warmupTime: 5,
    warmupIterations: 1,
    throws: true
  })
  // Said to be asynchronous: tinybench would find out by a run that it does not wait for.
  bench.add(way.contender.name, async () => way.sample(perSample), { async: true })
  const [task] = await bench.run()
  if (task?.result.state !== "completed") throw new Error("it did not end")
  return (task.result.latency.p50 * 1000) / perSample
}

const reset = (row: Row) =>
  Effect.mapError(
    Effect.provide(row.reset ?? Effect.void, row.runtime ?? Runtime.defaultRuntime),
    (cause) =>
      new BenchError({ message: `${row.work}: what the runs have left could not be taken back: ${cause}`, cause })
  )

/** That each contender does the work, in each way that it is called. */
export const verify = (row: Row): Effect.Effect<void, BenchError> =>
  Effect.forEach(
    [row.ours, ...row.peers].flatMap((contender) => waysOf(row, contender)),
    (way) => Effect.zipRight(verified(row, way), reset(row)),
    { discard: true }
  )

/** All contenders in turn, in several rounds, each round beginning with another of them. */
export const measure = Effect.fn(function* (row: Row) {
  yield* verify(row)
  const ours = waysOf(row, row.ours)[0]
  if (ours === undefined) return yield* new BenchError({ message: `${row.work}: there is nothing of ours to measure` })
  const peers = row.peers.map((contender) => ({ contender, ways: waysOf(row, contender) }))
  const ways = [ours, ...peers.flatMap((peer) => peer.ways)]

  for (const way of ways) {
    yield* attempt(row, way, "while it warmed up", () => warmedUp(row, way))
    yield* reset(row)
  }

  const { rounds = 15 } = row
  globalThis.gc?.()
  const began = performance.now()
  for (let round = 0; round < rounds; round++) {
    if (round >= 3 && performance.now() - began > patience) break
    for (const way of Array.rotate(ways, -round)) {
      way.times.push(yield* attempt(row, way, "while it was measured", () => taken(row, way)))
      yield* reset(row)
    }
  }

  const beside = (called: Way["called"], ways: ReadonlyArray<Way>) => {
    const way = ways.find((way) => way.called === called)
    return way && { time: seriesOf(way.times), ratio: ratioOf(ours.times, way.times) }
  }
  const result: Result = {
    row,
    ours: seriesOf(ours.times),
    peers: peers.map(({ contender, ways }) => {
      const [inEffect, bare] = [beside("in Effect", ways), beside("bare", ways)]
      return { contender, ...(inEffect && { inEffect }), ...(bare && { bare }) }
    })
  }
  return result
})
