import { HttpApp, HttpLayerRouter, HttpRouter } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { ConfigError } from "effect-foundation"
import * as Health from "effect-foundation/Http/Health"
import { FoundationTest } from "effect-foundation/Testing"
import { noDurations } from "../support/noDurations.js"

const get = (handler: (request: Request) => Promise<Response>, path: string, method = "GET") =>
  Effect.promise(() => handler(new Request(`http://localhost${path}`, { method })))

const routers: ReadonlyArray<readonly [string, () => ReturnType<typeof HttpLayerRouter.toWebHandler>]> = [
  ["HttpRouter", () => HttpApp.toWebHandlerLayer(HttpRouter.empty.pipe(Health.routes()), FoundationTest) as never],
  [
    "HttpLayerRouter",
    () => HttpLayerRouter.toWebHandler(Health.layerRoutes().pipe(Layer.provide(FoundationTest), Layer.orDie)) as never
  ]
]

describe.each(routers)("the routes for %s", (_, make) => {
  const served = Effect.acquireRelease(Effect.sync(make), ({ dispose }) => Effect.promise(dispose))

  it.scopedLive("answer readiness with the health of the components", () =>
    Effect.gen(function* () {
      const { handler } = yield* served
      const response = yield* get(handler as never, "/health")
      expect(response.status).toBe(200)
      expect(response.headers.get("cache-control")).toBe("no-store")
      expect(response.headers.get("content-type")).toBe("application/health+json")
      const body = yield* Effect.promise(() => response.json()).pipe(Effect.flatMap(Schema.decodeUnknown(Health.Body)))
      expect(body).toMatchObject({ status: "pass", ready: true, draining: false })
    })
  )
  it.scopedLive("answer liveness, and HEAD", () =>
    Effect.gen(function* () {
      const { handler } = yield* served
      for (const path of ["/health", "/health/live"]) {
        const response = yield* get(handler as never, path, "HEAD")
        expect([response.status, yield* Effect.promise(() => response.text())]).toEqual([200, ""])
      }
    })
  )
})

describe("the routes with a deadline that is none", () => {
  it.each(noDurations)("are not made (%#)", (deadline) => {
    expect(() => Health.routes({ deadline })).toThrow(ConfigError)
    expect(() => Health.layerRoutes({ deadline })).toThrow(ConfigError)
    expect(() => Health.ready({ deadline })).not.toThrow()
  })
})
