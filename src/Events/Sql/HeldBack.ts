import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { monotonicMicros } from "../../internal/monotonic.js"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { Telemetry } from "../../Telemetry.js"
import type { Head } from "./Store.js"

/** Between looks while events are held back, in milliseconds: longer the longer it lasts. */
const firstWait = 10
const longestWait = 250

/** After how long it is told, in milliseconds, and how often from then on. */
const toldEvery = 1000

/**
 * Watches a head that open transactions hold back. The end of a transaction that is rolled back notifies nobody, so it is
 * looked for, from the first read that was held back to the first that is not. What lasts is told as `events.held_back`.
 */
export const makeHeldBack = (
  head: Effect.Effect<Head, SqlFailure>,
  moved: () => void
): Effect.Effect<(head: Head) => void, never, Scope.Scope | Telemetry> =>
  Effect.gen(function* () {
    const telemetry = yield* Telemetry
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Effect.clock
    let watcher: Fiber.RuntimeFiber<unknown> | undefined
    /** How many reads were held back. */
    let reads = 0

    const watch = (first: Head) => {
      let since = monotonicMicros(clock)
      let told = false
      let tellAt = since + toldEvery * 1000
      let wait = firstWait
      let safe = first.safe
      const tell = (behind: number, now: number) => {
        told = true
        tellAt = now + toldEvery * 1000
        telemetry.emit("events.held_back", { behind, age: Math.round((now - since) / 1000) }, {})
      }
      let readsBefore = reads
      const asked = Effect.suspend(() => {
        readsBefore = reads
        return Effect.option(head)
      })
      const look: Effect.Effect<void> = Effect.flatMap(
        // A database that is away is looked at again.
        Effect.suspend(() => Effect.delay(asked, wait)),
        (found): Effect.Effect<void> => {
          const now = monotonicMicros(clock)
          wait = Math.min(wait * 2, longestWait)
          if (found._tag === "None") return look
          const behind = found.value.taken - found.value.safe
          if (found.value.safe > safe) {
            safe = found.value.safe
            since = now
            moved()
            if (told) tell(behind, now)
            told = false
            tellAt = now + toldEvery * 1000
          } else if (now >= tellAt) tell(behind, now)
          // A read that was held back while this look was under way may have seen a later moment.
          if (behind > 0 || reads > readsBefore) return look
          watcher = undefined
          return Effect.void
        }
      )
      return Effect.suspend(() => look)
    }

    yield* Effect.addFinalizer(() => Effect.sync(() => watcher?.unsafeInterruptAsFork(watcher.id())))
    return (head) => {
      if (head.safe === head.taken) return
      reads++
      if (watcher === undefined) watcher = Runtime.runFork(runtime, watch(head))
    }
  })
