import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { deadlineOf } from "../Foundation/Health/Deadline.js"
import * as Health from "../Foundation/Health.js"
import type { Foundation } from "../Foundation.js"

/** The media type of the body (draft-inadarei-api-health-check-06). */
export const contentType = "application/health+json"

const Status = Schema.Literal("pass", "warn", "fail")

/** The body of a response: `pass` is up, `warn` degraded or ready nevertheless, `fail` down or not ready. */
export const Body = Schema.Struct({
  status: Status,
  ready: Schema.Boolean,
  draining: Schema.Boolean,
  checks: Schema.Record({
    key: Schema.String,
    value: Schema.Array(
      Schema.Struct({
        status: Status,
        /** Since when it is so. */
        since: Schema.String,
        /** Why. */
        output: Schema.optional(Schema.String)
      })
    )
  })
})
export type Body = typeof Body.Type

export interface Options<C extends Health.Checks = Record<never, never>> extends Health.Options<C> {
  /**
   * Whether the body says why a component is not up: yes, where not given. Reasons hold no secrets, but the names of circuits,
   * consumers and sources: say no where strangers can ask.
   */
  readonly reasons?: boolean
}

export interface Paths {
  /** `/health/live` where not given. */
  readonly live?: HttpRouter.PathInput
  /** `/health` where not given. */
  readonly ready?: HttpRouter.PathInput
}

type NeedsOf<C> = Foundation | Health.NeedsOf<C>

const noStore = { "cache-control": "no-store" }

/**
 * Liveness: 200 for as long as the process answers at all. It asks no component: to start a process anew mends no database.
 */
export const live: Effect.Effect<HttpServerResponse.HttpServerResponse> = Effect.succeed(
  HttpServerResponse.text('{"status":"pass"}', { contentType, headers: noStore })
)

/**
 * Readiness: 200, or 503 where the service is not ready or shuts down, with the health of the components as
 * `application/health+json`, within the deadline of `Foundation.health`.
 */
export const ready = <const C extends Health.Checks = Record<never, never>>(
  options: Options<C> = {}
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, NeedsOf<C>> =>
  Effect.map(Health.check(options), (health) =>
    HttpServerResponse.text(JSON.stringify(bodyOf(health, options.reasons ?? true)), {
      status: health.ready ? 200 : 503,
      contentType,
      headers: noStore
    })
  )

const statuses = { up: "pass", degraded: "warn", down: "fail" } as const

const bodyOf = (health: Health.Health<string>, reasons: boolean): Body => ({
  status: !health.ready ? "fail" : health.status === "up" ? "pass" : "warn",
  ready: health.ready,
  draining: health.draining,
  checks: Object.fromEntries(
    Object.entries(health.components).map(([name, { reason, since, status }]) => [
      name,
      [
        {
          status: statuses[status],
          since: DateTime.formatIso(DateTime.unsafeMake(since)),
          ...(reasons && reason !== undefined ? { output: reason } : {})
        }
      ]
    ])
  )
})

/**
 * Adds both routes to a `HttpRouter`: readiness at `/health` and liveness at `/health/live`, for GET and HEAD. Throws
 * ConfigError where the deadline is no duration.
 *
 * @example
 * import { HttpApp, HttpRouter, HttpServerResponse } from "@effect/platform"
 * import { FoundationLive } from "effect-foundation"
 * import * as Health from "effect-foundation/Http/Health"
 *
 * const router = HttpRouter.empty.pipe(HttpRouter.get("/", HttpServerResponse.text("hello")), Health.routes())
 *
 * const { dispose, handler } = HttpApp.toWebHandlerLayer(router, FoundationLive)
 * const response = await handler(new Request("http://localhost/health"))
 * console.log(response.status, await response.json()) // 200 { status: "pass", ready: true, … }
 * await dispose()
 */
export const routes = <const C extends Health.Checks = Record<never, never>>(options: Options<C> & Paths = {}) => {
  // Here already, not at each request.
  deadlineOf(options.deadline)
  return <E, R>(router: HttpRouter.HttpRouter<E, R>): HttpRouter.HttpRouter<E, R | NeedsOf<C>> =>
    router.pipe(
      HttpRouter.get(options.ready ?? "/health", ready(options)),
      HttpRouter.get(options.live ?? "/health/live", live)
    ) as HttpRouter.HttpRouter<E, R | NeedsOf<C>>
}

/**
 * Adds both routes to the `HttpLayerRouter`, over the services that are there when it is built.
 *
 * @example
 * import { HttpLayerRouter } from "@effect/platform"
 * import { FoundationLive } from "effect-foundation"
 * import * as Health from "effect-foundation/Http/Health"
 * import { Layer } from "effect"
 *
 * const { dispose, handler } = HttpLayerRouter.toWebHandler(
 *   Health.layerRoutes({ required: ["events"] }).pipe(Layer.provide(FoundationLive), Layer.orDie)
 * )
 * const response = await handler(new Request("http://localhost/health/live"))
 * console.log(response.status)
 * await dispose()
 */
export const layerRoutes = <const C extends Health.Checks = Record<never, never>>(
  options: Options<C> & Paths = {}
): Layer.Layer<never, never, HttpLayerRouter.HttpRouter | NeedsOf<C>> => {
  deadlineOf(options.deadline)
  return HttpLayerRouter.use((router) =>
    Effect.gen(function* () {
      const context = yield* Effect.context<NeedsOf<C>>()
      yield* router.add(
        "GET",
        options.ready ?? "/health",
        Effect.mapInputContext(ready(options), (request: Context.Context<never>) => Context.merge(request, context))
      )
      yield* router.add("GET", options.live ?? "/health/live", live)
    })
  )
}
