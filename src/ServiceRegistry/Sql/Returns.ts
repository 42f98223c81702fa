import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { asking } from "./asking.js"
import { Signal } from "./Signal.js"
import type { Store } from "./Store.js"

/** How many grants one statement gives back at most. */
const batch = 256

export interface ReturnsOptions {
  readonly store: Store
  readonly node: string
  readonly deadline: Duration.DurationInput
}

/**
 * What this process gives back to the database: grants that it holds no more, and claims whose answer never came. What
 * cannot be given back now is tried again until it is; it ends with the lease of the process at the latest.
 */
export class Returns {
  /** By token, with who waits for it. Each was granted once, so there are no more than the process has asked for. */
  private readonly tokens = new Map<number, () => void>()
  private readonly strays = new Set<number>()
  private readonly raised = new Signal()
  /** Whether the last attempt succeeded. */
  private isWell = true
  private isClosed = false

  constructor(private readonly options: ReturnsOptions) {}

  /** Waits until the database has it; where that fails it goes on in the background, and nobody waits. */
  readonly giveBack = (token: number): Effect.Effect<void> =>
    Effect.async((resume) => {
      if (!this.isClosed) this.add(token, () => resume(Effect.void))
      if (this.isClosed || !this.isWell) resume(Effect.void)
    })

  add(token: number, done: () => void = () => undefined): void {
    // It may be on its way already, with somebody who waits for it.
    const before = this.tokens.get(token)
    this.tokens.set(token, () => {
      before?.()
      done()
    })
    this.raised.raise()
  }

  addStrays(claims: ReadonlyArray<number>): void {
    for (const claim of claims) this.strays.add(claim)
    this.raised.raise()
  }

  /** Gives back until it is interrupted. */
  readonly run: Effect.Effect<never> = Effect.suspend(() =>
    this.tokens.size === 0 && this.strays.size === 0 ? this.raised.wait : this.some
  ).pipe(Effect.forever)

  private readonly some: Effect.Effect<void> = Effect.suspend(() => {
    const { deadline, node, store } = this.options
    const tokens = [...this.tokens.keys()].slice(0, batch)
    const strays = [...this.strays].slice(0, batch)
    const statements = [
      ...(tokens.length === 0 ? [] : [store.release(tokens)]),
      ...(strays.length === 0 ? [] : [store.abandon(node, strays)])
    ]
    return Effect.matchEffect(asking(Effect.all(statements, { discard: true }), deadline), {
      onSuccess: () =>
        Effect.sync(() => {
          this.isWell = true
          for (const token of tokens) {
            this.tokens.get(token)?.()
            this.tokens.delete(token)
          }
          for (const stray of strays) this.strays.delete(stray)
        }),
      onFailure: () => {
        this.isWell = false
        this.letGo()
        return Effect.sleep("500 millis")
      }
    })
  })

  readonly close = Effect.sync(() => {
    this.isClosed = true
    this.letGo()
  })

  /** Has nobody wait any longer. */
  private letGo(): void {
    for (const done of this.tokens.values()) done()
  }
}
