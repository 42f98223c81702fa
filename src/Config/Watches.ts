import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ConfigError } from "../FoundationError.js"
import type { Loads } from "./Loads.js"
import type { Outcome, Report } from "./Report.js"
import type { Source } from "./Source.js"

/** A file that a watcher finds empty or broken is read again after so long, before anybody believes it. */
const settleTime = Duration.millis(250)

/** How long a watch that failed rests. */
const watchAgainAfter = Schedule.spaced("1 second")

/** Reads each source again when its own watch says so, as long as the scope is open. */
export const watchSources = <R>(
  sources: ReadonlyArray<Source<R>>,
  loads: Loads,
  report: Report
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.forEach(
    sources,
    (source, index) =>
      source.watch === undefined
        ? Effect.void
        : watching(
            source.name,
            source.watch,
            told(source.name, (source.atomic ? atOnce : settled)(index, loads), report)
          ),
    { discard: true }
  )

const atOnce = (index: number, { request }: Loads) => request([index], false)

/** A source that looks half-written is given the time to be written. */
const settled = (index: number, { request }: Loads): Effect.Effect<Outcome, ConfigError> =>
  Effect.flatMap(request([index], true), (outcome) =>
    outcome === "doubtful"
      ? Effect.zipRight(Effect.sleep(settleTime), request([index], false))
      : Effect.succeed(outcome)
  )

/** A watcher tells of what it did, and of a failure once, not at each look. */
const told = (
  name: string,
  loading: Effect.Effect<Outcome, ConfigError>,
  report: Report
): Effect.Effect<void, ConfigError> => {
  let complaint: string | undefined
  return report
    .load(loading, (exit) =>
      Exit.isSuccess(exit)
        ? exit.value === "unchanged" && complaint === undefined
        : Option.exists(Cause.failureOption(exit.cause), ({ message }) => message === complaint)
    )
    .pipe(
      Effect.matchCauseEffect({
        onSuccess: () => {
          if (complaint === undefined) return Effect.void
          complaint = undefined
          return Effect.logInfo(`The configuration source ${name} can be used again`)
        },
        onFailure: (cause) => {
          if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
          const message = Option.match(Cause.failureOption(cause), {
            onNone: () => Cause.pretty(cause),
            onSome: (error) => error.message
          })
          if (message === complaint) return Effect.void
          complaint = message
          return Effect.logWarning(`${message.replace(/\.$/, "")}. The last good configuration stays in force.`)
        }
      })
    )
}

const watching = <R>(
  name: string,
  watch: Stream.Stream<unknown, never, R>,
  refresh: Effect.Effect<void, ConfigError>
): Effect.Effect<unknown, never, R | Scope.Scope> =>
  Stream.runForEach(watch, () => refresh).pipe(
    Effect.tapErrorCause((cause) => Effect.logWarning(`The watch of ${name} failed, and starts anew`, cause)),
    Effect.sandbox,
    Effect.retry(watchAgainAfter),
    Effect.ignore,
    Effect.forkScoped
  )
