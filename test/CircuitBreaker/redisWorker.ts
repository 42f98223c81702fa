import { Duration, Effect, Fiber, Layer, Logger, LogLevel, Stream } from "effect"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { parent, runChild } from "../support/parent.js"

export type Told =
  | { readonly do: "call"; readonly end: "succeed" | "fail" }
  /** A call that never ends. */
  | { readonly do: "hang" }
  | { readonly do: "forceOpen" }

export type Said =
  | { readonly said: "ready" }
  | { readonly said: "ended"; readonly how: string }
  | { readonly said: "hanging" }
  | { readonly said: "forced" }
  | { readonly said: "changed"; readonly to: string }

/** A process of the fleet: does what it is told, and says how its calls end and what changes. */
const { messages, send } = parent<Said, Told>()
const [url = "", prefix = "", lease = ""] = process.argv.slice(2)

const policy = {
  name: "payments",
  maxFailures: 8,
  resetTimeout: "400 millis",
  timeout: Duration.seconds(30)
} as const

const obey = (told: Told): Effect.Effect<void, unknown, CircuitBreaker> => {
  switch (told.do) {
    case "call":
      return (told.end === "fail" ? Effect.fail("down") : Effect.succeed("up")).pipe(
        CircuitBreaker.execute(policy),
        Effect.match({
          onSuccess: () => "up",
          onFailure: (error) => (typeof error === "string" ? error : error.code)
        }),
        Effect.flatMap((how) => send({ said: "ended", how }))
      )
    case "hang":
      return send({ said: "hanging" }).pipe(
        Effect.zipRight(Effect.never),
        CircuitBreaker.execute(policy),
        Effect.catchAll((error) => send({ said: "ended", how: error.code })),
        Effect.fork,
        Effect.flatMap(Fiber.join)
      )
    case "forceOpen":
      return Effect.zipRight(CircuitBreaker.forceOpen("payments"), send({ said: "forced" }))
  }
}

runChild(
  Effect.gen(function* () {
    yield* CircuitBreaker.changes.pipe(
      Stream.runForEach(({ to }) => send({ said: "changed", to })),
      Effect.fork
    )
    yield* Effect.yieldNow().pipe(Effect.repeatN(10))
    yield* send({ said: "ready" })
    yield* Stream.runForEach(messages, (told) => Effect.fork(obey(told)))
    return yield* Effect.never
  }).pipe(
    Effect.provide(
      CircuitBreakerRedis.layer({ prefix, lease: Number(lease), deadline: "2 seconds" }).pipe(
        Layer.provide(Redis.layer({ url })),
        Layer.provide(Telemetry.layer)
      )
    ),
    Logger.withMinimumLogLevel(LogLevel.None)
  )
)
