import { Effect, Either, Layer } from "effect"
import { RateLimiter } from "effect-foundation/RateLimiter"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { parent, runChild } from "../support/parent.js"

export interface Order {
  readonly url: string
  readonly prefix: string
  readonly limits: ReadonlyArray<RateLimiter.PolicyOptions & { readonly name: string; readonly maxCost: number }>
  readonly millis: number
}

/** What Redis has admitted, by its time: microseconds, and units. */
export interface Tally {
  readonly admitted: Readonly<Record<string, ReadonlyArray<readonly [at: number, cost: number]>>>
  /** How often each limit refused. */
  readonly refused: Readonly<Record<string, number>>
}

const { receive, send } = parent<Tally, Order>()

/** Notes what the scripts answer beside the decision: their time, and what they took. */
const noting = (admitted: Map<string, Array<readonly [number, number]>>) =>
  Layer.effect(
    Redis,
    Effect.map(Redis, (redis) => ({
      ...redis,
      unsafeRun: (script, keys, args, millis, done) =>
        redis.unsafeRun(script, keys, args, millis, (error, reply) => {
          const [, , , at, taken] = Array.isArray(reply) ? reply : []
          if (taken !== undefined) {
            const name = String(keys[0]).split(":")[2] ?? ""
            const all = admitted.get(name) ?? []
            admitted.set(name, all)
            all.push([at, taken])
          }
          done(error, reply)
        })
    }))
  )

const hammer = ({ limits, millis }: Order) =>
  Effect.gen(function* () {
    const end = performance.now() + millis
    const refused: Record<string, number> = {}
    const one = ({ maxCost, ...limit }: Order["limits"][number], index: number) =>
      RateLimiter.consume({ ...limit, key: "one", cost: 1 + (index % maxCost) }).pipe(
        Effect.either,
        Effect.flatMap((outcome) => {
          if (Either.isRight(outcome)) return Effect.void
          if (outcome.left._tag !== "RateLimited") return Effect.fail(outcome.left)
          refused[limit.name] = (refused[limit.name] ?? 0) + 1
          return Effect.void
        }),
        Effect.repeat({ while: () => performance.now() < end })
      )
    yield* Effect.all(
      limits.flatMap((limit) => Array.from({ length: 6 }, (_, index) => one(limit, index))),
      { concurrency: "unbounded", discard: true }
    )
    return refused
  })

runChild(
  Effect.gen(function* () {
    const order = yield* receive
    const admitted = new Map<string, Array<readonly [number, number]>>()
    const refused = yield* hammer(order).pipe(
      Effect.provide(
        RateLimiterRedis.layer({ prefix: order.prefix, onUnavailable: "fail", deadline: "10 seconds" }).pipe(
          Layer.provide(noting(admitted)),
          Layer.provide(Redis.layer({ url: order.url })),
          Layer.provide(Telemetry.layer)
        )
      )
    )
    yield* send({ admitted: Object.fromEntries(admitted), refused })
  })
)
