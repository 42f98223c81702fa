import { fileURLToPath } from "node:url"
import { FetchHttpClient, FileSystem } from "@effect/platform"
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Array, Cause, Console, Effect, Exit, Layer, Stream } from "effect"
import { Config, Events, Foundation, Telemetry } from "effect-foundation"
import { makeAlerts, threshold } from "./Alerts.js"
import { check } from "./Check.js"
import { startFeed } from "./Feed.js"
import { count } from "./Format.js"
import { ingest, pageSize } from "./Ingester.js"
import { QuakeRecorded } from "./Journal.js"
import { narrate } from "./Narrator.js"
import { editThreshold } from "./Operator.js"
import { Quake, week } from "./Quake.js"
import { tables, verdict } from "./Report.js"
import { makeScreen } from "./Screen.js"
import { Stats } from "./Stats.js"
import { startWebhook } from "./Webhook.js"

/** In the middle of the 18th of 35 pages the feed breaks; after the 24th an operator edits the configuration. */
const outage = { page: 18, refuses: "1500 millis", hangs: "1500 millis" } as const
const edit = { afterPage: 24, threshold: 5 }

/** The service at work on a week of quakes, and what is to be seen of it. Answers whether all of it holds. */
const demo = (configFile: string) =>
  Effect.gen(function* () {
    const screen = yield* makeScreen
    const stats = new Stats()
    yield* Telemetry.attach("stats", "*", stats.observe)

    const features = yield* week
    const before = yield* Config.get(threshold)
    screen.section([
      screen.style.bold(`A week of quakes: ${count(features.length)} of them, alerts from M ${before}`),
      ""
    ])

    const received = yield* startWebhook
    yield* startFeed(features, outage)
    const alerts = yield* makeAlerts
    const work = Effect.gen(function* () {
      yield* ingest((page) =>
        page === edit.afterPage
          ? Effect.zipRight(alerts.judged(page * pageSize), editThreshold(configFile, edit.threshold))
          : Effect.void
      )
      yield* alerts.judged(features.length)
      yield* alerts.delivered
    })
    const progress = () => ({
      done: stats.judged,
      total: features.length,
      note: `circuit ${stats.circuit.at(-1) ?? "closed"}, ${received.length} alerts`
    })
    yield* Effect.raceFirst(
      work,
      Effect.all([alerts.run, narrate(screen), screen.show(progress)], { concurrency: "unbounded", discard: true })
    )

    const events = Array.groupBy(yield* Stream.runCollect(Events.stream()), ({ type }) => type)
    const stored = yield* Stream.runCollect(QuakeRecorded.stream())
    const findings = check(
      features.map(Quake.fromFeature),
      [
        { from: 0, magnitude: before },
        { from: edit.afterPage * pageSize, magnitude: edit.threshold }
      ],
      {
        stored: Array.fromIterable(stored).map(({ data }) => data),
        offered: stats.offered,
        alerts: received,
        circuit: stats.circuit
      }
    )
    const counts = Object.entries(events).map(([type, events]) => [type, events.length] as const)
    screen.section(tables({ ...stats.numbers, events: counts }, screen.style))
    screen.section([...verdict(findings, screen.elapsed(), screen.style), ""])
    return findings.every(({ holds }) => holds)
  }).pipe(Effect.scoped)

/** The six services, configured by a copy of the file beside this one: the demo edits it. */
const main = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const configFile = `${yield* fs.makeTempDirectoryScoped({ prefix: "quakes-" })}/foundation.config.yaml`
  yield* fs.copyFile(fileURLToPath(new URL("foundation.config.yaml", import.meta.url)), configFile)
  const services = Foundation.layer({ config: Config.layerFrom(Config.file(configFile)) })
  return yield* demo(configFile).pipe(Effect.provide(services))
}).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeFileSystem.layer, FetchHttpClient.layer)))

// Where tsx is slow it passes on the SIGINT that a terminal has sent already: a second one must not cut the end short.
process.on("SIGINT", () => {})

NodeRuntime.runMain(
  main.pipe(
    Effect.timeout("28 seconds"),
    Effect.tapErrorCause((cause) => Console.error(`✗ The demo did not end as it should\n${Cause.pretty(cause)}`)),
    Effect.onInterrupt(() => Console.error("Interrupted: the servers are closed"))
  ),
  {
    disableErrorReporting: true,
    teardown: (exit, end) =>
      end(
        Exit.match(exit, {
          onSuccess: (holds) => (holds === true ? 0 : 1),
          onFailure: (cause) => (Cause.isInterruptedOnly(cause) ? 130 : 1)
        })
      )
  }
)
