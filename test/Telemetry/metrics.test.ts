import { describe, expect, it, vi } from "@effect/vitest"
import { Cause, Effect, Exit, Metric, MetricState, Option, Scope } from "effect"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { ConfigError } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"
import { catalogue } from "../../src/Telemetry/Catalogue.js"

const withTelemetry = <A, E>(effect: Effect.Effect<A, E, Telemetry | Scope.Scope>): Effect.Effect<A, E> =>
  effect.pipe(Effect.scoped, Effect.provide(Telemetry.layer))

/** The registry is of the process: each test has metrics of its own. */
let made = 0
const fresh = (of: string) => `test_${of}_${made++}`

interface Read {
  readonly tags: Readonly<Record<string, string>>
  readonly state: MetricState.MetricState.Untyped
}

/** What an exporter would read of the metric. */
const read = (name: string): ReadonlyArray<Read> =>
  Metric.unsafeSnapshot()
    .filter((pair) => pair.metricKey.name === name)
    .map((pair) => ({
      tags: Object.fromEntries(pair.metricKey.tags.map((tag) => [tag.key, tag.value])),
      state: pair.metricState
    }))

const count = (state: MetricState.MetricState.Untyped): number => {
  if (MetricState.isCounterState(state)) return Number(state.count)
  throw new Error("not a counter")
}

const attachment = (name: string) =>
  Effect.map(Telemetry.attached, (all) => all.find((one) => one.id === `metric:${name}`))

