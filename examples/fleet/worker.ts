import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Clock, Effect, Layer, Logger, LogLevel, Match, Stream } from "effect"
import { CircuitBreaker, RateLimiter, Telemetry } from "effect-foundation"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Redis } from "effect-foundation/Redis"
import { circuit, limit, pause, type Said } from "./Protocol.js"

/** One process of the fleet. It knows where Redis and the provider are, and nothing of the other workers. */
const [redis = "", provider = ""] = process.argv.slice(2)

const say = (message: Said) => Effect.sync(() => process.send?.(message))

/** One call: as far as the limit of the fleet lets it, and then its circuit. */
const call = Effect.gen(function* () {
  const asked = yield* Clock.currentTimeMillis
  yield* RateLimiter.consume(limit)
  yield* say({ said: "admitted", asked, answered: yield* Clock.currentTimeMillis })
  yield* HttpClient.get(provider).pipe(
    Effect.flatMap(HttpClientResponse.filterStatusOk),
    Effect.scoped,
    CircuitBreaker.execute(circuit)
  )
}).pipe(
  Effect.match({
    onSuccess: () => "ok" as const,
    onFailure: Match.type<unknown>().pipe(
      Match.when({ _tag: "RateLimited" }, () => "limited" as const),
      Match.when({ _tag: "CircuitOpen" }, () => "rejected" as const),
      Match.orElse(() => "failed" as const)
    )
  }),
  Effect.flatMap((end) => say({ said: "ended", end }))
)

const program = Effect.gen(function* () {
  yield* CircuitBreaker.changes.pipe(
    Stream.runForEach(({ to }) => Effect.flatMap(Clock.currentTimeMillis, (at) => say({ said: "changed", to, at }))),
    Effect.fork
  )
  return yield* Effect.forever(Effect.zipRight(Effect.fork(call), Effect.sleep(pause)))
})

/** What Redis does not decide on fails: the limit holds come what may, also on a machine that is busy with other things. */
const strict = { onUnavailable: "fail", deadline: "1 second" } as const

const Live = Layer.merge(CircuitBreakerRedis.layer(strict), RateLimiterRedis.layer(strict)).pipe(
  Layer.provide(Redis.layer({ url: redis })),
  Layer.provide(Telemetry.layer),
  Layer.merge(FetchHttpClient.layer),
  Layer.provide(Logger.minimumLogLevel(LogLevel.Warning))
)

process.once("disconnect", () => process.exit()) // whoever started it has gone
program.pipe(Effect.provide(Live), NodeRuntime.runMain)
