import { type ChildProcess, fork } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { build } from "esbuild"
import type { Said } from "./Protocol.js"

/** The worker in one file with all that it imports: Node loads that many times faster, in each of the processes. */
const bundled = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "fleet-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true }))
  )
  const file = join(directory, "worker.mjs")
  yield* Effect.promise(() =>
    build({
      entryPoints: [fileURLToPath(new URL("worker.ts", import.meta.url))],
      outfile: file,
      bundle: true,
      platform: "node",
      format: "esm",
      // Modules of the old kind load Node's own by require.
      banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url)` }
    })
  )
  return file
})

/** Starts so many workers, each a process of its own, until the scope closes; what they say is heard by number. */
export const startWorkers = (
  size: number,
  args: ReadonlyArray<string>,
  hear: (worker: number, message: Said) => void
) =>
  Effect.flatMap(bundled, (file) =>
    Effect.forEach(Array.from({ length: size }).keys(), (number) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const child = fork(file, args, { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] })
          // Of our own worker, which says nothing else.
          child.on("message", (message) => hear(number, message as Said))
          return child
        }),
        stop
      )
    )
  )

const stop = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill()
  })
