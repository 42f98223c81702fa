import { Telemetry } from "effect-foundation"
import type { Calls, Latency, Numbers } from "./Report.js"
import type { Scrape } from "./Scrape.js"

const latency = (event: string, name: string, description: string) =>
  Telemetry.summary(event, {
    name,
    description,
    measurement: "duration",
    unit: "ms",
    quantiles: [0.5, 0.95, 1],
    maxSize: 4096
  })

/** What the service tells of itself: the metrics of the library, and its own. */
export const metrics = [
  ...Telemetry.foundationMetrics,
  Telemetry.counter("quakes.offered", { name: "quakes_offered", description: "Quakes handed to the event store" }),
  Telemetry.counter("quakes.judged", { name: "quakes_judged", description: "Quakes compared with the threshold" }),
  Telemetry.counter("quakes.retry", { name: "quakes_retries", description: "Pages that were asked for again" }),
  Telemetry.counter("alerts.retry", { name: "alerts_retries", description: "Alerts that were tried again" }),
  Telemetry.counter("alerts.post.exception", {
    name: "alerts_failures",
    description: "Alerts the webhook did not take"
  }),
  latency("circuit_breaker.call", "feed_latency", "How long calls of the feed took"),
  latency("events.store", "store_latency", "How long an event took until it was stored"),
  latency("alerts.post.stop", "post_latency", "How long calls of the webhook took"),
  latency("alerts.delivery.stop", "delivery_latency", "How long an alert took until it was delivered")
]

/** How many quakes were handed to the event store. */
export const offered = (scrape: Scrape): number => scrape.sum("quakes_offered_total")

/** How many quakes were compared with the threshold. */
export const judged = (scrape: Scrape): number => scrape.sum("quakes_judged_total")

/** How often the circuit of the feed opened. */
export const opened = (scrape: Scrape): number =>
  scrape.sum("circuit_breaker_transition_count_total", { name: "usgs-feed", to: "open" })

/** What the report shows of a scrape. */
export const numbersOf = (scrape: Scrape): Omit<Numbers, "events"> => ({
  calls: [
    ["feed, through the circuit", feedCalls(scrape)],
    ["webhook, through the limit", webhookCalls(scrape)]
  ],
  latencies: [
    ["feed, each call", latencyOf(scrape, "feed_latency_seconds")],
    ["event, until stored", latencyOf(scrape, "store_latency_seconds")],
    ["webhook, each call", latencyOf(scrape, "post_latency_seconds")],
    ["alert, until delivered", latencyOf(scrape, "delivery_latency_seconds")]
  ]
})

const feedCalls = (scrape: Scrape): Calls => {
  const ended = (outcome: string) =>
    scrape.sum("circuit_breaker_call_duration_seconds_count", { name: "usgs-feed", outcome })
  return {
    succeeded: ended("success"),
    failed: ended("failure"),
    timedOut: ended("timeout"),
    rejected: scrape.sum("circuit_breaker_rejected_count_total", { name: "usgs-feed" }),
    retried: scrape.sum("quakes_retries_total")
  }
}

const webhookCalls = (scrape: Scrape): Calls => ({
  succeeded: scrape.sum("post_latency_seconds_count"),
  failed: scrape.sum("alerts_failures_total"),
  timedOut: 0,
  rejected: scrape.sum("rate_limiter_rejected_count_total", { name: "alerts" }),
  retried: scrape.sum("alerts_retries_total")
})

const latencyOf = (scrape: Scrape, name: string): Latency => {
  const quantile = (part: number) => scrape.sum(name, { quantile: String(part) }) * 1000
  return { count: scrape.sum(`${name}_count`), p50: quantile(0.5), p95: quantile(0.95), max: quantile(1) }
}
