import { FileSystem } from "@effect/platform"
import { Effect, Stream } from "effect"
import { Config } from "effect-foundation"
import { threshold } from "./Alerts.js"

/** Edits the file as an editor does, by a new one in its place, and waits until the service goes by it. */
export const editThreshold = (configFile: string, magnitude: number) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const text = yield* fs.readFileString(configFile)
    yield* fs.writeFileString(`${configFile}~`, text.replace(/alertThreshold: \S+/, `alertThreshold: ${magnitude}`))
    yield* fs.rename(`${configFile}~`, configFile)
    yield* Config.watch(threshold).pipe(
      Stream.takeUntil((inForce) => inForce === magnitude),
      Stream.runDrain
    )
  })
