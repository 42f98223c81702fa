import type { Family, Format, HistogramState, Kind, Label, Series, State, SummaryState } from "./Family.js"
import { exposedOf, labelsText } from "./Names.js"
import { canonicalNumber, helpText, numberText } from "./Text.js"

/** A piece of the text, and how much work it was, where writing one number is 1. Some work makes no text. */
export interface Step {
  readonly text: string
  readonly cost: number
}

/** A step of work that makes no text. */
export const unwritten: Step = { text: "", cost: 1 }

/** A metric that is left out, because with it the text would not be valid. */
export interface Conflict {
  /** What it would be called. */
  readonly name: string
  readonly kind: Kind
  /**
   * - `kind`: another metric of the name is of another kind
   * - `name`: the name of one of its samples is taken by another metric
   * - `series`: another metric of the name has the same labels, and the two cannot be added up
   */
  readonly reason: "kind" | "name" | "series"
}

/** How many of the conflicts are told apart; the rest is told as one. */
const maxConflicts = 100

/** The metric that tells of conflicts. */
const conflictsName = "telemetry_metric_conflicts"

/** The families of one kind that have one name. */
interface Group {
  readonly name: string
  readonly unit: string
  readonly per: number
  readonly kind: Kind
  readonly help: string
  readonly all: Array<Iterable<Series>>
}

/**
 * The text of the families, piece by piece: a pure function of them, that does a bounded amount of work for each step.
 *
 * Families of one name and one kind are one. Their series with the same labels are added up where they are counters, or
 * histograms with the same buckets; in other cases the first stays. The family that comes first has the name; one of another
 * kind is left out. What is left out is counted in `telemetry_metric_conflicts`, and told to `onConflict`.
 */
export function* steps(
  families: Iterable<Family>,
  format: Format,
  onConflict: (conflict: Conflict) => void = () => {}
): Generator<Step, void> {
  const conflicts = new Conflicts(onConflict)
  const groups = new Map<string, Group>()
  /** The names of groups and of their samples, so that no two have one. */
  const taken = new Set<string>()
  for (const family of families) {
    groupOf(family, groups, taken, conflicts)
    yield unwritten
  }
  for (const group of groups.values()) {
    yield* stepsOf(group, format, conflicts)
  }
  const own = conflicts.family()
  if (own !== undefined && !taken.has(conflictsName)) {
    const exposed = { name: conflictsName, unit: "", per: 1 }
    const group: Group = { ...exposed, kind: "gauge", help: own.help ?? "", all: [own.series] }
    yield* stepsOf(group, format, conflicts)
  }
  if (format === "openmetrics") yield { text: "# EOF\n", cost: 1 }
}

/**
 * The families as Prometheus reads them: a pure function of plain data. What the text is checked against: "Exposition
 * formats" of Prometheus (text, 0.0.4) and OpenMetrics 1.0.0.
 */
export const render = (families: Iterable<Family>, format: Format = "text"): string => {
  let text = ""
  for (const step of steps(families, format)) text += step.text
  return text
}

const groupOf = (family: Family, groups: Map<string, Group>, taken: Set<string>, conflicts: Conflicts): void => {
  const { kind } = family
  const { name, per, unit } = exposedOf(family)
  const before = groups.get(name)
  if (before !== undefined) {
    if (before.kind === kind && before.unit === unit) before.all.push(scaled(family, per))
    else conflicts.add({ name, kind, reason: "kind" })
    return
  }
  const samples = [name, ...suffixes[kind].map((suffix) => name + suffix)]
  if (samples.some((sample) => taken.has(sample))) {
    conflicts.add({ name, kind, reason: "name" })
    return
  }
  const group: Group = { name, unit, per, kind, help: family.help || family.name || name, all: [scaled(family, per)] }
  groups.set(name, group)
  for (const sample of samples) taken.add(sample)
}

