import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ConfigError } from "../FoundationError.js"
import { monotonicMicros } from "../internal/monotonic.js"
import type { Telemetry } from "../Telemetry.js"
import { type Accepted, diff } from "./Diff.js"
import { Feed } from "./Feed.js"
import type { State } from "./State.js"

/** What came of a load. A doubtful one changed nothing: what it read may be half-written. */
export type Outcome = "changed" | "unchanged" | "doubtful"

/** Tells of what was accepted, and of loads: in the feed of the subscribers, and as telemetry. */
export class Report {
  readonly feed = new Feed()

  constructor(
    private readonly telemetry: Telemetry.Service,
    private readonly state: State
  ) {}

  /** To be called in the step that accepted it, so that all hear of changes in their order. */
  accepted(accepted: Accepted): void {
    if (accepted.changes.length > 0) this.feed.publish(accepted)
    if (this.telemetry.enabled("config.change")) {
      for (const { key, source } of accepted.changes) {
        this.telemetry.emit("config.change", { count: 1 }, { key, source })
      }
    }
  }

  /** Tells how the load went, unless its exit is unworthy of that. */
  load<E extends ConfigError, R>(
    loading: Effect.Effect<Outcome, E, R>,
    unworthy: (exit: Exit.Exit<Outcome, E>) => boolean = () => false
  ): Effect.Effect<Outcome, E, R> {
    return Effect.clockWith((clock: Clock.Clock) => {
      const started = monotonicMicros(clock)
      const before = this.state.snapshot
      return Effect.onExit(loading, (exit) =>
        Effect.sync(() => {
          if (!this.telemetry.enabled("config.reload") || unworthy(exit)) return
          const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
          this.telemetry.emit(
            "config.reload",
            {
              duration: (monotonicMicros(clock) - started) / 1000,
              changed: Exit.isSuccess(exit) ? diff(before, this.state.snapshot).length : 0
            },
            {
              outcome: Exit.isSuccess(exit) ? exit.value : "failure",
              reason: error?.reason,
              path: error?.path,
              source: error?.source
            }
          )
        })
      )
    })
  }
}
