import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

interface Signal {
  /** Something was stored since the listener last looked. */
  raised: boolean
  /** Continues the listener, where it waits. */
  resume: (() => void) | undefined
}

/**
 * Wakes those that wait for new events. A signal is one bit, so however many events are stored while a listener is
 * busy, it is woken once, holds nothing, and holds up nobody; what it missed it reads from the store.
 */
export class Signals {
  private readonly signals = new Set<Signal>()

  /** Raises every signal: a loop over the listeners, and nothing where there are none. */
  raise(): void {
    for (const signal of this.signals) {
      if (signal.resume === undefined) signal.raised = true
      else {
        const resume = signal.resume
        signal.resume = undefined
        resume()
      }
    }
  }

  /** A signal of one's own; the effect inside waits for it and lowers it. */
  readonly listen: Effect.Effect<Effect.Effect<void>, never, Scope.Scope> = Effect.acquireRelease(
    Effect.sync(() => {
      const signal: Signal = { raised: false, resume: undefined }
      this.signals.add(signal)
      return signal
    }),
    (signal) => Effect.sync(() => this.signals.delete(signal))
  ).pipe(
    Effect.map((signal) =>
      Effect.async<void>((resume) => {
        if (signal.raised) {
          signal.raised = false
          return resume(Effect.void)
        }
        signal.resume = () => resume(Effect.void)
        return Effect.sync(() => {
          signal.resume = undefined
        })
      })
    )
  )
}
