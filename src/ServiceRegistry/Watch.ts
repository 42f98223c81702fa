import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { ConfigError } from "../FoundationError.js"
import { type Feed, Watcher } from "./Feed.js"
import type { Change, Registration, Selection } from "./Registration.js"

/** How many changes a watcher may have yet to read, where its options say nothing else. */
export const defaultWatchBuffer = 1024

export type WatchOptions = Selection & {
  /** How many changes may be yet to read, before a snapshot takes their place: 1024 by default. */
  readonly buffer?: number
}

/** The state, then its changes. The watcher is in the feed while the stream runs. */
export const watchStream = (
  feed: Feed,
  current: (selection: Selection) => ReadonlyArray<Registration>,
  options: WatchOptions
): Stream.Stream<Change> =>
  Stream.fromPull(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const watcher = new Watcher(options, bufferOf(options))
          feed.add(watcher)
          return watcher
        }),
        (watcher) => Effect.sync(() => feed.remove(watcher))
      ),
      (watcher) => {
        const take = Effect.sync(() => Chunk.unsafeFromArray(watcher.take(current)))
        const change = Effect.async<void>((resume) => {
          watcher.await(() => resume(Effect.void))
          return Effect.sync(() => watcher.await(undefined))
        })
        return Effect.suspend(() => (watcher.ready ? take : Effect.zipRight(change, take)))
      }
    )
  )

const bufferOf = ({ buffer = defaultWatchBuffer }: WatchOptions): number => {
  if (Number.isSafeInteger(buffer) && buffer > 0) return buffer
  throw new ConfigError({
    reason: "invalid_value",
    path: "serviceRegistry.watch.buffer",
    message: `serviceRegistry.watch.buffer must be a whole number above 0, and is ${buffer}`
  })
}
