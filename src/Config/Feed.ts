import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Accepted, Change } from "./Diff.js"

/** How many accepted changes a subscriber may be behind before they are merged into one, value by value. */
export const maxBehind = 64

/**
 * Tells the subscribers what was accepted, in order. Nobody waits for a slow one: who is more than `maxBehind` behind gets
 * what is waiting merged by key, from the first value before to the last one after, so that the newest is never missed
 * and what waits is bounded by the number of keys.
 */
export class Feed {
  private readonly subscribers = new Set<Subscriber>()
  private closed = false

  publish(accepted: Accepted): void {
    for (const subscriber of this.subscribers) subscriber.offer(accepted)
  }

  /** Ends the streams, once they have taken what waits for them. */
  close(): void {
    this.closed = true
    for (const subscriber of this.subscribers) subscriber.close()
  }

  /**
   * A stream, for each of its runs, of what is accepted from its start on. `begin` runs in the very step in which the
   * subscription starts, and makes the stream out of what follows that step.
   */
  stream<A, E>(begin: (accepted: Stream.Stream<Accepted>) => Stream.Stream<A, E>): Stream.Stream<A, E> {
    return Stream.unwrapScoped(
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            const subscriber = new Subscriber()
            this.subscribers.add(subscriber)
            if (this.closed) subscriber.close()
            return { subscriber, stream: begin(Stream.repeatEffectOption(subscriber.take)) }
          }),
          ({ subscriber }) => Effect.sync(() => this.subscribers.delete(subscriber))
        ),
        ({ stream }) => stream
      )
    )
  }
}

type Resume = (taken: Effect.Effect<Accepted, Option.Option<never>>) => void

class Subscriber {
  private waiting: Array<Accepted> = []
  private resume: Resume | undefined
  private closed = false

  offer(accepted: Accepted): void {
    if (this.resume !== undefined) {
      this.answer(Effect.succeed(accepted))
    } else {
      if (this.waiting.length >= maxBehind) this.waiting = [merged(this.waiting)]
      this.waiting.push(accepted)
    }
  }

  close(): void {
    this.closed = true
    if (this.resume !== undefined) this.answer(Effect.fail(Option.none()))
  }

  readonly take: Effect.Effect<Accepted, Option.Option<never>> = Effect.async((resume) => {
    const next = this.waiting.shift()
    if (next !== undefined) return resume(Effect.succeed(next))
    if (this.closed) return resume(Effect.fail(Option.none()))
    this.resume = resume
    return Effect.sync(() => {
      this.resume = undefined
    })
  })

  private answer(taken: Effect.Effect<Accepted, Option.Option<never>>): void {
    const resume = this.resume
    this.resume = undefined
    resume?.(taken)
  }
}

/** Several accepted changes as one. */
const merged = (several: ReadonlyArray<Accepted>): Accepted => {
  const byKey = new Map<string, Change>()
  for (const { changes } of several) {
    for (const change of changes) {
      const earlier = byKey.get(change.key)
      byKey.delete(change.key)
      byKey.set(change.key, earlier === undefined ? change : { ...change, before: earlier.before })
    }
  }
  const last = several[several.length - 1]
  if (last === undefined) throw new Error("nothing to merge")
  return { snapshot: last.snapshot, changes: [...byKey.values()] }
}
