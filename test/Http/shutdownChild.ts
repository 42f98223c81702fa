import { createServer } from "node:http"
import { FetchHttpClient, HttpLayerRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Deferred, Effect, FiberId, Layer, Schedule, Stream } from "effect"
import { Shutdown } from "effect-foundation/Foundation/Shutdown"
import * as Sqlite from "effect-foundation/Foundation/Sqlite"
import * as Health from "effect-foundation/Http/Health"
import * as HttpShutdown from "effect-foundation/Http/Shutdown"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import * as Otlp from "effect-foundation/Telemetry/Otlp"
import { parent, runChild } from "../support/parent.js"

/** What the service tells: where it listens, and what it does, in its order. */
export type Said = { readonly port: number } | { readonly did: string }

/** Lets the requests to `/slow` end. */
export type Heard = "go"

export interface Settings {
  readonly filename: string
  readonly otlp: number
  readonly delay: string
  readonly deadline: string
}

const { receive, send } = parent<Said, Heard>()
const { deadline, delay, filename, otlp }: Settings = JSON.parse(process.argv[2] ?? "")

const did = (what: string) => send({ did: what })

const gate = Deferred.unsafeMake<void>(FiberId.none)

const routes = HttpLayerRouter.use((router) =>
  Effect.gen(function* () {
    yield* router.add("GET", "/", HttpServerResponse.text("hello"))
    const slow = did("slow begins").pipe(
      Effect.zipRight(Deferred.await(gate)),
      Effect.zipRight(did("slow ends")),
      Effect.as(HttpServerResponse.text("slow"))
    )
    yield* router.add("GET", "/slow", slow)
    const never = Effect.zipRight(did("never begins"), Effect.never)
    yield* router.add(
      "GET",
      "/never",
      Effect.onInterrupt(never, () => did("never interrupted"))
    )
    yield* router.add("GET", "/stuck", Effect.uninterruptible(Effect.zipRight(did("stuck begins"), Effect.never)))
    const ticks = Stream.repeat(Stream.make("tick\n"), Schedule.spaced("20 millis"))
    yield* router.add("GET", "/ticks", HttpServerResponse.stream(Stream.encodeText(ticks)))
  })
)

const server = HttpLayerRouter.serve(
  Layer.mergeAll(routes, Health.layerRoutes(), HttpLayerRouter.middleware(HttpShutdown.middleware(), { global: true })),
  { disableLogger: true, disableListenLog: true }
)

const started = Layer.scopedDiscard(
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    if (address._tag !== "TcpAddress") return yield* Effect.dieMessage("no port")
    const url = `http://127.0.0.1:${address.port}`
    yield* Effect.acquireRelease(Effect.void, () => did("server closes"))
    yield* Shutdown.whileOpen(
      Effect.zipRight(
        Effect.addFinalizer(() => did("announcement is taken back")),
        ServiceRegistry.register("announced", url)
      )
    )
    yield* Effect.forkScoped(Effect.zipRight(receive, Deferred.succeed(gate, undefined)))
    yield* send({ port: address.port })
  })
)

const work = Layer.scopedDiscard(
  Effect.zipRight(
    Effect.addFinalizer(() => Effect.zipRight(Effect.logInfo("the last words"), did("work closes"))),
    ServiceRegistry.register("working", "http://127.0.0.1:1")
  )
)

const exporter = Otlp.layer({
  endpoint: `http://127.0.0.1:${otlp}`,
  resource: { serviceName: "child" },
  interval: "1 minute",
  shutdownTimeout: "1 second"
}).pipe(Layer.provide(FetchHttpClient.layer))

runChild(
  Layer.mergeAll(server, started).pipe(
    Layer.provide(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })),
    Layer.provide(work),
    Shutdown.launch({ delay: delay as "1 second", deadline: deadline as "1 second" }),
    Effect.provide(Layer.provideMerge(Sqlite.layer({ filename }), exporter))
  )
)
