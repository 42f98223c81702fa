import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { parseDuration } from "../internal/durationText.js"
import type { Catalogue } from "./Catalogue.js"
import type { TelemetryEvent } from "./Handlers.js"

/** The measurements that an event of this name may have: those of the catalogue, or any for an event of your own. */
export type MeasurementName<Name extends string> = Name extends keyof Catalogue
  ? Catalogue[Name]["measurements"][number]
  : string

/** The metadata that an event of this name may have: those of the catalogue, or any for an event of your own. */
export type MetadataName<Name extends string> = Name extends keyof Catalogue
  ? Catalogue[Name]["metadata"][number]
  : string

/** What every kind of metric is defined with. */
export interface Options<Name extends string> {
  /** The name of the metric; by default made of the event and the measurement, as in `http_request_stop_duration`. */
  readonly name?: string
  readonly description?: string
  /** In UCUM: `ms`, `By`, `{call}`. Becomes the tag `unit`, where Effect's exporters look for it. */
  readonly unit?: string
  /**
   * What tells the series of the metric apart: keys of the metadata, or a function of the event. Values become text of
   * at most 128 characters; one that is missing becomes the empty text.
   */
  readonly tags?: ReadonlyArray<MetadataName<Name>> | ((event: TelemetryEvent) => Readonly<Record<string, unknown>>)
  /** Which of the events count; by default all. */
  readonly keep?: (event: TelemetryEvent) => boolean
  /** How many series there may be, 1000 by default; what would make another goes to the overflow series. */
  readonly maxSeries?: number
}

export interface MeasuredOptions<Name extends string> extends Options<Name> {
  /** A measurement of the event, or a function of the event. An event without it does not count. */
  readonly measurement: MeasurementName<Name> | ((event: TelemetryEvent) => number | undefined)
}

export interface SummaryOptions<Name extends string> extends MeasuredOptions<Name> {
  /** Between 0 and 1; by default 0.5, 0.9, 0.99. */
  readonly quantiles?: ReadonlyArray<number>
  /** A minute by default. Measurements count for the quantiles while they are no older. */
  readonly maxAge?: Duration.DurationInput
  /**
   * How many measurements each series keeps for the quantiles, 256 by default. To read 256 takes half a millisecond, and
   * more take quadratically longer: 1024 some 4, and 4096 some 40, in which nothing else runs.
   */
  readonly maxSize?: number
}

export interface DistributionOptions<Name extends string> extends MeasuredOptions<Name> {
  /** The upper bounds of the buckets, rising; by default those of {@link defaultBuckets}. */
  readonly buckets?: ReadonlyArray<number>
}

/** How the values of a series are put together. */
export type Aggregation =
  | { readonly kind: "counter" | "sum" | "last_value" }
  | {
      readonly kind: "summary"
      readonly quantiles: ReadonlyArray<number>
      /** In milliseconds. */
      readonly maxAge: number
      readonly maxSize: number
    }
  | { readonly kind: "distribution"; readonly buckets: ReadonlyArray<number> }

/** A metric, defined: what it takes from which event. Plain data; {@link problemOf} tells whether it can be used. */
export interface Definition {
  readonly event: string
  readonly name: string
  readonly description: string | undefined
  readonly unit: string | undefined
  readonly aggregation: Aggregation
  /** The value of the event, or nothing where the event does not count. */
  readonly measurement: string | ((event: TelemetryEvent) => number | undefined)
  readonly tags: ReadonlyArray<string> | ((event: TelemetryEvent) => Readonly<Record<string, unknown>>)
  readonly keep: ((event: TelemetryEvent) => boolean) | undefined
  readonly maxSeries: number
}

/**
 * The buckets that OpenTelemetry recommends for milliseconds (Metrics SDK, "Explicit Bucket Histogram Aggregation"), less
 * the one at 0, in which no duration falls.
 */
export const defaultBuckets: ReadonlyArray<number> = [
  5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000
]

const bounds = { maxSeries: 100_000, maxSize: 65_536, buckets: 256, quantiles: 32, tags: 32 } as const

/** The measurement of a counter. */
export const one = () => 1

