import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServerRequest } from "@effect/platform-node"
import { type Duration, Effect, Schema, Stream } from "effect"
import { ServiceRegistry, Telemetry } from "effect-foundation"
import { serve } from "./Http.js"
import type { Feature } from "./Quake.js"

export interface Outage {
  /** The page in whose middle the feed breaks. */
  readonly page: number
  /** How long it then answers 503. */
  readonly refuses: Duration.DurationInput
  /** How long, after that, it takes requests and answers none. */
  readonly hangs: Duration.DurationInput
}

const Query = Schema.Struct({ page: Schema.NumberFromString, size: Schema.NumberFromString })

/** Serves the quakes in pages of one JSON line each, as `usgs-feed` of the registry, with one outage on the way. */
export const startFeed = (quakes: ReadonlyArray<Feature>, outage: Outage) =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    let state: "untouched" | "refuses" | "hangs" | "recovered" = "untouched"

    const become = (next: typeof state) =>
      Effect.suspend(() => {
        state = next
        return Telemetry.execute("feed.outage", { count: 1 }, { state, page: outage.page })
      })
    const breakDown = become("refuses").pipe(
      Effect.andThen(Effect.delay(become("hangs"), outage.refuses)),
      Effect.andThen(Effect.delay(become("recovered"), outage.hangs)),
      Effect.forkIn(scope)
    )

    const quakesPage = Effect.gen(function* () {
      if (state === "refuses") return HttpServerResponse.empty({ status: 503 })
      if (state === "hangs") return yield* Effect.never
      const { page, size } = yield* HttpServerRequest.schemaSearchParams(Query)
      const lines = quakes.slice((page - 1) * size, page * size).map((quake) => `${JSON.stringify(quake)}\n`)
      const next = `</quakes?page=${page + 1}&size=${size}>; rel="next"`
      const options = {
        contentType: "application/x-ndjson",
        headers: page * size < quakes.length ? { link: next } : {}
      }
      if (state === "recovered" || page !== outage.page) return HttpServerResponse.text(lines.join(""), options)

      yield* breakDown
      const { socket } = NodeHttpServerRequest.toIncomingMessage(yield* HttpServerRequest.HttpServerRequest)
      const cutOff = Effect.delay(
        Effect.sync(() => socket.destroy()),
        "100 millis"
      )
      const half = Stream.fromIterable(lines.slice(0, lines.length / 2))
      return HttpServerResponse.stream(
        Stream.encodeText(Stream.concat(half, Stream.drain(Stream.fromEffect(cutOff)))),
        options
      )
    })

    const url = yield* serve(HttpRouter.empty.pipe(HttpRouter.get("/quakes", quakesPage)))
    return yield* ServiceRegistry.register("usgs-feed", url, { quakes: quakes.length })
  })
