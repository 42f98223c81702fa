import { counter, type Definition, distribution, lastValue, sum } from "./Definition.js"

/**
 * Metrics of the library's own events: what an operator asks first. Tagged by what a program names (circuits, limits,
 * services), never by what its users do (keys of a limit, ids).
 */
export const foundationMetrics: ReadonlyArray<Definition> = [
  distribution("circuit_breaker.call", {
    measurement: "duration",
    unit: "ms",
    tags: ["name", "outcome"],
    description: "Calls that a circuit let through, by outcome"
  }),
  counter("circuit_breaker.rejected", { tags: ["name", "state"], description: "Calls that a circuit rejected" }),
  counter("circuit_breaker.transition", { tags: ["name", "from", "to"], description: "Changes of a circuit's state" }),
  distribution("http.client.request", {
    measurement: "duration",
    unit: "ms",
    tags: ["origin", "outcome"],
    description: "Requests of the HTTP client until the head of the response, by outcome"
  }),
  counter("http.client.retry", { tags: ["origin"], description: "Requests that the HTTP client sent again" }),
  counter("rate_limiter.admitted", { tags: ["name"], description: "Calls that a limit admitted" }),
  counter("rate_limiter.rejected", { tags: ["name"], description: "Calls that a limit rejected" }),
  distribution("rate_limiter.admitted", {
    measurement: "waited",
    unit: "ms",
    tags: ["name"],
    description: "How long admitted calls waited for the limit"
  }),
  counter("config.reload", { tags: ["outcome"], description: "Readings of the configuration" }),
  counter("config.policy.rejected", { tags: ["component", "name"], description: "Policies that could not be used" }),
  sum("events.store", { measurement: "count", description: "Events that were stored" }),
  distribution("events.store", { measurement: "duration", unit: "ms", description: "How long storing took" }),
  counter("events.rejected", { tags: ["operation", "reason"], description: "Events and criteria that were refused" }),
  lastValue("events.held_back", {
    measurement: "behind",
    description: "Events that readers do not see yet, for an earlier transaction is still open"
  }),
  lastValue("events.held_back", {
    measurement: "age",
    unit: "ms",
    description: "For how long events have been held back from readers"
  }),
  distribution("events.consumer.handled", {
    measurement: "duration",
    unit: "ms",
    tags: ["name"],
    description: "How long events took a consumer, retries included"
  }),
  counter("events.consumer.retry", { tags: ["name"], description: "Events that a consumer tried again" }),
  counter("events.consumer.dead_letter", { tags: ["name"], description: "Events that a consumer could not handle" }),
  lastValue("events.consumer.lag", {
    measurement: "behind",
    tags: ["name"],
    description: "Events that wait for a consumer"
  }),
  lastValue("events.consumer.lag", {
    measurement: "age",
    unit: "ms",
    tags: ["name"],
    description: "How old the oldest event is that waits for a consumer"
  }),
  counter("service_registry.register", { tags: ["kind"], description: "Registrations" }),
  counter("service_registry.unregister", { tags: ["kind", "reason"], description: "Registrations that ended" }),
  counter("telemetry.handler.failure", { tags: ["handler"], description: "Failures of telemetry handlers" })
]