const define = <Name extends string>(
  event: string,
  options: Options<Name>,
  measurement: string | ((event: TelemetryEvent) => number | undefined),
  aggregation: Aggregation
): Definition => ({
  event,
  name: options.name ?? defaultName(event, measurement === one ? "count" : measurement),
  description: options.description,
  unit: options.unit,
  aggregation,
  measurement,
  tags: options.tags ?? [],
  keep: options.keep,
  maxSeries: options.maxSeries ?? 1000
})

/** Of letters, digits and `_`, which every exporter takes as they are. */
const defaultName = (event: string, measurement: string | ((event: TelemetryEvent) => unknown)): string =>
  `${event}_${typeof measurement === "string" ? measurement : "value"}`.replace(/[^A-Za-z0-9_]/g, "_")

export const counter = <const Name extends string>(event: Name, options: Options<Name> = {}): Definition =>
  define(event, options, one, { kind: "counter" })

export const sum = <const Name extends string>(event: Name, options: MeasuredOptions<Name>): Definition =>
  define(event, options, options.measurement, { kind: "sum" })

export const lastValue = <const Name extends string>(event: Name, options: MeasuredOptions<Name>): Definition =>
  define(event, options, options.measurement, { kind: "last_value" })

export const summary = <const Name extends string>(event: Name, options: SummaryOptions<Name>): Definition =>
  define(event, options, options.measurement, {
    kind: "summary",
    quantiles: options.quantiles ?? [0.5, 0.9, 0.99],
    maxAge: Option.match(parseDuration(options.maxAge ?? 60_000), {
      onNone: () => Number.NaN,
      onSome: Duration.toMillis
    }),
    maxSize: options.maxSize ?? 256
  })

export const distribution = <const Name extends string>(event: Name, options: DistributionOptions<Name>): Definition =>
  define(event, options, options.measurement, { kind: "distribution", buckets: options.buckets ?? defaultBuckets })

/** What is wrong with the definition, and where; or nothing. */
export const problemOf = (definition: Definition): { readonly path: string; readonly message: string } | undefined => {
  const { aggregation, event, maxSeries, name, tags, unit } = definition
  const is = (path: string, holds: boolean, message: string) => (holds ? undefined : { path, message })
  return (
    is("event", event !== "" && !event.includes("*"), `"${event}" is not the name of one event`) ??
    is("name", name !== "", "the name of a metric is not empty") ??
    is("maxSeries", isWhole(maxSeries, 1, bounds.maxSeries), `${maxSeries} is not between 1 and ${bounds.maxSeries}`) ??
    is(
      "tags",
      typeof tags === "function" || (tags.length <= bounds.tags && new Set(tags).size === tags.length),
      `a list of tags names each once, and at most ${bounds.tags}`
    ) ??
    is(
      "tags",
      typeof tags === "function" || unit === undefined || !tags.includes("unit"),
      "the tag unit is made of the unit of the metric: name one of the two"
    ) ??
    problemOfAggregation(aggregation, is)
  )
}

const problemOfAggregation = (
  aggregation: Aggregation,
  is: (path: string, holds: boolean, message: string) => { readonly path: string; readonly message: string } | undefined
) => {
  switch (aggregation.kind) {
    case "distribution": {
      const { buckets } = aggregation
      return is(
        "buckets",
        isRising(buckets) && buckets.length > 0 && buckets.length <= bounds.buckets,
        `buckets are finite, rising, and between 1 and ${bounds.buckets}`
      )
    }
    case "summary": {
      const { maxAge, maxSize, quantiles } = aggregation
      return (
        is(
          "quantiles",
          isRising(quantiles) && quantiles.every((q) => q >= 0 && q <= 1) && quantiles.length <= bounds.quantiles,
          `quantiles are between 0 and 1, rising, and at most ${bounds.quantiles}`
        ) ??
        // Two at the least: of the slots that it is given, Effect's summary never reads the last.
        is("maxSize", isWhole(maxSize, 2, bounds.maxSize), `${maxSize} is not between 2 and ${bounds.maxSize}`) ??
        is("maxAge", maxAge > 0, "maxAge is a duration above 0")
      )
    }
    default:
      return undefined
  }
}

const isWhole = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most

const isRising = (values: ReadonlyArray<number>): boolean =>
  values.every((value, index) => Number.isFinite(value) && (index === 0 || value > (values[index - 1] ?? value)))
