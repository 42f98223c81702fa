import { fileURLToPath } from "node:url"
import { FetchHttpClient, FileSystem } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { Config, Foundation } from "effect-foundation"

/** A copy of the configuration beside this file, until the scope closes: the demo edits it. */
export const configCopy = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const configFile = `${yield* fs.makeTempDirectoryScoped({ prefix: "quakes-" })}/foundation.config.yaml`
  yield* fs.copyFile(fileURLToPath(new URL("foundation.config.yaml", import.meta.url)), configFile)
  return configFile
})

/** The six services, configured by the file. */
export const services = (configFile: string) => Foundation.layer({ config: Config.layerFrom(Config.file(configFile)) })

/** What the services and the demo need of the platform. */
export const Platform = Layer.merge(NodeFileSystem.layer, FetchHttpClient.layer)
