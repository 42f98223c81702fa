/** One event of the library's own: when it happens, what it measures, and what describes it. */
interface Entry {
  readonly when: string
  readonly measurements: ReadonlyArray<string>
  readonly metadata: ReadonlyArray<string>
}

/**
 * Every event that the components themselves emit. Durations are in milliseconds. No event carries the value of a
 * configuration key or the data of an event.
 */
export const catalogue = {
  "config.reload": {
    when: "The sources were read again, at start, on request or by a watcher",
    measurements: ["duration", "changed"],
    metadata: ["outcome", "reason", "path", "source"]
  },
  "config.change": {
    when: "A key has another value than before",
    measurements: ["count"],
    metadata: ["key", "source"]
  },
  "config.policy.rejected": {
    when: "A policy in the configuration is missing or invalid; the last good one stays in force",
    measurements: ["count"],
    metadata: ["component", "name", "reason"]
  },
  "events.store": {
    when: "Events were stored, or were there already",
    measurements: ["count", "duration"],
    metadata: ["stream"]
  },
  "events.rejected": {
    when: "An event or criteria was refused",
    measurements: ["count"],
    metadata: ["operation", "reason"]
  },
  "events.get": {
    when: "Events were read",
    measurements: ["count", "duration"],
    metadata: []
  },
  "events.prune": {
    when: "Events were removed",
    measurements: ["count"],
    metadata: []
  },
  "events.held_back": {
    when: "Events of open transactions are held back from readers, for more than a second",
    measurements: ["behind", "age"],
    metadata: []
  },
  "events.consumer.lease": {
    when: "A consumer became the active one of its name, ended, or lost its lease",
    measurements: ["count"],
    metadata: ["name", "outcome"]
  },
  "events.consumer.handled": {
    when: "An event was handled; the duration is that of all attempts",
    measurements: ["duration", "attempts"],
    metadata: ["name", "type"]
  },
  "events.consumer.retry": {
    when: "An event is tried again",
    measurements: ["attempt"],
    metadata: ["name", "type", "position"]
  },
  "events.consumer.dead_letter": {
    when: "An event, or a replay of one, has failed for good",
    measurements: ["attempts"],
    metadata: ["name", "type", "position"]
  },
  "events.consumer.lag": {
    when: "Told by the active consumer every 10 seconds; at most 10,000 events are counted",
    measurements: ["behind", "age"],
    metadata: ["name"]
  },
  "events.consumer.unavailable": {
    when: "The store did not answer a consumer, which tries again",
    measurements: ["count", "delay"],
    metadata: ["name", "reason"]
  },
  "telemetry.handler.failure": {
    when: "A handler threw, failed, died or had too many runs in progress",
    measurements: ["count"],
    metadata: ["handler", "event", "reason"]
  },
  "telemetry.metric.overflow": {
    when: "A metric has reached its bound on series; the overflow series counts the rest",
    measurements: ["count"],
    metadata: ["metric", "bound"]
  },
  "service_registry.register": {
    when: "A process was registered under a name, or joined a group",
    measurements: ["count"],
    metadata: ["name", "kind"]
  },
  "service_registry.unregister": {
    when: "A registration or a membership has ended",
    measurements: ["count", "duration"],
    metadata: ["name", "kind", "reason"]
  },
  "service_registry.conflict": {
    when: "A registration was refused, because another holds the name",
    measurements: ["count"],
    metadata: ["name"]
  },
  "circuit_breaker.call": {
    when: "A call that was let through has ended",
    measurements: ["duration"],
    metadata: ["name", "outcome"]
  },
  "circuit_breaker.rejected": {
    when: "A call was rejected",
    measurements: ["count", "retryAfter"],
    metadata: ["name", "state"]
  },
  "circuit_breaker.transition": {
    when: "A circuit has changed its state",
    measurements: ["count"],
    metadata: ["name", "from", "to", "reason"]
  },
  "circuit_breaker.policy.conflict": {
    when: "A name was used with a second policy; the first stays",
    measurements: ["count"],
    metadata: ["name"]
  },
  "circuit_breaker.store": {
    when: "Redis does not decide on circuits, or not in time, or does again",
    measurements: ["count"],
    metadata: ["available", "problem"]
  },
  "rate_limiter.admitted": {
    when: "A call was admitted",
    measurements: ["cost", "remaining", "waited"],
    metadata: ["name", "key"]
  },
  "rate_limiter.rejected": {
    when: "A call was rejected",
    measurements: ["cost", "retryAfter"],
    metadata: ["name", "key"]
  },
  "rate_limiter.policy.conflict": {
    when: "A name was used with a second policy; the first stays",
    measurements: ["count"],
    metadata: ["name"]
  },
  "rate_limiter.fallback": {
    when: "A decision was made without Redis, which did not make it in time",
    measurements: ["count"],
    metadata: ["name", "key", "action", "reason"]
  },
  "http.client.request": {
    when: "A request was answered, or failed, timed out or was rejected by its circuit; the body is not waited for",
    measurements: ["duration"],
    metadata: ["method", "origin", "status", "outcome"]
  },
  "http.client.retry": {
    when: "A request is sent again",
    measurements: ["attempt"],
    metadata: ["method", "origin", "reason"]
  },
  "redis.status": {
    when: "The connection to Redis cannot be used, or can be used again",
    measurements: ["count"],
    metadata: ["address", "available", "problem"]
  }
} as const satisfies Record<string, Entry>

export type Catalogue = typeof catalogue

/** The measurements of the event of this name. */
export type MeasurementsOf<Name extends keyof Catalogue> = {
  readonly [key in Catalogue[Name]["measurements"][number]]: number
}

/** The metadata of the event of this name. */
export type MetadataOf<Name extends keyof Catalogue> = {
  readonly [key in Catalogue[Name]["metadata"][number]]: unknown
}
