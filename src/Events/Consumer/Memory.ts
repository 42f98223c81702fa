import * as Effect from "effect/Effect"
import { clockOf, monotonicMicros } from "../../internal/monotonic.js"
import type { StoredEvent } from "../Event.js"
import { consumersFull } from "../Failures.js"
import type { Log } from "../Log.js"
import { Signals } from "../Signals.js"
import type { ConsumerStore } from "./Store.js"
import { bounds, ConsumerTable } from "./Table.js"

/** The state of the consumers of a log in memory. The time of its leases is monotonic. */
export const consumersInMemory = (log: Log): ConsumerStore => {
  const table = new ConsumerTable()
  /** Of the names that somebody listens to. */
  const listened = new Map<string, { readonly signals: Signals; listeners: number }>()
  const raise = (name: string): void => listened.get(name)?.signals.raise()

  /** One step on the table at the time of now, in microseconds. */
  const step = <A>(run: (now: number) => A): Effect.Effect<A> =>
    Effect.withFiberRuntime((fiber) => Effect.succeed(run(monotonicMicros(clockOf(fiber)))))

  return {
    claim: (claim) =>
      Effect.flatMap(
        step((now) => table.claim(now, claim)),
        (claimed) =>
          claimed._tag === "Full"
            ? Effect.fail(consumersFull(`${bounds.consumers} consumers`))
            : Effect.succeed(claimed)
      ),
    keep: (lease, position) => step((now) => table.keep(now, lease, position)),
    bury: (lease, letter) =>
      Effect.flatMap(
        step((now) => table.bury(now, lease, letter)),
        (buried) =>
          buried === "full"
            ? Effect.fail(consumersFull(`${bounds.deadLetters} dead letters`))
            : Effect.succeed(buried === "buried")
      ),
    settle: (lease, position, letter) => step((now) => table.settle(now, lease, position, letter)),
    nextReplay: (name) => step(() => table.nextReplay(name)),
    release: (name, owner, position) =>
      step(() => {
        if (table.release(name, owner, position)) raise(name)
      }),
    count: (query) => {
      const found: Array<StoredEvent> = []
      const scan = (from: number | undefined): Effect.Effect<number> =>
        Effect.suspend(() => {
          const resume = log.scan(query, found, from)
          return resume === undefined ? Effect.succeed(found.length) : Effect.zipRight(Effect.yieldNow(), scan(resume))
        })
      return scan(undefined)
    },
    changes: (name) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const known = listened.get(name) ?? { signals: new Signals(), listeners: 0 }
          known.listeners++
          listened.set(name, known)
          return known
        }),
        (known) =>
          Effect.sync(() => {
            if (--known.listeners === 0) listened.delete(name)
          })
      ).pipe(Effect.flatMap(({ signals }) => signals.listen)),
    deadLetters: (name, after, limit) => step(() => table.deadLetters(name, after, limit)),
    replay: (name, positions) =>
      step(() => {
        const marked = table.replay(name, positions)
        if (marked > 0) raise(name)
        return marked
      }),
    removeDeadLetters: (name, positions) => step(() => table.removeDeadLetters(name, positions)),
    list: step((now) => table.list(now, log.head)),
    forget: (name) => step((now) => table.forget(now, name))
  }
}
