import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"

export type Phase = "open" | "draining" | "closing"

/** The work that is in flight, and whether more of it is taken. */
export class Work {
  private now: Phase = "open"
  private readonly entered = new Set<{ readonly fiber: Fiber.RuntimeFiber<unknown, unknown> }>()
  /** What tells others to send work here. */
  private readonly announced = new Set<Scope.CloseableScope>()
  private readonly beginning = Deferred.unsafeMake<void>(FiberId.none)
  private waiting: Array<() => void> = []

  readonly begun: Effect.Effect<void> = Deferred.await(this.beginning)

  readonly phase = (): Phase => this.now

  readonly isDraining = (): boolean => this.now !== "open"

  readonly inFlight = (): number => this.entered.size

  readonly unsafeEnter = (fiber: Fiber.RuntimeFiber<unknown, unknown>): (() => void) => {
    const entry = { fiber }
    this.entered.add(entry)
    return () => {
      if (!this.entered.delete(entry) || this.entered.size > 0) return
      const { waiting } = this
      this.waiting = []
      for (const go of waiting) go()
    }
  }

  readonly announce = (scope: Scope.CloseableScope): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (this.isDraining()) return Scope.close(scope, Exit.void)
      this.announced.add(scope)
      return Scope.addFinalizer(
        scope,
        Effect.sync(() => void this.announced.delete(scope))
      )
    })

  /** From now on it is draining; ends when what was announced has been taken back. */
  readonly begin: Effect.Effect<void> = Effect.suspend(() => {
    if (this.now === "open") this.now = "draining"
    Deferred.unsafeDone(this.beginning, Effect.void)
    return Effect.forEach([...this.announced], (scope) => Effect.exit(Scope.close(scope, Exit.void)), {
      concurrency: "unbounded",
      discard: true
    })
  })

  /** From now on no new work is taken. */
  close(): void {
    this.now = "closing"
  }

  /** Answers when nothing is in flight. */
  readonly idle: Effect.Effect<void> = Effect.async((resume) => {
    if (this.entered.size === 0) return resume(Effect.void)
    const go = () => resume(Effect.void)
    this.waiting.push(go)
    return Effect.sync(() => {
      this.waiting = this.waiting.filter((one) => one !== go)
    })
  })

  interrupt(): void {
    for (const { fiber } of this.entered) fiber.unsafeInterruptAsFork(FiberId.none)
  }
}
