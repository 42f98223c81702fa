import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { Shutdown } from "../Foundation/Shutdown.js"

type Request = HttpServerRequest.HttpServerRequest

export interface Options {
  /**
   * Requests that are served as long as anybody listens: `/health` and what is beneath it, where not given. Others get 503
   * from the end of the delay on.
   */
  readonly always?: ((request: Request) => boolean) | undefined
}

const isHealth = ({ url }: Request): boolean => /^\/health(?:[/?#]|$)/.test(url)

/**
 * Counts each request as in flight until its response is sent, streams included, so that a shutdown (`Shutdown.launch`)
 * waits for it. From the beginning of a shutdown on, responses say `Connection: close`; from the end of its delay on, new
 * requests get 503 with `Retry-After: 1`. What is interrupted at the deadline is answered with 503; a response
 * that had begun ends where it is.
 *
 * For `HttpRouter.use`, `HttpServer.serve` and `HttpLayerRouter.middleware`. The outermost of the middlewares.
 *
 * @example
 * import { HttpApp, HttpRouter, HttpServerResponse } from "@effect/platform"
 * import * as HttpShutdown from "effect-foundation/Http/Shutdown"
 * import { Layer } from "effect"
 *
 * const router = HttpRouter.empty.pipe(
 *   HttpRouter.get("/", HttpServerResponse.text("hello")),
 *   HttpRouter.use(HttpShutdown.middleware())
 * )
 *
 * const { dispose, handler } = HttpApp.toWebHandlerLayer(router, Layer.empty)
 * const response = await handler(new Request("http://localhost/"))
 * console.log(await response.text())
 * await dispose()
 */
export const middleware = (options: Options = {}): (<E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R>) => {
  const { always = isHealth } = options
  return <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
    Effect.flatMap(Shutdown, (shutdown) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.withFiberRuntime<HttpServerResponse.HttpServerResponse, E, R | Request>((fiber) => {
          const request = Context.unsafeGet(fiber.currentContext, HttpServerRequest.HttpServerRequest)
          if (always(request)) return restore(app)
          if (shutdown.phase() === "closing") return Effect.succeed(refusal)
          const leave = shutdown.unsafeEnter(fiber)
          // By a handler, so that responses to failures say it too, and those of an app that is served inside.
          const answered = Effect.zipRight(
            HttpApp.appendPreResponseHandler((_, response) =>
              Effect.succeed(
                shutdown.isDraining() ? HttpServerResponse.setHeader(response, "connection", "close") : response
              )
            ),
            restore(app)
          )
          // Those who serve an app give each request a scope, and close it when the response was sent.
          const scope = Context.getOption(fiber.currentContext, Scope.Scope)
          return scope._tag === "None"
            ? Effect.ensuring(answered, Effect.sync(leave))
            : Effect.zipRight(Scope.addFinalizer(scope.value, Effect.sync(leave)), answered)
        })
      )
    )
}

const refusal = HttpServerResponse.text("This service is shutting down\n", {
  status: 503,
  headers: { connection: "close", "cache-control": "no-store", "retry-after": "1" }
})
