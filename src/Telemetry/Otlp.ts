import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ConfigError } from "../FoundationError.js"
import { Telemetry } from "../Telemetry.js"
import type { Selector } from "./Handlers.js"
import * as Exporters from "./Otlp/Exporters.js"
import { type Options, settingsOf } from "./Otlp/Options.js"
import { toSpanEvent } from "./Otlp/SpanEvents.js"

export type { Options, Resource } from "./Otlp/Options.js"
export type { Signal } from "./Otlp/Sender.js"

/**
 * Sends traces, metrics and logs to an OpenTelemetry receiver over HTTP, for as long as the layer lives. Spans are those of
 * `Effect.withSpan` and `Telemetry.span`; metrics are all of Effect's registry; logs are what is logged, beside the loggers
 * that are there. Needs no OpenTelemetry SDK. Fails where an option is not valid.
 *
 * **What a receiver costs.** Sending is in the background, one request of a signal at a time. What a receiver that is slow,
 * dead or failing does not take waits: at most `maxBytes` of each signal; past it the oldest are dropped. An answer of 429,
 * 502, 503 or 504, no answer, and no connection are tried again, after what `Retry-After` asks for or after 1, 2, 4 … at
 * most 30 seconds; after any other answer the batch is dropped, as OTLP has it. Both the begin and the end of an outage are
 * logged once, and `telemetry_export_batches` counts what became of batches. At the end what is left has `shutdownTimeout`.
 *
 * **Ids.** The trace id of the current span is the correlation id of errors, events and logs, unless one was set: then
 * spans and logs have it as the attribute `correlationId`, beside their trace id.
 *
 * @example
 * import { FetchHttpClient } from "@effect/platform"
 * import * as Otlp from "effect-foundation/Telemetry/Otlp"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const Live = Otlp.layer({
 *   endpoint: "http://localhost:4318",
 *   headers: { authorization: Redacted.make("Bearer secret") },
 *   resource: { serviceName: "orders", serviceVersion: "1.2.3" },
 *   shutdownTimeout: "100 millis"
 * }).pipe(Layer.provide(FetchHttpClient.layer))
 *
 * Effect.runPromise(Effect.log("sent").pipe(Effect.withSpan("work"), Effect.provide(Live)))
 */
export const layer = (options: Options): Layer.Layer<never, ConfigError, HttpClient.HttpClient> =>
  Layer.unwrapScoped(
    Effect.flatMap(
      Effect.suspend(() => settingsOf(options)),
      Exporters.make
    )
  )

/**
 * Makes what `Telemetry.execute` emits within a span an event of that span, at most 128 of each span: all events by default,
 * or those that the selector takes. With any tracer.
 *
 * @example
 * import { FetchHttpClient } from "@effect/platform"
 * import { Telemetry } from "effect-foundation"
 * import * as Otlp from "effect-foundation/Telemetry/Otlp"
 * import { Effect, Layer } from "effect"
 *
 * const Live = Layer.mergeAll(
 *   Otlp.layer({
 *     endpoint: "http://localhost:4318",
 *     resource: { serviceName: "orders" },
 *     shutdownTimeout: "100 millis"
 *   }),
 *   Otlp.layerSpanEvents("cache.*")
 * ).pipe(Layer.provide(FetchHttpClient.layer), Layer.provideMerge(Telemetry.layer))
 *
 * const program = Telemetry.execute("cache.miss", { age: 5 }, { key: "a" }).pipe(Telemetry.span("order.fetch"))
 *
 * Effect.runPromise(Effect.provide(program, Live))
 */
export const layerSpanEvents = (selector: Selector = "*"): Layer.Layer<never, never, Telemetry> =>
  Layer.scopedDiscard(Telemetry.attach("span-events", selector, toSpanEvent))
