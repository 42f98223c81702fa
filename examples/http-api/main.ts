/** An HttpApi whose endpoints fail with the errors of the library, its client, and its document: `npx tsx examples/http-api/main.ts` */
import { createServer } from "node:http"
import { FetchHttpClient, HttpApiBuilder, HttpApiClient, HttpServer, type OpenApi } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Duration, Effect, Layer } from "effect"
import { FoundationLive } from "effect-foundation"
import * as CorrelationId from "effect-foundation/Http/CorrelationId"
import * as Problem from "effect-foundation/Http/Problem"
import { Api } from "./Api.js"
import { Notes } from "./Handlers.js"

/**
 * What no endpoint declares (no such route, a defect) is a problem. So the app is wrapped before it is served: a middleware of
 * `HttpApiBuilder.serve` comes when failures are answered already.
 */
const Served = HttpApiBuilder.httpApp.pipe(
  Effect.map((app) => HttpServer.serve(app.pipe(Problem.middleware({ unknown: true }), CorrelationId.middleware()))),
  Layer.unwrapEffect,
  Layer.provide([HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer]),
  Layer.provide(HttpApiBuilder.middlewareOpenApi({ path: "/openapi.json" })),
  Layer.provide(HttpApiBuilder.api(Api).pipe(Layer.provide(Notes))),
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })),
  Layer.provide(FoundationLive)
)

const program = Effect.gen(function* () {
  const { address } = yield* HttpServer.HttpServer
  const baseUrl = HttpServer.formatAddress(address)
  const { notes } = yield* HttpApiClient.make(Api, { baseUrl })

  yield* notes.write({ payload: { text: "buy tea" } })
  yield* notes.write({ payload: { text: "drink tea" } })
  yield* Console.log(yield* notes.list())

  const refused = yield* Effect.flip(notes.write({ payload: { text: "wash up" } }))
  if (refused._tag === "RateLimited")
    yield* Console.log(`RateLimited: ${refused.limit} in ${Duration.format(refused.interval)}`)
  const late = yield* Effect.flip(notes.translate({ path: { id: 1 } }))
  if (late._tag === "OperationTimeout") yield* Console.log(`OperationTimeout: ${Duration.format(late.timeout)}`)
  const open = yield* Effect.flip(notes.translate({ path: { id: 1 } }))
  if (open._tag === "CircuitOpen")
    yield* Console.log(`CircuitOpen: ${open.circuit}, come again in ${Duration.format(open.retryAfter)}`)

  const document = yield* Effect.promise(
    async () => (await fetch(`${baseUrl}/openapi.json`)).json() as Promise<OpenApi.OpenAPISpec>
  )
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      yield* Console.log(`${method.toUpperCase()} ${path}: ${Object.keys(operation.responses).join(", ")}`)
    }
  }
  const nowhere = yield* Effect.promise(async () => (await fetch(`${baseUrl}/nowhere`)).text())
  yield* Console.log(nowhere)
})

program.pipe(Effect.scoped, Effect.provide([Served, FetchHttpClient.layer]), NodeRuntime.runMain)
