import { Duration, Effect, Config as EffectConfig, Layer, Metric, Runtime, Schema } from "effect"
import { CircuitBreaker, Config, Events, Foundation, RateLimiter, ServiceRegistry, Telemetry } from "effect-foundation"
import { CircuitOpen } from "effect-foundation/FoundationError"
import { Bench } from "tinybench"

/** Two pieces of work that a user would choose between. */
interface Row {
  readonly work: string
  readonly ours: Effect.Effect<unknown, unknown, Foundation>
  readonly beside: string
  readonly theirs: Effect.Effect<unknown, unknown, Foundation>
}

const port = Config.Key("server.port", Schema.Number)
const suspends = Effect.zipRight(Effect.yieldNow(), Effect.void)
const names = new Map([["auth", 1]])
const log: Array<unknown> = []
const counter = Metric.counter("bench_counter").pipe(Metric.tagged("route", "/orders"))
const endless = Duration.infinity
const plain = CircuitBreaker.execute({ name: "plain", timeout: endless })
const bounded = CircuitBreaker.execute({ name: "bounded", timeout: "5 seconds" })
const bound = Effect.timeout("5 seconds")
const nothing = Effect.void
let user = 0

const rows: ReadonlyArray<Row> = [
  {
    work: "Config.get, by string",
    ours: Config.get("server.port", 0),
    beside: "effect/Config through the same values",
    theirs: EffectConfig.nested(EffectConfig.number("port"), "server")
  },
  { work: "Config.get, by key", ours: Config.get(port), beside: "Effect.sync of Map.get", theirs: mapGet() },
  {
    work: "Config.set",
    ours: Effect.suspend(() => Config.set("limits.users", user++)),
    beside: "Effect.sync of Map.get",
    theirs: mapGet()
  },
  {
    work: "Telemetry.execute, nobody listens",
    ours: Telemetry.execute("quiet", { duration: 1 }, { route: "/orders" }),
    beside: "Effect.sync",
    theirs: Effect.sync(() => 1)
  },
  {
    work: "Telemetry.execute, one counter with a tag",
    ours: Telemetry.execute("counted", { duration: 1 }, { route: "/orders" }),
    beside: "Metric.increment, tagged in advance",
    theirs: Metric.increment(counter)
  },
  {
    work: "ServiceRegistry.lookup",
    ours: ServiceRegistry.lookup("auth"),
    beside: "Effect.sync of Map.get",
    theirs: mapGet()
  },
  { work: "circuit closed, no timeout", ours: plain(nothing), beside: "the effect alone", theirs: nothing },
  {
    work: "circuit closed, timeout, effect ends at once",
    ours: bounded(nothing),
    beside: "Effect.timeout",
    theirs: bound(nothing)
  },
  {
    work: "circuit closed, timeout, effect suspends",
    ours: bounded(suspends),
    beside: "Effect.timeout",
    theirs: bound(suspends)
  },
  {
    work: "circuit open, rejection",
    ours: Effect.ignore(CircuitBreaker.execute(nothing, { name: "open" })),
    beside: "new CircuitOpen",
    theirs: Effect.sync(() => new CircuitOpen({ ...rejection }))
  },
  {
    work: "limit, admission, 100 keys",
    ours: Effect.suspend(() =>
      RateLimiter.execute(nothing, { name: "api", key: `user-${user++ % 100}`, maxRequests: 1_000_000 })
    ),
    beside: "the effect alone",
    theirs: nothing
  },
  {
    work: "limit, rejection",
    ours: Effect.ignore(RateLimiter.execute(nothing, { name: "used-up", maxRequests: 1 })),
    beside: "new CircuitOpen",
    theirs: Effect.sync(() => new CircuitOpen({ ...rejection }))
  },
  {
    work: "Events.store",
    ours: Events.store({ type: "order_placed", data: { orderId: 123, lines: ["a", "b"] } }),
    beside: "Effect.sync of an array push",
    theirs: Effect.sync(() => log.push({ type: "order_placed", data: { orderId: 123, lines: ["a", "b"] } }))
  },
  {
    work: "Events.get of 1,000 by type",
    ours: Events.get({ type: "tick" }),
    beside: "Effect.sync of an array push",
    theirs: Effect.sync(() => log.push(1))
  }
]

const rejection = {
  circuit: "open",
  state: "open",
  retryAfter: Duration.seconds(1),
  message: "the circuit is open"
} as const

function mapGet() {
  return Effect.sync(() => names.get("auth"))
}

/** As many runs in one running fiber as take a few milliseconds: what a call costs inside of a program. */
const perSample = 200

const sample = <E, R>(work: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    for (let run = 0; run < perSample; run++) yield* work
  })

const microseconds = (value: number) => value.toFixed(value < 10 ? 2 : 1).padStart(9)

/** `npm run bench -- <part of a name>` runs the rows of that name. */
const program = Effect.gen(function* () {
  const runtime = yield* Effect.runtime<Foundation>()
  const run = <E>(work: Effect.Effect<unknown, E, Foundation>) => Runtime.runPromise(runtime)(sample(work))

  yield* ServiceRegistry.register("auth", new URL("http://auth"))
  yield* Telemetry.metrics([Telemetry.counter("counted", { tags: ["route"] })])
  yield* CircuitBreaker.forceOpen("open")
  yield* Effect.ignore(RateLimiter.consume({ name: "used-up", maxRequests: 1, interval: "1 hour" }))
  yield* Events.storeAll(Array.from({ length: 1000 }, (_, at) => ({ type: "tick", data: { at } })))

  console.log(`${"work".padEnd(46)}${"ours µs".padStart(9)}${"µs".padStart(9)}  ratio  beside`)
  const wanted = process.argv[2] ?? ""
  for (const { beside, ours, theirs, work } of rows.filter((row) => row.work.includes(wanted))) {
    const bench = new Bench({ time: 400, warmupTime: 200 })
    bench.add("ours", () => run(ours)).add("theirs", () => run(theirs))
    yield* Effect.promise(() => bench.run())
    yield* Events.prune({ type: "order_placed" })
    log.length = 0
    const [one = Number.NaN, other = Number.NaN] = bench.tasks.map((task) =>
      task.result.state === "completed" ? (task.result.latency.p50 * 1000) / perSample : Number.NaN
    )
    const ratio = (one / other).toFixed(2).padStart(7)
    console.log(`${work.padEnd(46)}${microseconds(one)}${microseconds(other)}${ratio}  ${beside}`)
  }
}).pipe(Effect.scoped)

const values = Config.layerFrom(Config.object({ server: { port: 8080 } }))
const services = Layer.provideMerge(Config.layerProvider, Foundation.layer({ config: values }))

Effect.runPromise(Effect.provide(program, services))
