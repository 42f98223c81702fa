import type { Telemetry } from "effect-foundation"
import type { Numbers } from "./Report.js"

/** How calls of one kind have gone. */
export interface Calls {
  succeeded: number
  failed: number
  timedOut: number
  rejected: number
  retried: number
}

const noCalls: Calls = { succeeded: 0, failed: 0, timedOut: 0, rejected: 0, retried: 0 }

const ofOutcome: Readonly<Record<string, keyof Calls>> = {
  success: "succeeded",
  failure: "failed",
  timeout: "timedOut"
}

/** The numbers of a run, from its telemetry alone: no part of the service counts for the report. */
export class Stats {
  /** Calls of the feed, through the circuit. */
  readonly feed = { ...noCalls }
  /** Calls of the webhook, through the limiter. */
  readonly webhook = { ...noCalls }
  /** The states that the circuit went through. */
  readonly circuit: Array<string> = []
  /** Milliseconds. */
  readonly latencies = {
    feed: [] as number[],
    store: [] as number[],
    post: [] as number[],
    delivery: [] as number[]
  }
  offered = 0
  judged = 0

  /** What the report shows of them. */
  get numbers(): Omit<Numbers, "events"> {
    const { feed, store, post, delivery } = this.latencies
    return {
      calls: [
        ["feed, through the circuit", this.feed],
        ["webhook, through the limit", this.webhook]
      ],
      latencies: [
        ["feed, each call", feed],
        ["event, until stored", store],
        ["webhook, each call", post],
        ["alert, until delivered", delivery]
      ]
    }
  }

  /** The handler to attach. */
  readonly observe = ({ name, measurements: { duration = 0 }, metadata }: Telemetry.Event): void => {
    switch (name) {
      case "circuit_breaker.call": {
        const outcome = ofOutcome[String(metadata.outcome)]
        if (outcome !== undefined) this.feed[outcome]++
        this.latencies.feed.push(duration)
        return
      }
      case "circuit_breaker.rejected":
        this.feed.rejected++
        return
      case "circuit_breaker.transition":
        this.circuit.push(String(metadata.to))
        return
      case "rate_limiter.rejected":
        this.webhook.rejected++
        return
      case "events.store":
        this.latencies.store.push(duration)
        return
      case "quakes.offered":
        this.offered++
        return
      case "quakes.judged":
        this.judged++
        return
      case "quakes.retry":
        this.feed.retried++
        return
      case "alerts.retry":
        this.webhook.retried++
        return
      case "alerts.post.stop":
        this.webhook.succeeded++
        this.latencies.post.push(duration)
        return
      case "alerts.post.exception":
        this.webhook.failed++
        return
      case "alerts.delivery.stop":
        this.latencies.delivery.push(duration)
        return
    }
  }
}
