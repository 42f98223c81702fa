import * as MetricState from "effect/MetricState"
import { costOf, descriptionOf, type Instrument, instruments, kindOf, tagsOf } from "../Registry.js"
import { double, type Encoding, type KeyValue } from "./Corrections.js"

/** A piece of work, of so much cost; or a request that is ready to be encoded. */
export type Step = { readonly cost: number } | { readonly cost: number; readonly metrics: ReadonlyArray<object> }

export interface Times {
  /** When counting began, and now, in nanoseconds since 1970. */
  readonly start: string
  readonly now: string
}

/** How much is in one request, where a number is 4 and a histogram 4 and its buckets: encoding it takes some ms. */
const maxWeight = 1000

/** Cumulative totals: what is lost on the way is in the next. */
const cumulative = 2

/** All that Effect's registry holds now, as OTLP has it, in requests of bounded size; read piece by piece. */
export function* requests(times: Times, encoding: Encoding): Generator<Step, void> {
  let request = new Request(times, encoding)
  for (const instrument of instruments()) {
    request.add(instrument)
    yield { cost: 2 * costOf(instrument.key) }
    if (request.weight < maxWeight) continue
    yield { cost: request.weight, metrics: request.metrics }
    request = new Request(times, encoding)
  }
  if (request.weight > 0) yield { cost: request.weight, metrics: request.metrics }
}

interface Points {
  readonly dataPoints: Array<object>
}

class Request {
  weight = 0
  private readonly byKey = new Map<string, Points>()
  readonly metrics: Array<object> = []

  constructor(
    private readonly times: Times,
    private readonly encoding: Encoding
  ) {}

  add({ key, read }: Instrument): void {
    const { tags, unit = "" } = tagsOf(key)
    const about = { name: key.name, description: descriptionOf(key) ?? "", unit: symbols[unit] ?? unit }
    const attributes = attributesOf(tags)
    const state = read()
    if (MetricState.isCounterState(state)) {
      this.sum(about, kindOf(key) === "counter", this.number(attributes, state.count))
    } else if (MetricState.isGaugeState(state)) {
      this.gauge(about, this.number(attributes, state.value))
    } else if (MetricState.isFrequencyState(state)) {
      for (const [word, count] of state.occurrences) {
        this.sum(about, true, this.number(attributesOf([...tags, ["key", word]]), count))
      }
    } else if (MetricState.isHistogramState(state)) {
      this.histogram(about, attributes, state)
    } else if (MetricState.isSummaryState(state)) {
      // OTLP's own summaries are for what comes from elsewhere: these are the names of Effect's exporter.
      for (const [quantile, value] of state.quantiles) {
        if (value._tag === "None") continue
        const point = this.number(attributesOf([...tags, ["quantile", String(quantile)]]), value.value)
        this.gauge({ ...about, name: `${key.name}_quantiles` }, point)
      }
      this.sum({ ...about, name: `${key.name}_count`, unit: "" }, true, this.number(attributes, state.count))
      this.sum({ ...about, name: `${key.name}_sum` }, false, this.number(attributes, state.sum))
    }
  }

  private number(attributes: ReadonlyArray<KeyValue>, value: number | bigint): object {
    return {
      attributes,
      startTimeUnixNano: this.times.start,
      timeUnixNano: this.times.now,
      ...(typeof value === "bigint" && BigInt.asIntN(64, value) === value
        ? { asInt: String(value) }
        : { asDouble: double(Number(value), this.encoding).doubleValue })
    }
  }

  private gauge(about: About, point: object): void {
    this.weight += 4
    this.points(about, "gauge", {}).dataPoints.push(point)
  }

  private sum(about: About, isMonotonic: boolean, point: object): void {
    this.weight += 4
    this.points(about, "sum", { aggregationTemporality: cumulative, isMonotonic }).dataPoints.push(point)
  }

  private histogram(
    about: About,
    attributes: ReadonlyArray<KeyValue>,
    { buckets, count, max, min, sum }: MetricState.MetricState.Histogram
  ): void {
    const finite = buckets.filter(([bound]) => Number.isFinite(bound))
    let below = 0
    const counts = finite.map(([, cumulated]) => {
      const here = cumulated - below
      below = cumulated
      return String(here)
    })
    this.weight += 4 + buckets.length
    const doubleOf = (value: number) => double(value, this.encoding).doubleValue
    this.points(about, "histogram", { aggregationTemporality: cumulative }).dataPoints.push({
      attributes,
      startTimeUnixNano: this.times.start,
      timeUnixNano: this.times.now,
      count: String(count),
      sum: doubleOf(sum),
      // Before the first measurement they are the bounds of what a number can be.
      ...(count === 0 ? {} : { min: doubleOf(min), max: doubleOf(max) }),
      bucketCounts: [...counts, String(Math.max(0, count - below))],
      explicitBounds: finite.map(([bound]) => bound)
    })
  }

  /** The points of the metric in this request. Metrics of one name and different kinds are several to OpenTelemetry too. */
  private points(about: About, kind: "gauge" | "sum" | "histogram", more: object): Points {
    const key = JSON.stringify([kind, about, more])
    const known = this.byKey.get(key)
    if (known !== undefined) return known
    const points: Points = { dataPoints: [] }
    this.byKey.set(key, points)
    this.metrics.push({ ...about, [kind]: Object.assign(points, more) })
    return points
  }
}

interface About {
  readonly name: string
  readonly description: string
  readonly unit: string
}

/** Units in words, as `Metric.timer` has them, in UCUM. */
const symbols: Readonly<Record<string, string>> = {
  nanoseconds: "ns",
  microseconds: "us",
  milliseconds: "ms",
  seconds: "s",
  bytes: "By"
}

/** Of a key that is there twice, the last: keys of OpenTelemetry's attributes are unique. */
const attributesOf = (tags: ReadonlyArray<readonly [string, string]>): ReadonlyArray<KeyValue> =>
  Array.from(new Map(tags), ([key, value]) => ({ key, value: { stringValue: value } }))
