import { Effect } from "effect"
import type { Backend } from "effect-foundation/Events/Backend"
import { EventError } from "effect-foundation/FoundationError"

/** What the store can be asked for by a consumer. */
export const operations = [
  "read",
  "listen",
  "claim",
  "keep",
  "bury",
  "settle",
  "nextReplay",
  "release",
  "count"
] as const

export type Operation = (typeof operations)[number]

/**
 * - `away`: fails at once, and nothing was done.
 * - `lost`: fails, though it was done: the answer was lost.
 * - `hangs`: fails when its deadline has passed, and nothing was done.
 */
export type Fault = "away" | "lost" | "hangs"

const unavailable = () => new EventError({ reason: "storage_unavailable", message: "the store does not answer" })

/** One process's way to a store that several share, which can be disturbed. */
export const faultyBackend = (store: Backend) => {
  const faults = new Map<Operation, Fault>()
  const calls: Array<Operation> = []
  /** Set while the process is frozen: its calls wait until it wakes. */
  let frozen: Promise<void> | undefined

  const through = <A, E, R>(
    operation: Operation,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | EventError, R> =>
    Effect.suspend((): Effect.Effect<A, E | EventError, R> => {
      calls.push(operation)
      const wait = frozen
      if (wait !== undefined)
        return Effect.zipRight(
          Effect.promise(() => wait),
          through(operation, effect)
        )
      switch (faults.get(operation)) {
        case "away":
          return Effect.fail(unavailable())
        case "lost":
          return Effect.zipRight(effect, Effect.fail(unavailable()))
        case "hangs":
          return Effect.delay(Effect.fail(unavailable()), "5 seconds")
        case undefined:
          return effect
      }
    })

  const { consumers } = store
  const backend: Backend = {
    ...store,
    read: (query) => through("read", store.read(query)),
    changes: through("listen", store.changes),
    consumers: {
      ...consumers,
      changes: (name) => through("listen", consumers.changes(name)),
      claim: (claim) => through("claim", consumers.claim(claim)),
      keep: (lease, position) => through("keep", consumers.keep(lease, position)),
      bury: (lease, letter) => through("bury", consumers.bury(lease, letter)),
      settle: (lease, position, letter) => through("settle", consumers.settle(lease, position, letter)),
      nextReplay: (name) => through("nextReplay", consumers.nextReplay(name)),
      release: (name, owner, position) => through("release", consumers.release(name, owner, position)),
      count: (query) => through("count", consumers.count(query))
    }
  }
  return {
    backend,
    /** All that was asked for since the last look. */
    takeCalls: () => calls.splice(0),
    fail: (fault: Fault, ...which: ReadonlyArray<Operation>) => {
      for (const operation of which.length === 0 ? operations : which) faults.set(operation, fault)
    },
    heal: () => faults.clear(),
    /** Answers how to wake it. */
    freeze: () => {
      let resolve: () => void = () => undefined
      frozen = new Promise((wake) => {
        resolve = wake
      })
      return () => {
        frozen = undefined
        resolve()
      }
    }
  }
}

export type FaultyBackend = ReturnType<typeof faultyBackend>