describe("a metric", () => {
  it.effect("is read as Effect's own metrics are, by name and tags", () =>
    Effect.gen(function* () {
      const name = fresh("read")
      yield* Telemetry.metrics([
        Telemetry.counter("r.stop", { name: `${name}_counter`, tags: ["route", "method"], description: "Requests" }),
        Telemetry.sum("r.stop", { name: `${name}_sum`, measurement: "bytes" }),
        Telemetry.lastValue("r.stop", { name: `${name}_last`, measurement: "duration" }),
        Telemetry.distribution("r.stop", { name: `${name}_dist`, measurement: "duration", buckets: [10, 100] }),
        Telemetry.summary("r.stop", { name: `${name}_summary`, measurement: "duration", unit: "ms" })
      ])
      for (const duration of [5, 50, 500]) {
        yield* Telemetry.execute("r.stop", { duration, bytes: 100 }, { route: "/a", method: "GET" })
      }
      const counter = Metric.counter(`${name}_counter`, { description: "Requests" }).pipe(
        Metric.tagged("route", "/a"),
        Metric.tagged("method", "GET")
      )
      expect(yield* Metric.value(counter)).toEqual(MetricState.counter(3))
      expect(yield* Metric.value(Metric.counter(`${name}_sum`))).toEqual(MetricState.counter(300))
      expect(yield* Metric.value(Metric.gauge(`${name}_last`))).toEqual(MetricState.gauge(500))
      expect(read(`${name}_dist`)).toMatchObject([{ tags: {}, state: { count: 3, sum: 555, min: 5, max: 500 } }])
      const [distribution] = read(`${name}_dist`)
      expect(distribution?.state).toHaveProperty("buckets", [
        [10, 1],
        [100, 2],
        [Number.POSITIVE_INFINITY, 3]
      ])
      const [summary] = read(`${name}_summary`)
      expect(summary).toMatchObject({ tags: { unit: "ms" }, state: { count: 3, sum: 555, min: 5, max: 500 } })
    }).pipe(withTelemetry)
  )

  it.effect("has a name made of its event and measurement", () =>
    Effect.sync(() => {
      expect(Telemetry.counter("http.request.stop").name).toBe("http_request_stop_count")
      expect(Telemetry.distribution("http.request-x.stop", { measurement: "duration" }).name).toBe(
        "http_request_x_stop_duration"
      )
      expect(Telemetry.sum("a", { measurement: () => 1 }).name).toBe("a_value")
    })
  )

  it.effect("agrees with a naive aggregate of the same events, and its overflow series with the rest of them", () =>
    Effect.promise(() => {
      const tag = fc.constantFrom("a", "b", "c", "", undefined, 1)
      const events = fc.array(
        fc.record({ x: tag, y: tag, value: fc.integer({ min: 0, max: 1000 }), keep: fc.boolean() }),
        { maxLength: 80 }
      )
      return fc.assert(
        fc.asyncProperty(events, fc.integer({ min: 1, max: 12 }), async (all, maxSeries) => {
          const name = fresh("model")
          const options = {
            measurement: "value",
            tags: ["x", "y"],
            maxSeries,
            keep: (event: Telemetry.Event) => event.metadata.keep === true
          }
          const buckets = [10, 100, 500]
          await Effect.gen(function* () {
            yield* Telemetry.metrics([
              Telemetry.counter("m", { ...options, name: `${name}_counter` }),
              Telemetry.sum("m", { ...options, name: `${name}_sum` }),
              Telemetry.lastValue("m", { ...options, name: `${name}_last` }),
              Telemetry.distribution("m", { ...options, name: `${name}_dist`, buckets }),
              Telemetry.summary("m", { ...options, name: `${name}_summary` })
            ])
            for (const { value, ...metadata } of all) yield* Telemetry.execute("m", { value }, metadata)
          }).pipe(withTelemetry, Effect.runPromise)

          const expected = new Map<string, Array<number>>()
          for (const { keep, value, x, y } of all) {
            if (!keep) continue
            const own = JSON.stringify({ x: String(x ?? ""), y: String(y ?? "") })
            const series =
              expected.has(own) || expected.size - (expected.has(overflow) ? 1 : 0) < maxSeries ? own : overflow
            expected.set(series, [...(expected.get(series) ?? []), value])
          }
          const bySeries = (of: string) => new Map(read(of).map(({ state, tags }) => [JSON.stringify(tags), state]))
          const total = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0)
          const kinds: ReadonlyArray<[string, (values: ReadonlyArray<number>) => object]> = [
            ["counter", (values) => ({ count: values.length })],
            ["sum", (values) => ({ count: total(values) })],
            ["last", (values) => ({ value: values.at(-1) })],
            [
              "dist",
              (values) => ({
                count: values.length,
                sum: total(values),
                buckets: [...buckets, Number.POSITIVE_INFINITY].map((most) => [
                  most,
                  values.filter((value) => value <= most).length
                ])
              })
            ],
            [
              "summary",
              (values) => ({
                count: values.length,
                sum: total(values),
                min: Math.min(...values),
                max: Math.max(...values)
              })
            ]
          ]
          for (const [kind, aggregate] of kinds) {
            const found = bySeries(`${name}_${kind}`)
            expect([...found.keys()].sort()).toEqual([...expected.keys()].sort())
            for (const [series, values] of expected) expect(found.get(series)).toMatchObject(aggregate(values))
          }
        }),
        { numRuns: 60 }
      )
    })
  )
  const overflow = JSON.stringify({ "otel.metric.overflow": "true" })

  it.effect("with 10,000 distinct tag values has 1000 series and one for the rest, and says so once", () =>
    Effect.gen(function* () {
      const name = fresh("bounded")
      const events: Array<Telemetry.Event> = []
      yield* Telemetry.attach("collect", "telemetry.*", (event) => {
        events.push(event)
      })
      yield* Telemetry.metrics([Telemetry.counter("m", { name, tags: ["id"] })])
      for (let round = 0; round < 2; round++) {
        for (let n = 0; n < 10_000; n++) yield* Telemetry.execute("m", {}, { id: n })
      }
      const series = read(name)
      expect(series).toHaveLength(1001)
      const [rest, others] = [
        series.filter(({ tags }) => "otel.metric.overflow" in tags),
        series.filter(({ tags }) => !("otel.metric.overflow" in tags))
      ]
      expect(rest.map(({ state, tags }) => [tags, count(state)])).toEqual([
        [{ "otel.metric.overflow": "true" }, 18_000]
      ])
      expect(new Set(others.map(({ state }) => count(state)))).toEqual(new Set([2]))
      expect(events).toMatchObject([
        { name: "telemetry.metric.overflow", measurements: { count: 1 }, metadata: { metric: name, bound: 1000 } }
      ])
    }).pipe(withTelemetry)
  )

  it.effect("has no more series however often it is attached and detached, and keeps what it counted", () =>
    Effect.gen(function* () {
      const name = fresh("again")
      for (let round = 0; round < 20; round++) {
        // A definition of its own each time, as a program that makes them where it attaches them has.
        const definition = Telemetry.counter("m", { name, tags: ["id"], maxSeries: 10 })
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Telemetry.metrics([definition])
            for (let n = 0; n < 10; n++) yield* Telemetry.execute("m", {}, { id: `${round}.${n}` })
          })
        )
        yield* Telemetry.execute("m", {}, { id: "not counted" })
      }
      const series = read(name)
      expect(series).toHaveLength(11)
      expect(series.reduce((sum, { state }) => sum + count(state), 0)).toBe(200)
    }).pipe(withTelemetry)
  )

  it.effect("that is given twice counts once, until the last that gave it is gone", () =>
    Effect.gen(function* () {
      const definition = Telemetry.counter("m", { name: fresh("twice") })
      const [one, other] = [yield* Scope.make(), yield* Scope.make()]
      yield* Telemetry.metrics([definition]).pipe(Scope.extend(one))
      yield* Telemetry.metrics([definition, definition]).pipe(Scope.extend(other))
      yield* Telemetry.execute("m")
      yield* Scope.close(one, Exit.void)
      yield* Telemetry.execute("m")
      yield* Scope.close(other, Exit.void)
      yield* Telemetry.execute("m")
      expect(read(definition.name).map(({ state }) => count(state))).toEqual([2])
      expect(yield* Telemetry.attached).toEqual([])
    }).pipe(withTelemetry)
  )

  it.effect("does not count an event without its measurement, and a counter counts it", () =>
    Effect.gen(function* () {
      const name = fresh("missing")
      yield* Telemetry.metrics([
        Telemetry.sum("m", { name: `${name}_sum`, measurement: "bytes" }),
        Telemetry.sum("m", { name: `${name}_function`, measurement: (event) => event.measurements.bytes }),
        Telemetry.counter("m", { name: `${name}_counter` })
      ])
      yield* Telemetry.execute("m")
      yield* Telemetry.execute("m", { bytes: 5 })
      expect(read(`${name}_sum`).map(({ state }) => count(state))).toEqual([5])
      expect(read(`${name}_function`).map(({ state }) => count(state))).toEqual([5])
      expect(read(`${name}_counter`).map(({ state }) => count(state))).toEqual([2])
      expect(yield* attachment(`${name}_sum`)).toMatchObject({ failures: 0 })
    }).pipe(withTelemetry)
  )

  it.effect("does not take what is not a finite number, and a sum nothing negative; both are failures", () =>
    Effect.gen(function* () {
      const name = fresh("bad")
      const reasons: Array<unknown> = []
      yield* Telemetry.attach("collect", "telemetry.handler.failure", (event) => {
        reasons.push(event.metadata.reason)
      })
      yield* Telemetry.metrics([
        Telemetry.sum("m", { name: `${name}_sum`, measurement: "v" }),
        Telemetry.lastValue("m", { name: `${name}_last`, measurement: "v" }),
        Telemetry.distribution("m", { name: `${name}_dist`, measurement: "v" })
      ])
      yield* Telemetry.execute("m", { v: 1 })
      for (const v of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, "2", 2n, null]) {
        yield* Telemetry.execute("m", { v: v as number })
      }
      expect(yield* attachment(`${name}_sum`)).toMatchObject({ delivered: 7, failures: 6 })
      expect(reasons).toContain(`RangeError: ${name}_sum takes finite numbers, not NaN`)
      yield* Telemetry.execute("m", { v: -1 })
      expect(yield* attachment(`${name}_sum`)).toMatchObject({ delivered: 8, failures: 7 })
      expect(read(`${name}_sum`).map(({ state }) => count(state))).toEqual([1])
      expect(read(`${name}_last`)).toMatchObject([{ state: { value: -1 } }])
      expect(read(`${name}_dist`)).toMatchObject([{ state: { count: 2, sum: 0 } }])
    }).pipe(withTelemetry)
  )

  it.effect("whose functions throw disturbs nobody, and is counted as a failure", () =>
    Effect.gen(function* () {
      const name = fresh("throws")
      const boom = () => {
        throw new Error("boom")
      }
      yield* Telemetry.metrics([
        Telemetry.counter("m", { name: `${name}_keep`, keep: boom }),
        Telemetry.counter("m", { name: `${name}_tags`, tags: boom }),
        Telemetry.sum("m", { name: `${name}_measurement`, measurement: boom }),
        Telemetry.counter("m", { name: `${name}_fine` })
      ])
      yield* Telemetry.execute("m")
      for (const of of ["keep", "tags", "measurement"]) {
        expect(yield* attachment(`${name}_${of}`)).toMatchObject({ failures: 1 })
        expect(read(`${name}_${of}`)).toEqual([])
      }
      expect(read(`${name}_fine`).map(({ state }) => count(state))).toEqual([1])
    }).pipe(withTelemetry)
  )

  it.effect("makes no correlation id for what it counts by name", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const name = fresh("no_id")
      yield* Telemetry.metrics([
        Telemetry.counter("m", { name: `${name}_counter`, tags: ["a"] }),
        Telemetry.sum("m", { name: `${name}_sum`, measurement: "v" })
      ])
      const making = vi.spyOn(crypto, "randomUUID")
      yield* Telemetry.execute("m", { v: 1 }, { a: "x" })
      telemetry.unsafeExecute("m", { v: 1 }, { a: "x" })
      yield* Effect.promise(() => Promise.resolve().then(() => telemetry.unsafeExecute("m", { v: 1 }, { a: "x" })))
      expect(making).not.toHaveBeenCalled()
      yield* CorrelationId.current
      expect(making).toHaveBeenCalledTimes(1)
      expect(read(`${name}_counter`).map(({ state }) => count(state))).toEqual([3])
      expect(read(`${name}_sum`).map(({ state }) => count(state))).toEqual([3])
    }).pipe(Effect.ensuring(Effect.sync(() => vi.restoreAllMocks())), withTelemetry)
  )

  it.effect("leaves the event its one correlation id, for its own functions, later handlers and failures", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const ids: Array<string> = []
      const note = (event: Telemetry.Event) => ids.push(event.correlationId)
      const handler = (event: Telemetry.Event) => void note(event)
      yield* Telemetry.attach("failures", "telemetry.handler.failure", handler)
      yield* Telemetry.metrics([
        Telemetry.sum("m", { name: fresh("one_id"), measurement: "v" }),
        Telemetry.lastValue("m", { name: fresh("one_id"), measurement: "v" }),
        Telemetry.counter("m", { name: fresh("one_id"), keep: (event) => note(event) > 0 }),
        Telemetry.counter("m", { name: fresh("one_id"), tags: (event) => ({ noted: note(event) > 0 }) }),
        Telemetry.sum("m", { name: fresh("one_id"), measurement: note })
      ])
      yield* Telemetry.attach("later", "m", handler)
      yield* Telemetry.execute("m", { v: Number.NaN }).pipe(CorrelationId.with("req-1"))
      expect(ids.splice(0)).toEqual(Array.from({ length: 6 }, () => "req-1"))
      yield* Telemetry.execute("m", { v: Number.NaN })
      const made = yield* CorrelationId.current
      expect(ids.splice(0)).toEqual(Array.from({ length: 6 }, () => made))
      yield* Effect.promise(() => Promise.resolve().then(() => telemetry.unsafeExecute("m", { v: Number.NaN }, {})))
      expect(ids).toHaveLength(6)
      expect(new Set(ids).size).toBe(1)
      expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/)
    }).pipe(withTelemetry)
  )

  it.effect("takes its tags from a function too, whichever order it names them in", () =>
    Effect.gen(function* () {
      const name = fresh("function")
      const tags = (event: Telemetry.Event) =>
        event.metadata.flip === true ? { b: 2, a: 1 } : { a: 1, b: 2, class: undefined }
      yield* Telemetry.metrics([Telemetry.counter("m", { name, tags })])
      yield* Telemetry.execute("m", {}, { flip: true })
      yield* Telemetry.execute("m", {}, { flip: true })
      yield* Telemetry.execute("m", {}, { flip: false })
      expect(read(name).map(({ state, tags }) => [tags, count(state)])).toEqual(
        expect.arrayContaining([
          [{ a: "1", b: "2" }, 2],
          [{ a: "1", b: "2", class: "" }, 1]
        ])
      )
    }).pipe(withTelemetry)
  )

  it.effect("answers quantiles that lie among its measurements, in order", () =>
    Effect.gen(function* () {
      const name = fresh("quantiles")
      yield* Telemetry.metrics([Telemetry.summary("m", { name, measurement: "v", maxSize: 128 })])
      for (let v = 1; v <= 100; v++) yield* Telemetry.execute("m", { v })
      const [series] = read(name)
      const state = series?.state
      if (state === undefined || !MetricState.isSummaryState(state)) throw new Error("not a summary")
      const quantiles = state.quantiles.map(([quantile, value]) => [quantile, Option.getOrNull(value)])
      expect(quantiles.map(([quantile]) => quantile)).toEqual([0.5, 0.9, 0.99])
      for (const [quantile, value] of quantiles) {
        expect(Math.abs((value ?? Number.NaN) - (quantile ?? 0) * 100)).toBeLessThanOrEqual(2)
      }
    }).pipe(withTelemetry)
  )
})

