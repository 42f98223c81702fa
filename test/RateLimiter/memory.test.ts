import { it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import { RateLimiter } from "effect-foundation/RateLimiter"
import { Memory } from "../../src/RateLimiter/Memory.js"
import { rateLimiterContract } from "../contract/RateLimiter.js"

rateLimiterContract("memory", { layer: RateLimiter.layer, advance: TestClock.adjust, it: it.effect })

/** As a backend in another process answers: by an effect, in a later step. */
const later = <A>(answer: () => A) => Effect.zipRight(Effect.yieldNow(), Effect.sync(answer))

const distant = Layer.effect(
  RateLimiter,
  Effect.suspend(() => {
    const memory = new Memory()
    return RateLimiter.make({
      backend: {
        take: (requests, clock) => later(() => memory.take(requests, clock)),
        peek: (request, clock) => later(() => memory.peek(request, clock)),
        reset: (limit, key) => later(() => memory.reset(limit, key))
      }
    })
  })
)

rateLimiterContract("a backend that answers by an effect", {
  layer: distant,
  advance: TestClock.adjust,
  it: it.effect
})
