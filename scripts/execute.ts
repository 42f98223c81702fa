import { spawn } from "node:child_process"

export interface Executed {
  /** The exit code, the signal that ended the process, or `limit` when it was killed for running too long. */
  readonly code: number | string
  /** Standard output and standard error, in the order in which they came. */
  readonly output: string
}

/** Runs a program to its end, without standard input. What is still running at the limit is killed. */
export const execute = (
  program: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly limitMs?: number }
): Promise<Executed> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: options.cwd, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    let expired = false
    const limit = setTimeout(() => {
      expired = true
      child.kill("SIGKILL")
    }, options.limitMs ?? 300_000)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text
      })
    }
    child.on("error", reject)
    child.on("close", (code, signal) => {
      clearTimeout(limit)
      resolve({ code: expired ? "limit" : (code ?? signal ?? "unknown"), output: output.trim() })
    })
  })

/** Runs a program whose success is taken for granted: its output, or an error that shows all it said. */
export const mustExecute = async (
  program: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly limitMs?: number }
): Promise<string> => {
  const { code, output } = await execute(program, args, options)
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}\nexits with ${code}\n${output}`)
  return output
}
