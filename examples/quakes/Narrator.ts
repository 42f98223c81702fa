import { Effect, Stream } from "effect"
import { CircuitBreaker, Config, ServiceRegistry, Telemetry } from "effect-foundation"
import { AlertDelivered } from "./Journal.js"
import type { Screen } from "./Screen.js"

/** An alert of this magnitude is worth a line. */
const great = 6

/** Tells what happens as it happens: each line comes from what a component publishes. */
export const narrate = ({ happened, style }: Screen) =>
  Effect.gen(function* () {
    const colours = {
      closed: style.green,
      half_open: style.yellow,
      open: style.red,
      forced_open: style.red,
      disabled: style.dim
    }
    const outages = {
      refuses: "breaks off within a page, then answers 503",
      hangs: "takes requests, and answers none",
      recovered: "is well again"
    }
    for (const { name, process } of yield* ServiceRegistry.list()) happened("registry", `${name} is at ${process}`)
    const limited = new Set<unknown>()
    yield* Telemetry.attach("narrator", "rate_limiter.rejected", ({ metadata: { key } }) => {
      if (!limited.has(key)) happened("limit", `Alerts for ${key} have to wait`)
      limited.add(key)
    })
    yield* Telemetry.attach("narrator", "feed.outage", ({ metadata }) =>
      happened("feed", `usgs-feed ${outages[metadata.state as keyof typeof outages]}`)
    )
    const configs = Config.changes.pipe(
      Stream.runForEach(({ key, before, after }) =>
        Effect.sync(() => happened("config", style.cyan(`${key}: ${before} is now ${after}`)))
      )
    )
    const circuits = CircuitBreaker.changes.pipe(
      Stream.runForEach(({ name, to, reason }) =>
        Effect.sync(() => happened("circuit", `${name} is ${colours[to](to)}: ${reason.replaceAll("_", " ")}`))
      )
    )
    const alerts = AlertDelivered.subscribe().pipe(
      Stream.filter(({ data }) => (data.magnitude ?? 0) >= great),
      Stream.runForEach(({ data }) =>
        Effect.sync(() => happened("alert", `M ${data.magnitude?.toFixed(1)}, ${data.place}`))
      )
    )
    yield* Effect.all([configs, circuits, alerts], { concurrency: "unbounded", discard: true })
  }).pipe(Effect.scoped)