/** What the names of samples end with, `_created` among them, which is never written but is OpenMetrics' own. */
const suffixes: Readonly<Record<Kind, ReadonlyArray<string>>> = {
  counter: ["_total", "_created"],
  gauge: [],
  histogram: ["_bucket", "_count", "_sum", "_created"],
  summary: ["_count", "_sum", "_created"]
}

function* stepsOf(group: Group, format: Format, conflicts: Conflicts): Generator<Step, void> {
  const { kind, name } = group
  const byLabels = new Map<string, Series>()
  /** Further series with the same labels, which are added to the first. */
  const others = new Map<string, Array<Series>>()
  for (const all of group.all) {
    for (const series of all) {
      const labels = labelsText(series.labels, kind)
      if (!byLabels.has(labels)) byLabels.set(labels, series)
      else if (!addable(kind)) conflicts.add({ name, kind, reason: "series" })
      else if (!others.get(labels)?.push(series)) others.set(labels, [series])
      yield unwritten
    }
  }
  if (byLabels.size === 0) return
  yield { text: headOf(group, format), cost: 1 }
  for (const [labels, series] of byLabels) {
    let { state } = series
    for (const other of others.get(labels) ?? []) {
      const sum = added(state, other.state)
      if (sum === undefined) conflicts.add({ name, kind, reason: "series" })
      else state = sum
      yield { text: "", cost: (other.cost ?? 1) + linesOf(state) }
    }
    yield { text: textOf(name, kind, labels, state, format), cost: (series.cost ?? 1) + linesOf(state) }
  }
}

const headOf = ({ help, kind, name, unit }: Group, format: Format): string => {
  // The older text knows no families: a counter's name there is that of its sample.
  const called = kind === "counter" && format === "text" ? `${name}_total` : name
  const unitLine = format === "openmetrics" && unit !== "" ? `# UNIT ${called} ${unit}\n` : ""
  return `# HELP ${called} ${helpText(help, format)}\n# TYPE ${called} ${kind}\n${unitLine}`
}

const textOf = (name: string, kind: Kind, labels: string, state: State, format: Format): string => {
  const own = labels === "" ? "" : `{${labels}}`
  if ("value" in state) return `${name}${kind === "counter" ? "_total" : ""}${own} ${numberText(state.value)}\n`
  const prefix = labels === "" ? "{" : `{${labels},`
  if ("buckets" in state) return histogramText(name, prefix, own, state, format)
  return summaryText(name, prefix, own, state, format)
}

const histogramText = (
  name: string,
  prefix: string,
  own: string,
  { buckets, count, sum }: HistogramState,
  format: Format
): string => {
  let text = ""
  let last = ""
  let pending = ""
  let isNegative = false
  let highest = Number.NEGATIVE_INFINITY
  for (const [bound, cumulative] of buckets) {
    isNegative ||= bound < 0
    // With NaN among the bounds, which is none, Effect leaves the others in any order: those that do not rise are left out.
    if (!(bound >= highest) || bound === Number.POSITIVE_INFINITY) continue
    highest = bound
    const le = canonicalNumber(bound, format)
    // Bounds that are the same text are one bucket: that of the last, which holds the others.
    if (le !== last) text += pending
    last = le
    pending = `${name}_bucket${prefix}le="${le}"} ${cumulative}\n`
  }
  text += `${pending}${name}_bucket${prefix}le="+Inf"} ${count}\n`
  // With negative buckets a sum may fall, and OpenMetrics has it only where it rises ("Histogram").
  if (format === "openmetrics" && (isNegative || !rises(sum))) return text
  return `${text}${name}_sum${own} ${numberText(sum)}\n${name}_count${own} ${count}\n`
}

const summaryText = (
  name: string,
  prefix: string,
  own: string,
  { count, quantiles, sum }: SummaryState,
  format: Format
): string => {
  let text = ""
  let last = ""
  for (const [quantile, value = Number.NaN] of quantiles) {
    const label = canonicalNumber(quantile, format)
    // OpenMetrics has no negative quantile values ("Summary").
    if (!(quantile >= 0 && quantile <= 1) || label === last || (format === "openmetrics" && value < 0)) continue
    last = label
    text += `${name}${prefix}quantile="${label}"} ${numberText(value)}\n`
  }
  if (format === "text" || rises(sum)) text += `${name}_sum${own} ${numberText(sum)}\n`
  return `${text}${name}_count${own} ${count}\n`
}

