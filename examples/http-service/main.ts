/**
 * A small API on all six services. `npx tsx examples/http-service/main.ts` serves it until Ctrl-C, and says what to try; with
 * `--tour`, or where nobody is at a terminal, it tries all of it itself, and ends.
 */
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { FileSystem } from "@effect/platform"
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Console, Deferred, Effect, Fiber } from "effect"
import { type Places, run, services } from "./Service.js"
import { curl, stops, tour } from "./Tour.js"

const { values } = parseArgs({
  options: { tour: { type: "boolean", default: process.stdin.isTTY !== true }, database: { type: "string" } }
})

const welcome = (places: Places, config: string) =>
  Console.log(
    [
      `The orders are at ${places.api}, the payment provider at ${places.provider}`,
      `The configuration is in ${config}: edit it while this runs`,
      ...stops(places).map((stop) => `\n# ${stop.title}\n${curl(stop)}`),
      "\nCtrl-C ends it"
    ].join("\n")
  )

const main = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "orders-" })
  const config = `${directory}/foundation.config.yaml`
  yield* fs.copyFile(fileURLToPath(new URL("foundation.config.yaml", import.meta.url)), config)
  const live = services({ config, database: values.database ?? `${directory}/orders.db` })

  const started = yield* Deferred.make<Places>()
  if (!values.tour) return yield* run((places) => welcome(places, config)).pipe(Effect.provide(live))
  const service = yield* run((places) => Deferred.succeed(started, places)).pipe(Effect.provide(live), Effect.fork)
  const places = yield* Effect.raceFirst(Deferred.await(started), Fiber.join(service))
  yield* tour(places, config, service).pipe(Effect.timeout("25 seconds"))
}).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))

// Where tsx is slow it passes on the SIGINT that a terminal has sent already: a second one must not cut the end short.
process.on("SIGINT", () => {})

NodeRuntime.runMain(main)
