import { it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, LogLevel, Schedule, Scope } from "effect"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { Redis } from "effect-foundation/Redis"
import { afterAll } from "vitest"
import { startRedis } from "../../examples/servers/Redis.js"
import { circuitBreakerContract } from "../contract/CircuitBreaker.js"
import { describeRedis, freshPrefix } from "../support/redis.js"

/** A cluster of one node: it takes no script whose keys are of two slots, as one of many does. */
const start = Effect.gen(function* () {
  const node = yield* startRedis({ settings: { "cluster-enabled": "yes", "cluster-announce-ip": "127.0.0.1" } })
  yield* node.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
  yield* Effect.repeat(node.command("CLUSTER", "INFO"), {
    until: (info) => info.includes("cluster_state:ok"),
    schedule: Schedule.spaced("20 millis")
  })
  return node
})

const scope = Effect.runSync(Scope.make())
let asked: Promise<Effect.Effect.Success<typeof start>> | undefined
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const cluster = Layer.unwrapEffect(
  Effect.map(
    Effect.promise(() => (asked ??= Effect.runPromise(Scope.extend(start, scope)))),
    ({ port }) =>
      Redis.layer({ cluster: [{ host: "127.0.0.1", port }] }).pipe(Layer.provide(Logger.minimumLogLevel(LogLevel.None)))
  )
)

describeRedis("on a cluster", () => {
  circuitBreakerContract("a Redis Cluster", {
    layer: Layer.unwrapEffect(
      Effect.map(freshPrefix, (prefix) =>
        CircuitBreakerRedis.layer({ prefix, deadline: "2 seconds", onUnavailable: "fail" })
      )
    ).pipe(Layer.provide(cluster)),
    advance: Effect.sleep,
    it: it.live
  })
})
