import { createServer } from "node:http"
import { FetchHttpClient, HttpServer } from "@effect/platform"
import { NodeFileSystem, NodeHttpServer } from "@effect/platform-node"
import { Duration, Effect, Layer, Schema } from "effect"
import { Config, ServiceRegistry, Telemetry } from "effect-foundation"
import { Shutdown } from "effect-foundation/Foundation/Shutdown"
import * as Sqlite from "effect-foundation/Foundation/Sqlite"
import * as CorrelationId from "effect-foundation/Http/CorrelationId"
import * as Health from "effect-foundation/Http/Health"
import * as Problem from "effect-foundation/Http/Problem"
import * as HttpShutdown from "effect-foundation/Http/Shutdown"
import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
import { startProvider } from "./Provider.js"
import { told } from "./Requests.js"
import { orders } from "./Routes.js"

const Port = Config.Key("server.port", Schema.Int.pipe(Schema.between(0, 65_535)), { default: 0 })

const metrics = [
  ...Telemetry.foundationMetrics,
  Telemetry.distribution("shop.request", {
    name: "shop_request_duration",
    measurement: "duration",
    unit: "ms",
    tags: ["method", "status"],
    description: "Requests that were answered, by status"
  })
]

/** What a request passes through, from the innermost to the outermost. */
const app = orders.pipe(
  Prometheus.route(),
  Health.routes(),
  Problem.middleware({ unknown: true }),
  HttpShutdown.middleware(),
  told,
  CorrelationId.middleware()
)

/** Serves the API until the scope closes, and answers where. */
const startApi = Effect.gen(function* () {
  yield* Telemetry.metrics(metrics)
  const server = yield* NodeHttpServer.make(() => createServer(), { host: "127.0.0.1", port: yield* Config.get(Port) })
  yield* server.serve(app)
  const url = new URL(HttpServer.formatAddress(server.address))
  yield* Shutdown.whileOpen(ServiceRegistry.register("orders", url))
  return url
})

/** Where the parts of the example are. */
export interface Places {
  readonly api: URL
  readonly provider: URL
}

/**
 * Runs the API until it is interrupted, as by SIGTERM: then it is not ready from that moment on, ends what it has begun, and
 * takes nothing new. The provider outlives it.
 */
export const run = <E, R>(started: (places: Places) => Effect.Effect<void, E, R>) =>
  Effect.gen(function* () {
    const provider = yield* startProvider
    const delay = yield* Config.get("shutdown.delay", Duration.seconds(5))
    const deadline = yield* Config.get("shutdown.deadline", Duration.seconds(20))
    const api = Effect.flatMap(startApi, (api) => started({ api, provider }))
    return yield* Layer.scopedDiscard(api).pipe(Shutdown.launch({ delay, deadline }))
  }).pipe(Effect.scoped)

export interface Files {
  /** Where the events are, which outlive the process. */
  readonly database: string
  /** What an operator may tune. Environment variables (`SHOP__SERVER__PORT`) win over it. */
  readonly config: string
}

/** The six services, and what they need of the platform. */
export const services = ({ config, database }: Files) =>
  Sqlite.layer({
    filename: database,
    config: Config.layerFrom(Config.file(config), Config.env({ prefix: "SHOP__" }))
  }).pipe(Layer.provideMerge(Layer.merge(NodeFileSystem.layer, FetchHttpClient.layer)))