describe("a definition that cannot be used", () => {
  const cases: ReadonlyArray<[string, string, ReadonlyArray<Telemetry.Metric>]> = [
    ["no event", "event", [Telemetry.counter("", { name: "x" })]],
    ["a prefix for an event", "event", [Telemetry.counter("a.*", { name: "x" })]],
    ["an empty name", "name", [Telemetry.counter("a", { name: "" })]],
    ["no series", "maxSeries", [Telemetry.counter("a", { name: "x", maxSeries: 0 })]],
    ["NaN series", "maxSeries", [Telemetry.counter("a", { name: "x", maxSeries: Number.NaN })]],
    ["a tag twice", "tags", [Telemetry.counter("a", { name: "x", tags: ["t", "t"] })]],
    ["a unit and a tag unit", "tags", [Telemetry.counter("a", { name: "x", tags: ["unit"], unit: "ms" })]],
    ["no buckets", "buckets", [Telemetry.distribution("a", { name: "x", measurement: "v", buckets: [] })]],
    ["falling buckets", "buckets", [Telemetry.distribution("a", { name: "x", measurement: "v", buckets: [2, 1] })]],
    [
      "an infinite bucket",
      "buckets",
      [Telemetry.distribution("a", { name: "x", measurement: "v", buckets: [1, Number.POSITIVE_INFINITY] })]
    ],
    ["a quantile above 1", "quantiles", [Telemetry.summary("a", { name: "x", measurement: "v", quantiles: [50] })]],
    ["a summary of one", "maxSize", [Telemetry.summary("a", { name: "x", measurement: "v", maxSize: 1 })]],
    ["a negative age", "maxAge", [Telemetry.summary("a", { name: "x", measurement: "v", maxAge: -1 })]],
    ["a name twice", "name", [Telemetry.counter("a", { name: "x" }), Telemetry.counter("b", { name: "x" })]]
  ]
  for (const [what, path, definitions] of cases) {
    it.effect(`for ${what} is refused as a defect that says so`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(Telemetry.metrics(definitions))
        const defect = Exit.isFailure(exit) ? Option.getOrNull(Cause.dieOption(exit.cause)) : null
        expect(defect).toBeInstanceOf(ConfigError)
        expect(defect).toMatchObject({
          reason: "invalid_value",
          path: `telemetry.metrics.${definitions[0]?.name}.${path}`
        })
        expect(yield* Telemetry.attached).toEqual([])
      }).pipe(withTelemetry)
    )
  }
})

