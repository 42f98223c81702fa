import * as Metric from "effect/Metric"
import type * as MetricHook from "effect/MetricHook"
import type * as MetricKey from "effect/MetricKey"
import * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricLabel from "effect/MetricLabel"
import type * as MetricPair from "effect/MetricPair"
import type * as MetricRegistry from "effect/MetricRegistry"
import type * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"

/** One series of Effect's registry, of which nothing has been read yet. */
export interface Instrument {
  readonly key: MetricKey.MetricKey.Untyped
  readonly read: () => MetricState.MetricState.Untyped
}

/**
 * The series of Effect's registry, in the order in which they were made. Those that are made meanwhile may be among them.
 *
 * What the registry offers reads every series in one step, and to read one summary takes half a millisecond: so this looks at the
 * registry's own table. Should a version of Effect keep it elsewhere, the series are read in one step after all.
 */
export const instruments = (
  registry: Pick<MetricRegistry.MetricRegistry, "snapshot"> = Metric.globalMetricRegistry
): Iterable<Instrument> => {
  const table: unknown = Reflect.get(registry, "map")
  return isTable(table) ? unread(table) : allRead(registry.snapshot())
}

type Table = Iterable<readonly [MetricKey.MetricKey.Untyped, MetricHook.MetricHook.Root]>

const isTable = (table: unknown): table is Table =>
  typeof table === "object" && table !== null && Symbol.iterator in table

function* unread(table: Table): Generator<Instrument, void> {
  // Not a function around it: a hook's functions stand alone, and a scrape keeps one object for each series.
  for (const [key, { get }] of table) yield { key, read: get }
}

function* allRead(snapshot: Iterable<MetricPair.MetricPair.Untyped>): Generator<Instrument, void> {
  for (const { metricKey, metricState } of snapshot) yield { key: metricKey, read: () => metricState }
}

export type InstrumentKind = "counter" | "gauge" | "frequency" | "histogram" | "summary"

/** What the series is. A counter of Effect's that is not incremental may fall: it is a gauge. */
export const kindOf = ({ keyType }: MetricKey.MetricKey.Untyped): InstrumentKind => {
  if (MetricKeyType.isCounterKey(keyType)) return Reflect.get(keyType, "incremental") === true ? "counter" : "gauge"
  if (MetricKeyType.isHistogramKey(keyType)) return "histogram"
  if (MetricKeyType.isSummaryKey(keyType)) return "summary"
  return MetricKeyType.isFrequencyKey(keyType) ? "frequency" : "gauge"
}

const isUnitTag = ({ key }: MetricLabel.MetricLabel): boolean => key === "unit" || key === "time_unit"

/** The unit: where Effect's exporters look for it, and `Telemetry` and `Metric.timer` leave it. */
export const unitOf = ({ tags }: MetricKey.MetricKey.Untyped): string | undefined => tags.find(isUnitTag)?.value

/** The tags, with the unit apart. */
export const tagsOf = (
  key: MetricKey.MetricKey.Untyped
): { readonly unit: string | undefined; readonly tags: ReadonlyArray<readonly [string, string]> } => {
  let unit: string | undefined
  const tags: Array<readonly [string, string]> = []
  for (const tag of key.tags) {
    if (unit === undefined && isUnitTag(tag)) unit = tag.value
    else tags.push([tag.key, tag.value])
  }
  return { unit, tags }
}

/** What Effect counts of its fibers without a word about it. */
const ofEffect: Readonly<Record<string, string>> = {
  effect_fiber_started: "Fibers that were started",
  effect_fiber_active: "Fibers that are running",
  effect_fiber_successes: "Fibers that succeeded",
  effect_fiber_failures: "Fibers that failed",
  effect_fiber_lifetimes: "How long fibers lived"
}

export const descriptionOf = (key: MetricKey.MetricKey.Untyped): string | undefined =>
  Option.getOrElse(key.description, () => ofEffect[key.name])

/** How much work it is to read the state, where a number is 1: Effect looks for quantiles in quadratic time. */
export const costOf = (key: MetricKey.MetricKey.Untyped): number => {
  const { keyType } = key
  if (!MetricKeyType.isSummaryKey(keyType)) return 1
  return 1 + keyType.maxSize ** 2 / 200
}
