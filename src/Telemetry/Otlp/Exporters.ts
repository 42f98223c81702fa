import * as OtlpLogger from "@effect/opentelemetry/OtlpLogger"
import * as OtlpResource from "@effect/opentelemetry/OtlpResource"
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import { turn } from "../../internal/turn.js"
import { sliceCost } from "../Prometheus/Slices.js"
import { attributed } from "./Corrections.js"
import { bounded } from "./Logger.js"
import { requests } from "./MetricData.js"
import type { Settings } from "./Options.js"
import { clientOf } from "./Outbox.js"
import type { Batch } from "./Queue.js"
import * as Sender from "./Sender.js"
import { corrected } from "./Serialization.js"
import { correlated } from "./Tracer.js"

/** Everything that sends, for as long as the scope is open; the tracer and the logger are those of the layer. */
export const make = (
  settings: Settings
): Effect.Effect<Layer.Layer<never>, never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const { encoding, interval, maxBatch, resource, sends, shutdownTimeout, target } = settings
    const sender = {
      traces: yield* Sender.make("traces", target("traces")),
      metrics: yield* Sender.make("metrics", target("metrics")),
      logs: yield* Sender.make("logs", target("logs"))
    }
    // After what the exporters have left at their end, and before the senders' fibers are interrupted.
    yield* Effect.addFinalizer(() =>
      Effect.all([sender.traces.flush, sender.metrics.flush, sender.logs.flush], { concurrency: "unbounded" }).pipe(
        Effect.disconnect,
        // Only within the timeout: whoever closes the scope may be interrupted already, as a program is by SIGTERM.
        Effect.interruptible,
        Effect.timeoutOption(shutdownTimeout)
      )
    )
    const encoder = Context.get(
      yield* Layer.build(encoding === "json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf),
      OtlpSerialization.OtlpSerialization
    )
    /** For an exporter of Effect's: it encodes, and the sender does the rest. */
    const exporting = <A>(
      signal: Sender.Signal,
      exporter: Effect.Effect<A, never, HttpClient.HttpClient | OtlpSerialization.OtlpSerialization | Scope.Scope>
    ) =>
      exporter.pipe(
        Effect.provideService(HttpClient.HttpClient, clientOf(sender[signal])),
        Effect.provideService(
          OtlpSerialization.OtlpSerialization,
          corrected(encoder, encoding, () => Sender.count(signal, "dropped", 1))
        )
      )
    const common = { resource, exportInterval: interval, maxBatchSize: maxBatch, url: "http://outbox" }
    const layers: Array<Layer.Layer<never>> = []
    if (sends("traces")) {
      const tracer = yield* exporting("traces", OtlpTracer.make(common))
      layers.push(Layer.setTracer(correlated(tracer)))
    }
    if (sends("logs")) {
      const logger = yield* exporting("logs", OtlpLogger.make(common))
      layers.push(Logger.add(bounded(logger)))
    }
    if (sends("metrics")) {
      yield* metrics(settings, sender.metrics, encoder)
    }
    return layers.reduce((all, layer) => Layer.merge(all, layer), Layer.empty as Layer.Layer<never>)
  })

/**
 * Not Effect's exporter of metrics: it reads and encodes all of them in one step, and stops where two metrics of one name
 * are of different kinds.
 */
const metrics = (
  { encoding, metricsInterval, resource }: Settings,
  sender: Sender.Sender,
  encoder: Context.Tag.Service<OtlpSerialization.OtlpSerialization>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    const start = String(clock.unsafeCurrentTimeNanos())
    const of = attributed(yield* OtlpResource.fromConfig(resource), encoding)
    const serialization = corrected(encoder, encoding, () => Sender.count("metrics", "dropped", 1))
    const encode = (metrics: ReadonlyArray<object>): ReadonlyArray<Batch> => {
      const scope = { name: "effect-foundation" }
      const body = serialization.metrics({ resourceMetrics: [{ resource: of, scopeMetrics: [{ scope, metrics }] }] })
      return body._tag === "Uint8Array" && body.body.length > 0
        ? [{ body: body.body, contentType: body.contentType }]
        : []
    }
    const collect = Effect.gen(function* () {
      const batches: Array<Batch> = []
      let cost = 0
      for (const step of requests({ start, now: String(clock.unsafeCurrentTimeNanos()) }, encoding)) {
        cost += step.cost
        if ("metrics" in step) batches.push(...encode(step.metrics))
        if (cost < sliceCost) continue
        cost = 0
        yield* turn
      }
      sender.replace(batches)
    })
    yield* Effect.addFinalizer(() => collect)
    yield* Effect.sleep(metricsInterval).pipe(
      Effect.zipRight(collect),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )
  })
