import type * as MetricState from "effect/MetricState"
import * as State from "effect/MetricState"
import * as Option from "effect/Option"
import {
  costOf,
  descriptionOf,
  type Instrument,
  type InstrumentKind,
  instruments,
  kindOf,
  tagsOf
} from "../Registry.js"
import type { Family, Format, Label, Series, SummaryState, State as Value } from "./Family.js"
import { isUnit } from "./Names.js"
import { type Conflict, type Step, steps, unwritten } from "./Render.js"

/** A family whose series are read when they are written. */
interface Unread {
  readonly name: string
  readonly unit: string | undefined
  help: string | undefined
  readonly kind: InstrumentKind
  readonly series: Array<readonly [labels: ReadonlyArray<Label>, instrument: Instrument]>
}

/** The text of all that Effect's registry holds now, piece by piece. */
export function* scrape(format: Format, onConflict: (conflict: Conflict) => void): Generator<Step, void> {
  const families = new Map<string, Unread>()
  for (const instrument of instruments()) {
    add(families, instrument)
    yield unwritten
  }
  yield* steps(readOf(families.values()), format, onConflict)
}

const add = (families: Map<string, Unread>, instrument: Instrument): void => {
  const { key } = instrument
  const kind = kindOf(key)
  const found = tagsOf(key)
  const isOwn = found.unit !== undefined && isUnit(found.unit)
  const unit = isOwn ? found.unit : undefined
  const labels = isOwn ? found.tags : key.tags.map((tag): Label => [tag.key, tag.value])
  const id = `${kind} ${unit ?? ""} ${key.name}`
  let family = families.get(id)
  if (family === undefined) {
    family = { name: key.name, unit, help: undefined, kind, series: [] }
    families.set(id, family)
  }
  family.help ??= descriptionOf(key)
  family.series.push([labels, instrument])
}

function* readOf(families: Iterable<Unread>): Generator<Family, void> {
  for (const { help, kind, name, series, unit } of families) {
    const about = { name, unit, help }
    switch (kind) {
      case "counter":
      case "gauge":
        yield { ...about, kind, series: read(series, numberOf) }
        break
      case "histogram":
        yield { ...about, kind, series: read(series, histogramOf) }
        break
      case "summary":
        yield { ...about, kind, series: read(series, summaryOf) }
        break
      case "frequency":
        yield { ...about, kind: "counter", series: { [Symbol.iterator]: () => words(series) } }
    }
  }
}

type Untyped = MetricState.MetricState.Untyped

const read = <S extends Value>(all: Unread["series"], stateOf: (state: Untyped) => S): Iterable<Series<S>> => ({
  *[Symbol.iterator]() {
    for (const [labels, { key, read }] of all) {
      yield {
        labels,
        cost: costOf(key),
        get state() {
          return stateOf(read())
        }
      }
    }
  }
})

/** Each word of a frequency is a series: the label is that of Effect's exporter to OpenTelemetry. */
function* words(all: Unread["series"]): Generator<Series<{ readonly value: number }>, void> {
  for (const [labels, { read }] of all) {
    const state = read()
    if (!State.isFrequencyState(state)) continue
    for (const [word, value] of state.occurrences) {
      yield {
        labels: [...labels.filter(([name]) => name !== "key"), ...exported(labels), ["key", word]],
        state: { value }
      }
    }
  }
}

const exported = (labels: ReadonlyArray<Label>): ReadonlyArray<Label> =>
  labels.flatMap(([name, value]) => (name === "key" ? [["exported_key", value] as const] : []))

const numberOf = (state: Untyped): { readonly value: number | bigint } => {
  if (State.isCounterState(state)) return { value: state.count }
  return { value: State.isGaugeState(state) ? state.value : Number.NaN }
}

const nothing = { buckets: [], count: 0, sum: 0 }

const histogramOf = (state: Untyped): MetricState.MetricState.Histogram | typeof nothing =>
  State.isHistogramState(state) ? state : nothing

const summaryOf = (state: Untyped): SummaryState =>
  State.isSummaryState(state)
    ? {
        count: state.count,
        sum: state.sum,
        quantiles: state.quantiles.map(([quantile, value]) => [quantile, Option.getOrUndefined(value)] as const)
      }
    : { quantiles: [], count: 0, sum: 0 }
