import * as Effect from "effect/Effect"

/** Wakes the one fiber that waits, or that will. */
export class Signal {
  private isRaised = false
  private wake: (() => void) | undefined

  raise(): void {
    this.isRaised = true
    const { wake } = this
    this.wake = undefined
    wake?.()
  }

  /** Goes on when it was raised since the last time. */
  readonly wait: Effect.Effect<void> = Effect.async<void>((resume) => {
    const go = () => {
      this.isRaised = false
      resume(Effect.void)
    }
    if (this.isRaised) return go()
    this.wake = go
    return Effect.sync(() => {
      if (this.wake === go) this.wake = undefined
    })
  })
}
