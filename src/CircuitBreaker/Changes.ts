import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"

/** How many values a slow subscriber may be behind; past it, it loses the oldest. */
export const maxBehind = 1024

/** Hands each value to all who listen, in the step of whoever publishes it. */
export class Changes<A> {
  private readonly subscribers = new Set<Mailbox.Mailbox<A>>()

  publish(value: A): void {
    for (const subscriber of this.subscribers) subscriber.unsafeOffer(value)
  }

  /** What is published from the start of the stream on. */
  readonly stream: Stream.Stream<A> = Stream.unwrapScoped(
    Effect.acquireRelease(
      Effect.tap(Mailbox.make<A>({ capacity: maxBehind, strategy: "sliding" }), (mailbox) =>
        Effect.sync(() => this.subscribers.add(mailbox))
      ),
      (mailbox) => Effect.sync(() => this.subscribers.delete(mailbox))
    ).pipe(Effect.map(Mailbox.toStream))
  )
}
