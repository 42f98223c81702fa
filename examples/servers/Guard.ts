import { spawn } from "node:child_process"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

/**
 * Waits for the end of its input, which comes when this process closes it or dies, in whatever way. Then ends the
 * process that it was told of last, and removes the directory. What is frozen cannot end, so it is thawed; what has not
 * ended after five seconds is killed. What nobody has reaped yet (state Z) has ended.
 */
const watcher = `
is_running() { kill -0 "$last" && ! grep -q '^State:.Z' "/proc/$last/status"; }
last=
while read -r pid; do last=$pid; done
if [ -n "$last" ]; then
  family="$last $(cat "/proc/$last/task/$last/children" || pgrep -P "$last")"
  kill -QUIT "$last"
  kill -CONT $family
  n=0
  while is_running && [ $n -lt 250 ]; do sleep 0.02; n=$((n + 1)); done
  if is_running; then kill -KILL $family; fi
fi
n=0
until rm -rf "$0" || [ $n -eq 50 ]; do sleep 0.1; n=$((n + 1)); done
`

/** A fresh directory for the files of a server. */
export interface Guard {
  readonly directory: string
  /** Names the process that ends with the directory: the one that runs in it now, if any. */
  readonly watch: (pid: number | undefined) => void
}

/**
 * Makes a directory for a server. When the scope closes, the server that runs in it ends (by SIGQUIT) and the directory
 * is removed. So it is when this process dies before that, even by SIGKILL: a shell that outlives it sees to both.
 */
export const makeGuard = (name: string) =>
  Effect.acquireRelease(
    Effect.tryPromise(async () => {
      const directory = await mkdtemp(join(tmpdir(), `${name}-`))
      // In a session of its own: what a terminal sends on Ctrl-C must not end it first.
      const shell = spawn("/bin/sh", ["-c", watcher, directory], {
        detached: true,
        stdio: ["pipe", "ignore", "ignore"]
      })
      const ended = new Promise<void>((resolve) => shell.once("close", () => resolve()).once("error", () => resolve()))
      shell.stdin.on("error", () => {})
      return { directory, ended, shell, watch: (pid: number | undefined) => void shell.stdin.write(`${pid ?? ""}\n`) }
    }),
    ({ ended, shell }) =>
      Effect.promise(() => {
        shell.stdin.end()
        return ended
      })
  ).pipe(Effect.map(({ directory, watch }): Guard => ({ directory, watch })))
