/** What a stranger would write first: compiled and run against the packed package, in a project of its own. */
import { Duration, Effect } from "effect"
import { Config, Events, FoundationLive, isFoundationError, RateLimiter, Retry } from "effect-foundation"
import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
import { FoundationTest } from "effect-foundation/Testing"

const program = Effect.gen(function* () {
  const port: number = yield* Config.get("port", 8080)
  const stored = yield* Effect.succeed({ port }).pipe(
    CircuitBreaker.execute({ name: "orders", timeout: "1 second" }),
    RateLimiter.execute({ name: "orders", maxRequests: 50, interval: Duration.minutes(1) }),
    Effect.retry(Retry.schedule({ times: 5 })),
    Effect.flatMap((data) => Events.store({ type: "order_placed", data }))
  )
  const found = yield* Events.get({ id: stored.id })
  return found.map(({ type, data }) => ({ type, data }))
})

const refused = program.pipe(
  CircuitBreaker.execute({ name: "closed to all" }),
  Effect.zipLeft(CircuitBreaker.forceOpen("closed to all")),
  Effect.repeatN(1),
  Effect.flip,
  Effect.map((error) => isFoundationError(error) && error.code)
)

for (const layer of [FoundationLive, FoundationTest]) {
  const [orders, code] = await Effect.runPromise(Effect.all([program, refused]).pipe(Effect.provide(layer)))
  console.log(JSON.stringify(orders), code)
}
