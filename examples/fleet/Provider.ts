import { createServer } from "node:http"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Clock, Effect } from "effect"

/** A request as the provider saw it, in milliseconds of the machine's clock. */
export interface Visit {
  readonly came: number
  readonly left: number
  readonly well: boolean
}

/** An HTTP server of somebody else, which works until it is told to fail, and keeps book of who came. */
export const startProvider = Effect.gen(function* () {
  const visits: Array<Visit> = []
  let works = true
  const answer = Effect.gen(function* () {
    const came = yield* Clock.currentTimeMillis
    // What is broken takes its time: two probes at once would be seen.
    const well = works
    yield* Effect.sleep(well ? "10 millis" : "150 millis")
    visits.push({ came, left: yield* Clock.currentTimeMillis, well })
    return HttpServerResponse.text(well ? "charged" : "out of order", { status: well ? 200 : 503 })
  })
  const server = yield* NodeHttpServer.make(() => createServer(), { host: "127.0.0.1", port: 0 })
  yield* server.serve(answer)
  return {
    url: HttpServer.formatAddress(server.address),
    visits,
    fail: Effect.sync(() => {
      works = false
    }),
    recover: Effect.sync(() => {
      works = true
    })
  }
})
