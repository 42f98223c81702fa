import { createServer } from "node:http"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Schema } from "effect"
import { ServiceRegistry } from "effect-foundation"

const Mood = Schema.Literal("works", "fails", "hangs")

/**
 * A payment provider on loopback, as `payments` of the registry. It charges once for each idempotency key, and does as its
 * mood is: `curl -X PUT …/mood/fails` has it answer 500, and `hangs` not at all.
 */
export const startProvider = Effect.gen(function* () {
  let mood: typeof Mood.Type = "works"
  const charged = new Set<string>()

  const charge = Effect.gen(function* () {
    if (mood === "fails") return HttpServerResponse.empty({ status: 500 })
    if (mood === "hangs") return yield* Effect.never
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    charged.add(headers["idempotency-key"] ?? crypto.randomUUID())
    return HttpServerResponse.empty()
  })
  const change = Effect.map(HttpRouter.schemaPathParams(Schema.Struct({ mood: Mood })), (params) => {
    mood = params.mood
    return HttpServerResponse.text(`${mood}\n`)
  })
  const charges = Effect.sync(() => HttpServerResponse.text(`${charged.size}\n`))

  const server = yield* NodeHttpServer.make(() => createServer(), { host: "127.0.0.1", port: 0 })
  yield* server.serve(
    HttpRouter.empty.pipe(
      HttpRouter.post("/charges", charge),
      HttpRouter.get("/charges", charges),
      HttpRouter.put("/mood/:mood", change)
    )
  )
  const url = new URL(HttpServer.formatAddress(server.address))
  yield* ServiceRegistry.register("payments", url)
  return url
})
