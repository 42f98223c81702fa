import { createServer } from "node:http"
import { type HttpApp, HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect } from "effect"
import { ServiceRegistry } from "effect-foundation"

/** Serves the app on a free port of the loopback interface until the scope closes, and answers where. */
export const serve = <E, R>(app: HttpApp.Default<E, R>) =>
  Effect.gen(function* () {
    const server = yield* NodeHttpServer.make(() => createServer(), { host: "127.0.0.1", port: 0 })
    yield* server.serve(app)
    return new URL(HttpServer.formatAddress(server.address))
  })

/** The path at the service of this name, wherever that is at the moment. */
export const locate = (service: string, path: string) =>
  Effect.map(ServiceRegistry.lookup(service), ({ process }) => new URL(path, String(process)))
