import * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/** How long a file must stay as it is before it is read: who writes it may not be done. */
const quietFor = Duration.millis(50)

/** After so many looks at a file that does not come to rest it is read all the same. */
const maxLooks = 20

/** A file changed so recently may change again within the grain of its time stamp, and look the same. */
const recentMillis = 2000

/** The shortest interval of looking. */
const minInterval = Duration.millis(10)

/**
 * An element for each time at which the file may say something else, the first at once. What the file system tells of the
 * directory is only a reason to look sooner: the looking, each `interval`, is what can be relied on. It follows symbolic
 * links, and outlives the file, its directory, and the watch of the operating system.
 */
export const watchFile = (
  path: string,
  interval: Duration.DurationInput
): Stream.Stream<void, never, FileSystem.FileSystem> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const every = Duration.max(interval, minInterval)
      const wake = yield* Queue.sliding<void>(1)
      const look = Queue.offer(wake, undefined)
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(look, Effect.sleep(every))))
      yield* Effect.forkScoped(notifications(fs, directoryOf(path), every, look))
      let last: string | undefined
      const next = Effect.gen(function* () {
        while (true) {
          yield* Queue.take(wake)
          const seen = yield* atRest(fs, path, last)
          const recent = (yield* Clock.currentTimeMillis) - seen.changedAt < recentMillis
          if (seen.print !== last || recent) {
            last = seen.print
            return
          }
        }
      })
      return Stream.repeatEffect(next)
    })
  )

interface Look {
  readonly print: string
  readonly changedAt: number
}

const lookAt = (fs: FileSystem.FileSystem, path: string): Effect.Effect<Look> =>
  fs.stat(path).pipe(
    Effect.map((info) => {
      const changedAt = Option.match(info.mtime, { onNone: () => 0, onSome: (date) => date.getTime() })
      return { print: [info.dev, Option.getOrElse(info.ino, () => 0), info.size, changedAt].join(":"), changedAt }
    }),
    // Why it cannot be looked at is for the read to say.
    Effect.orElseSucceed(() => ({ print: "none", changedAt: 0 }))
  )

/** What the file looks like when it has stopped changing. */
const atRest = (fs: FileSystem.FileSystem, path: string, last: string | undefined): Effect.Effect<Look> =>
  Effect.gen(function* () {
    let seen = yield* lookAt(fs, path)
    if (seen.print === last || last === undefined) return seen
    for (let looks = 0; looks < maxLooks; looks++) {
      yield* Effect.sleep(quietFor)
      const again = yield* lookAt(fs, path)
      if (again.print === seen.print) return again
      seen = again
    }
    return seen
  })

/** Looks at each event of the directory, and anew once there is another directory of that name. Never ends, never fails. */
const notifications = (
  fs: FileSystem.FileSystem,
  directory: string,
  every: Duration.Duration,
  look: Effect.Effect<unknown>
): Effect.Effect<never> => {
  const identity = fs.stat(directory).pipe(
    Effect.map((info) => `${info.dev}:${Option.getOrElse(info.ino, () => 0)}`),
    Effect.orElseSucceed(() => "none")
  )
  const replaced = (known: string): Effect.Effect<void> =>
    Effect.sleep(every).pipe(Effect.zipRight(identity), Effect.repeat({ while: (now) => now === known }), Effect.asVoid)
  const events = fs.watch(directory).pipe(
    Stream.runForEach(() => look),
    // A file system that cannot tell, or no longer can, leaves it to the looking.
    Effect.catchAllCause(() => Effect.void),
    Effect.zipRight(Effect.never)
  )
  return identity.pipe(
    Effect.flatMap((known) => Effect.raceFirst(events, replaced(known))),
    Effect.zipRight(look),
    Effect.forever
  )
}

const directoryOf = (path: string): string => {
  const end = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"))
  return end < 0 ? "." : end === 0 ? "/" : path.slice(0, end)
}
