/** What was measured in turns, one value for each. */
export interface Series {
  readonly median: number
  /** Half of the distance between the quartiles, as a part of the median. */
  readonly spread: number
}

/** The value below which that part of the values is, between two of them if it must be. */
export const quantile = (values: ReadonlyArray<number>, part: number): number => {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (sorted.length - 1) * part
  const low = sorted[Math.floor(at)] ?? Number.NaN
  const high = sorted[Math.ceil(at)] ?? Number.NaN
  return low + (high - low) * (at - Math.floor(at))
}

export const seriesOf = (values: ReadonlyArray<number>): Series => {
  const median = quantile(values, 0.5)
  return { median, spread: (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / median }
}

/**
 * How one stands to the other, turn by turn: what slows the machine for a while slows both, so that ratios hold where times
 * do not.
 */
export const ratioOf = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): Series =>
  seriesOf(one.slice(0, other.length).map((value, turn) => value / (other[turn] ?? Number.NaN)))
