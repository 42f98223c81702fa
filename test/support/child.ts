import { spawn } from "node:child_process"
import { mkdir, rename, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { Data, Deferred, Effect, Mailbox, type Stream } from "effect"
import { build } from "esbuild"

/** The child has ended and will say no more. */
export class ChildEnded extends Data.TaggedError("ChildEnded")<{
  readonly message: string
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}> {}

/** A Node process that runs a script of ours, which has its end of the line from parent.ts. */
export interface Child<Out, In> {
  readonly pid: number
  /** Says something to it. Lost where it has ended. */
  readonly send: (message: In) => Effect.Effect<void>
  /** The next that it says. All that it has said comes before its end. */
  readonly receive: Effect.Effect<Out, ChildEnded>
  /** All that it says until it ends. Fails when that is not by itself and with code 0. */
  readonly messages: Stream.Stream<Out, ChildEnded>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** How it ends. */
  readonly exit: Effect.Effect<ChildEnded>
  /** What it has written besides: its log, the last of it. */
  readonly stderr: Effect.Effect<string>
}

const project = fileURLToPath(new URL("../..", import.meta.url))

const bundles = new Map<string, Promise<string>>()

/** One file of all that a script imports, which Node loads several times faster. Made once in each test file. */
const bundleOf = (script: string): Promise<string> => {
  const known = bundles.get(script) ?? bundle(script)
  bundles.set(script, known)
  return known
}

const bundle = async (script: string) => {
  const { outputFiles } = await build({
    entryPoints: [script],
    write: false,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    // Native, or asked for and not installed.
    external: ["better-sqlite3", "pg-native", "cloudflare:sockets"],
    // Modules of the old kind load Node's own by require.
    banner: {
      js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);'
    }
  })
  // Where Node finds what is external. Another run may write the same, so it appears whole.
  const file = join(project, "node_modules/.cache/children", `${relative(project, script).replaceAll("/", "-")}.mjs`)
  const draft = `${file}.${process.pid}`
  await mkdir(dirname(file), { recursive: true })
  await writeFile(draft, outputFiles[0]?.contents ?? "")
  await rename(draft, file)
  return file
}

export interface ChildOptions {
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

/**
 * Starts a script as a process of its own: `startChild<Out, In>(new URL("./script.ts", import.meta.url))`. It is killed
 * by SIGKILL when the scope closes, and ends by itself when this process dies. In one file with all that it imports,
 * its `import.meta.url` is not that of the script; what it has to know comes in its arguments and messages.
 */
export const startChild = <Out, In = never>(script: URL, options: ChildOptions = {}) =>
  Effect.gen(function* () {
    const name = relative(project, fileURLToPath(script))
    const file = yield* Effect.promise(() => bundleOf(fileURLToPath(script)))
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [file, ...(options.args ?? [])], { env: { ...process.env, ...options.env } })
      ),
      (child) =>
        Effect.async<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGKILL")
        })
    )
    const said = yield* Mailbox.make<Out, ChildEnded>()
    const ended = yield* Deferred.make<ChildEnded>()

    let stderr = ""
    const note = (text: string) => {
      stderr = (stderr + text).slice(-10_000)
    }
    const hear = (line: string) => {
      try {
        said.unsafeOffer(JSON.parse(line))
      } catch {
        note(`${line}\n`)
      }
    }
    child.stderr.setEncoding("utf8").on("data", note)
    child.stdin.on("error", () => {})
    let rest = ""
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      const lines = (rest + chunk).split("\n")
      // Not said: a last line that a kill has cut short.
      rest = lines.pop() ?? ""
      lines.forEach(hear)
    })
    // After all that is in the pipes has been read.
    child.on("close", (code, signal) => {
      const how = signal === null ? `with code ${code}` : `by ${signal}`
      const end = new ChildEnded({ message: `${name} ended ${how}${stderr && `: ${stderr.trim()}`}`, code, signal })
      Deferred.unsafeDone(ended, Effect.succeed(end))
      Effect.runSync(code === 0 ? said.end : said.fail(end))
    })
    const self: Child<Out, In> = {
      pid: child.pid ?? 0,
      send: (message) => Effect.sync(() => void child.stdin.write(`${JSON.stringify(message)}\n`)),
      receive: Effect.catchTag(said.take, "NoSuchElementException", () => Effect.flip(Deferred.await(ended))),
      messages: Mailbox.toStream(said),
      kill: (signal) => Effect.sync(() => void child.kill(signal)),
      exit: Deferred.await(ended),
      stderr: Effect.sync(() => stderr)
    }
    return self
  })
