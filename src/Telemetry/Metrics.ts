import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { globalValue } from "effect/GlobalValue"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import * as Scope from "effect/Scope"
import { ConfigError } from "../FoundationError.js"
import type { Telemetry } from "../Telemetry.js"
import { readsNoId } from "./Attached.js"
import { type Definition, one, problemOf } from "./Definition.js"
import type { TelemetryEvent } from "./Handlers.js"
import { type Label, Series, tagsOf } from "./Series.js"

/** One series in Effect's registry. */
interface Instrument {
  readonly update: (value: number) => void
}

/** Makes the series of the definition in Effect's registry. */
const instrumentsOf = (definition: Definition): ((tags: ReadonlyArray<Label>) => Instrument) => {
  const { aggregation, description, name, unit } = definition
  const registry = Metric.globalMetricRegistry
  const labels = (tags: ReadonlyArray<Label>) =>
    (unit === undefined ? tags : [...tags, ["unit", unit] as const]).map(([key, value]) => MetricLabel.make(key, value))
  switch (aggregation.kind) {
    case "counter":
    case "sum": {
      const key = MetricKey.counter(name, { description, incremental: true })
      return (tags) => registry.get(MetricKey.taggedWithLabels(key, labels(tags)))
    }
    case "last_value": {
      const key = MetricKey.gauge(name, { description })
      return (tags) => registry.get(MetricKey.taggedWithLabels(key, labels(tags)))
    }
    case "distribution": {
      const key = MetricKey.histogram(name, MetricBoundaries.fromIterable(aggregation.buckets), description)
      return (tags) => registry.get(MetricKey.taggedWithLabels(key, labels(tags)))
    }
    case "summary": {
      // The error is how far the rank of an answer may be off: none.
      const key = MetricKey.summary({ ...aggregation, name, description, error: 0 })
      return (tags) => {
        const hook = registry.get(MetricKey.taggedWithLabels(key, labels(tags)))
        // The wall clock, not `Clock`: it is what Effect's registry compares the age of a measurement with.
        return { update: (value) => hook.update([value, Date.now()]) }
      }
    }
  }
}

/**
 * The series of each metric, for the whole process, as Effect's registry is, which never forgets one either. So the
 * bound holds however often a definition is attached.
 */
const seriesByMetric = globalValue("effect-foundation/Telemetry/series", () => new Map<string, Series<Instrument>>())

const seriesOf = (definition: Definition): Series<Instrument> => {
  const { aggregation, description, name, unit } = definition
  const key = JSON.stringify([name, aggregation, description, unit])
  let series = seriesByMetric.get(key)
  if (series === undefined) {
    series = new Series(instrumentsOf(definition))
    seriesByMetric.set(key, series)
  }
  return series
}

/** The handler of the definition. */
const record = (telemetry: Telemetry.Service, definition: Definition): ((event: TelemetryEvent) => void) => {
  const { aggregation, keep, maxSeries, measurement, name, tags } = definition
  const series = seriesOf(definition)
  const { labelsOf, valuesOf } = tagsOf(definition.tags)
  const names = typeof tags === "function" ? undefined : tags
  const rises = aggregation.kind === "sum"
  let overflowed = false
  const handler = (event: TelemetryEvent) => {
    if (keep !== undefined && !keep(event)) return
    const value = typeof measurement === "string" ? event.measurements[measurement] : measurement(event)
    if (value === undefined) return
    // Thrown, so that it is counted and reported as the failure of this handler.
    if (!Number.isFinite(value)) throw new RangeError(`${name} takes finite numbers, not ${String(value)}`)
    if (rises && value < 0) throw new RangeError(`${name} is a sum that only rises, and takes no ${value}`)
    const known = names === undefined ? undefined : series.find(names, event.metadata)
    if (known !== undefined) {
      known.update(value)
      return
    }
    const values = valuesOf(event)
    const instrument = series.get(values) ?? series.add(values, labelsOf(values), maxSeries)
    ;(instrument ?? series.overflow).update(value)
    if (instrument !== undefined || overflowed) return
    overflowed = true
    telemetry.emit("telemetry.metric.overflow", { count: 1 }, { metric: name, bound: maxSeries })
  }
  const givesTheEvent = [keep, measurement, tags].some((part) => typeof part === "function" && part !== one)
  if (!givesTheEvent) readsNoId.add(handler)
  return handler
}

/** What is attached to which service, so that a definition that is given twice counts once. */
const attachedTo = new WeakMap<
  Telemetry.Service,
  Map<Definition, { uses: number; readonly scope: Scope.CloseableScope }>
>()

/** Attaches the definition for as long as the scope is open. */
export const attach = (
  telemetry: Telemetry.Service,
  definition: Definition
): Effect.Effect<void, never, Scope.Scope> => {
  const problem = problemOf(definition)
  if (problem !== undefined) {
    return Effect.die(
      new ConfigError({
        reason: "invalid_value",
        path: `telemetry.metrics.${definition.name}.${problem.path}`,
        message: `The metric "${definition.name}" cannot be used: ${problem.message}`
      })
    )
  }
  const attached = attachedTo.get(telemetry) ?? new Map()
  attachedTo.set(telemetry, attached)
  return Effect.acquireRelease(
    Effect.gen(function* () {
      const before = attached.get(definition)
      if (before !== undefined) return void before.uses++
      const scope = yield* Scope.make()
      attached.set(definition, { uses: 1, scope })
      yield* telemetry
        .attach(`metric:${definition.name}`, definition.event, record(telemetry, definition))
        .pipe(Scope.extend(scope))
    }),
    () =>
      Effect.suspend(() => {
        const use = attached.get(definition)
        if (use === undefined || --use.uses > 0) return Effect.void
        attached.delete(definition)
        return Scope.close(use.scope, Exit.void)
      })
  )
}

/** The names of one call that are used for two metrics, which an exporter could not tell apart. */
export const clashOf = (definitions: ReadonlyArray<Definition>): Definition | undefined => {
  const byName = new Map<string, Definition>()
  for (const definition of definitions) {
    const other = byName.get(definition.name)
    if (other !== undefined && other !== definition) return definition
    byName.set(definition.name, definition)
  }
  return undefined
}