/** Whether it can be the value of what only rises from 0. */
const rises = (sum: number): boolean => sum >= 0

const addable = (kind: Kind): boolean => kind === "counter" || kind === "histogram"

/** Both together; nothing where they do not fit. */
const added = (one: State, other: State): State | undefined => {
  if ("value" in one && "value" in other) return { value: sumOf(one.value, other.value) }
  if (!("buckets" in one) || !("buckets" in other) || one.buckets.length !== other.buckets.length) return undefined
  const buckets: Array<readonly [number, number]> = []
  for (const [index, [bound, cumulative]] of one.buckets.entries()) {
    const same = other.buckets[index]
    if (same === undefined || same[0] !== bound) return undefined
    buckets.push([bound, cumulative + same[1]])
  }
  return { buckets, count: one.count + other.count, sum: one.sum + other.sum }
}

const sumOf = (one: number | bigint, other: number | bigint): number | bigint =>
  typeof one === "bigint" && typeof other === "bigint" ? one + other : Number(one) + Number(other)

const linesOf = (state: State): number =>
  "value" in state ? 1 : 3 + ("buckets" in state ? state.buckets : state.quantiles).length

/** The series of the family with values in the base unit: divided when they are read. */
const scaled = (family: Family, per: number): Iterable<Series> => {
  const { series }: { readonly series: Iterable<Series> } = family
  return per === 1 ? series : { [Symbol.iterator]: () => scaledSeries(series, per) }
}

function* scaledSeries(all: Iterable<Series>, per: number): Generator<Series, void> {
  for (const series of all) yield new Scaled(series, per)
}

class Scaled implements Series {
  constructor(
    private readonly series: Series,
    private readonly per: number
  ) {}

  get labels(): ReadonlyArray<Label> {
    return this.series.labels
  }

  get cost(): number {
    return this.series.cost ?? 1
  }

  get state(): State {
    return scaledState(this.series.state, this.per)
  }
}

const scaledState = (state: State, per: number): State => {
  if ("value" in state) return { value: Number(state.value) / per }
  if ("buckets" in state) {
    return {
      ...state,
      sum: state.sum / per,
      buckets: state.buckets.map(([bound, count]) => [bound / per, count] as const)
    }
  }
  return {
    ...state,
    sum: state.sum / per,
    quantiles: state.quantiles.map(([quantile, value]) => [quantile, value && value / per] as const)
  }
}

/** The conflicts of one text, counted. */
class Conflicts {
  private readonly counts = new Map<string, { readonly conflict: Conflict; count: number }>()
  private others = 0

  constructor(private readonly tell: (conflict: Conflict) => void) {}

  add(conflict: Conflict): void {
    const key = `${conflict.reason} ${conflict.kind} ${conflict.name}`
    const known = this.counts.get(key)
    if (known !== undefined) {
      known.count++
    } else if (this.counts.size < maxConflicts) {
      this.counts.set(key, { conflict, count: 1 })
      this.tell(conflict)
    } else {
      this.others++
    }
  }

  family(): Extract<Family, { readonly kind: "counter" | "gauge" }> | undefined {
    if (this.counts.size === 0) return undefined
    return {
      name: conflictsName,
      kind: "gauge",
      help: "Metrics and series that are left out here, because another has the name: rename one of the two",
      series: [
        ...Array.from(this.counts.values(), ({ conflict, count }) => ({
          labels: [
            ["metric", conflict.name],
            ["kind", conflict.kind],
            ["reason", conflict.reason]
          ] as const,
          state: { value: count }
        })),
        ...(this.others === 0 ? [] : [{ labels: [], state: { value: this.others } }])
      ]
    }
  }
}
