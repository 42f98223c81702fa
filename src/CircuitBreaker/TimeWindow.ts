import type { Now, Tally } from "./Trip.js"

/** Into how many parts a time window is divided: its memory is this many sums, however many calls there are. */
export const timeBuckets = 10

/**
 * The outcomes of the last so many microseconds, in ten buckets. A bucket leaves as a whole: an outcome counts for at
 * least nine tenths of the window, and never longer than the window.
 */
export class TimeWindow implements Tally {
  calls = 0
  failures = 0
  slow = 0
  private readonly width: number
  private readonly buckets = Array.from({ length: timeBuckets }, () => ({ calls: 0, failures: 0, slow: 0 }))
  /** The number of the newest bucket, counted from time 0. */
  private newest = 0

  constructor(micros: number) {
    this.width = Math.max(1, Math.floor(micros / timeBuckets))
  }

  add(failed: boolean, slow: boolean, now: Now): Tally {
    this.moveTo(Math.floor(now() / this.width))
    const bucket = this.buckets[slot(this.newest)]
    if (bucket !== undefined) count(bucket, 1, failed ? 1 : 0, slow ? 1 : 0)
    count(this, 1, failed ? 1 : 0, slow ? 1 : 0)
    return this
  }

  clear(): void {
    for (const bucket of this.buckets) bucket.calls = bucket.failures = bucket.slow = 0
    this.calls = this.failures = this.slow = 0
  }

  /** Empties the buckets that are too old by then. */
  private moveTo(bucketNumber: number): void {
    const steps = Math.min(bucketNumber - this.newest, timeBuckets)
    for (let i = 1; i <= steps; i++) {
      const bucket = this.buckets[slot(bucketNumber - steps + i)]
      if (bucket === undefined) continue
      count(this, -bucket.calls, -bucket.failures, -bucket.slow)
      bucket.calls = bucket.failures = bucket.slow = 0
    }
    this.newest = Math.max(this.newest, bucketNumber)
  }
}

const slot = (bucketNumber: number): number => bucketNumber % timeBuckets

const count = (
  to: { calls: number; failures: number; slow: number },
  calls: number,
  failures: number,
  slow: number
) => {
  to.calls += calls
  to.failures += failures
  to.slow += slow
}
