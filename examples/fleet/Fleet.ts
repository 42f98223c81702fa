import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import type { Said } from "./Protocol.js"

const worker = fileURLToPath(new URL("worker.ts", import.meta.url))

/** Starts so many workers, each a process of its own, until the scope closes; what they say is heard by number. */
export const startWorkers = (
  size: number,
  args: ReadonlyArray<string>,
  hear: (worker: number, message: Said) => void
) =>
  Effect.forEach(Array.from({ length: size }).keys(), (number) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = fork(worker, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] })
        // Of our own worker, which says nothing else.
        child.on("message", (message) => hear(number, message as Said))
        return child
      }),
      stop
    )
  )

const stop = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill()
  })
