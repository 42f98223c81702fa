import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import { file } from "./File.js"
import { processEnvironment, type Source } from "./Source.js"

/** The files that are looked for in the working directory; the first that is there is taken. */
const names = ["yaml", "yml", "json", "toml"].map((extension) => `foundation.config.${extension}`)

/** The file that the variable `FOUNDATION_CONFIG` names; without it, that of the working directory, if there is one. */
export const defaultFiles: Effect.Effect<
  ReadonlyArray<Source<FileSystem.FileSystem>>,
  never,
  FileSystem.FileSystem
> = Effect.gen(function* () {
  const named = processEnvironment().FOUNDATION_CONFIG
  if (named !== undefined && named !== "") return [file(named)]
  const fs = yield* FileSystem.FileSystem
  for (const path of names) {
    // A file of which that cannot be told is taken: reading it then says why.
    if (yield* Effect.orElseSucceed(fs.exists(path), () => true)) return [file(path)]
  }
  return []
})
