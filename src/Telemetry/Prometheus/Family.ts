export type Label = readonly [name: string, value: string]

/** The state of one series at one moment. */
export type State = NumberState | HistogramState | SummaryState

export interface NumberState {
  readonly value: number | bigint
}

export interface HistogramState {
  /** Upper bounds, rising, each with the count of what is not above it. The one of +Inf may be left out: it is `count`. */
  readonly buckets: ReadonlyArray<readonly [bound: number, cumulative: number]>
  readonly count: number
  readonly sum: number
}

export interface SummaryState {
  /** Between 0 and 1, rising. A quantile is unknown where nothing was measured lately. */
  readonly quantiles: ReadonlyArray<readonly [quantile: number, value: number | undefined]>
  readonly count: number
  readonly sum: number
}

/** One series of a family: plain data. The state is read once, and only when the series is written. */
export interface Series<S = State> {
  readonly labels: ReadonlyArray<Label>
  readonly state: S
  /** How much work it is to read the state, where a plain number is 1. */
  readonly cost?: number
}

interface About {
  /** As the program has it: what is written is made of it, of the unit, and of the kind. */
  readonly name: string
  /** In UCUM, as `ms` or `By`, or in words, as `milliseconds`. */
  readonly unit?: string | undefined
  readonly help?: string | undefined
}

/** The series of one metric. */
export type Family =
  | (About & { readonly kind: "counter" | "gauge"; readonly series: Iterable<Series<NumberState>> })
  | (About & { readonly kind: "histogram"; readonly series: Iterable<Series<HistogramState>> })
  | (About & { readonly kind: "summary"; readonly series: Iterable<Series<SummaryState>> })

export type Kind = Family["kind"]

/** Prometheus text 0.0.4, or OpenMetrics 1.0.0. */
export type Format = "text" | "openmetrics"
