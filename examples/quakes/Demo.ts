import { Array, Effect, Stream } from "effect"
import { CircuitBreaker, Config, Events, Telemetry } from "effect-foundation"
import { makeAlerts, threshold } from "./Alerts.js"
import { check } from "./Check.js"
import { startFeed } from "./Feed.js"
import { count } from "./Format.js"
import { ingest, pageSize } from "./Ingester.js"
import { QuakeRecorded } from "./Journal.js"
import { metrics, numbersOf, offered, opened } from "./Metrics.js"
import { scrape, startMonitoring } from "./Monitoring.js"
import { narrate } from "./Narrator.js"
import { editThreshold } from "./Operator.js"
import { Quake, week } from "./Quake.js"
import { tables, verdict } from "./Report.js"
import { makeScreen, type Output } from "./Screen.js"
import { startWebhook } from "./Webhook.js"

/** In the middle of the 18th of 35 pages the feed breaks; after the 24th an operator edits the configuration. */
const outage = { page: 18, refuses: "1500 millis", hangs: "1500 millis" } as const
const edit = { afterPage: 24, threshold: 5 }

export interface Options {
  /** The file that the operator edits. */
  readonly configFile: string
  readonly output?: Output
}

/**
 * The service at work on a week of quakes, and what is to be seen of it; its numbers come from a scrape of its own metrics.
 * Answers whether all of it holds. The metrics are there until the scope closes.
 */
export const demo = ({ configFile, output }: Options) =>
  Effect.gen(function* () {
    const screen = yield* makeScreen(output)
    yield* Telemetry.metrics(metrics)
    const monitoring = yield* startMonitoring

    const features = yield* week
    const before = yield* Config.get(threshold)
    screen.section([
      screen.style.bold(`A week of quakes: ${count(features.length)} of them, alerts from M ${before}`),
      `Its metrics are at ${monitoring}metrics, its health is at ${monitoring}health`,
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
    const circuit = Effect.orDie(CircuitBreaker.state("usgs-feed"))
    const progress = Effect.zipWith(alerts.progress, circuit, (done, state) => ({
      done,
      total: features.length,
      note: `circuit ${state}, ${received.length} alerts`
    }))
    yield* Effect.raceFirst(
      work,
      Effect.all([alerts.run, narrate(screen), screen.show(progress)], { concurrency: "unbounded", discard: true })
    )

    const scraped = yield* scrape(monitoring)
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
        offered: offered(scraped),
        alerts: received,
        circuit: { opened: opened(scraped), state: yield* circuit }
      }
    )
    const counts = Object.entries(events).map(([type, events]) => [type, events.length] as const)
    screen.section(tables({ ...numbersOf(scraped), events: counts }, screen.style))
    screen.section([...verdict(findings, screen.elapsed(), screen.style), ""])
    return { holds: findings.every(({ holds }) => holds), monitoring, scraped }
  })
