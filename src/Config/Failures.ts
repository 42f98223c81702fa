import { type Condition, degraded, listed, up } from "../Foundation/Health/Condition.js"
import type { ConfigError } from "../FoundationError.js"

/** The sources of which what they stated last is not in force, each with why. */
export class Failures {
  private readonly failed = new Map<number, ConfigError["reason"]>()

  constructor(private readonly sources: ReadonlyArray<{ readonly name: string }>) {}

  /** A load of these sources has failed. Where the error says of which, the others are not to blame. */
  add(indices: Iterable<number>, { reason, source }: ConfigError): void {
    const all = [...indices]
    const named = all.filter((index) => this.sources[index]?.name === source)
    for (const index of named.length > 0 ? named : all) this.failed.set(index, reason)
  }

  clear(indices: Iterable<number>): void {
    for (const index of indices) this.failed.delete(index)
  }

  get condition(): Condition {
    if (this.failed.size === 0) return up
    const names = Array.from(this.failed.keys(), (index) => this.sources[index]?.name ?? "")
    const reasons = [...new Set(this.failed.values())].join(", ")
    return degraded(`The last good configuration is in force: ${listed(names)} cannot be used (${reasons})`)
  }
}