describe("the metrics of the library's own events", () => {
  it.effect("are of events, measurements and metadata of the catalogue, and can be attached", () =>
    Effect.gen(function* () {
      for (const { event, measurement, tags } of Telemetry.foundationMetrics) {
        const entry = Object.entries(catalogue).find(([name]) => name === event)?.[1]
        expect(entry, event).toBeDefined()
        if (typeof measurement === "string") expect(entry?.measurements).toContain(measurement)
        if (typeof tags !== "function") expect(entry?.metadata).toEqual(expect.arrayContaining([...tags]))
      }
      yield* Telemetry.metrics(Telemetry.foundationMetrics)
      const telemetry = yield* Telemetry
      const rejected = Metric.counter("circuit_breaker_rejected_count", {
        description: "Calls that a circuit rejected"
      }).pipe(Metric.tagged("name", "a circuit of this test"), Metric.tagged("state", "open"))
      telemetry.emit(
        "circuit_breaker.rejected",
        { count: 1, retryAfter: 5 },
        { name: "a circuit of this test", state: "open" }
      )
      expect(yield* Metric.value(rejected)).toEqual(MetricState.counter(1))
    }).pipe(withTelemetry)
  )

  it.effect("are attached for as long as their layer lives", () =>
    Effect.gen(function* () {
      const attached = Effect.map(Telemetry.attached, (all) => all.length)
      const layer = Telemetry.layerMetrics(Telemetry.foundationMetrics)
      const inside = yield* Effect.provide(attached, layer)
      expect(inside).toBe(Telemetry.foundationMetrics.length)
      expect(yield* attached).toBe(0)
    }).pipe(Effect.provide(Telemetry.layer))
  )
})
