import { readFileSync } from "node:fs"
import Database from "better-sqlite3"
import { Effect, Schedule } from "effect"
import type { Child } from "./child.js"

/**
 * Stops the process by SIGSTOP, at a moment at which it does not write to the SQLite file: stopped inside of a write it would
 * hold the lock of the file until SIGCONT, and nobody else could write.
 */
export const stopOutsideOfWrite = (
  { kill, pid }: Pick<Child<never, never>, "kill" | "pid">,
  filename: string
): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (;;) {
      yield* kill("SIGSTOP")
      yield* stopped(pid)
      if (yield* canBeWritten(filename)) return
      yield* kill("SIGCONT")
      yield* Effect.sleep("20 millis")
    }
  })

/** A signal is sent before it is obeyed. */
const stopped = (pid: number) =>
  Effect.sync(
    () => process.platform !== "linux" || /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  ).pipe(Effect.repeat({ until: (so) => so, schedule: Schedule.spaced("1 millis") }))

/** Whether anybody can write within a while: others may be at it, and end. */
const canBeWritten = (filename: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Database(filename, { timeout: 0 })),
    (db) =>
      Effect.try(() => db.exec("begin immediate").exec("rollback")).pipe(
        Effect.retry({ times: 50, schedule: Schedule.spaced("10 millis") }),
        Effect.isSuccess
      ),
    (db) => Effect.sync(() => db.close())
  )
