import * as Theirs from "@effect/experimental/RateLimiter"
import { Effect, Layer } from "effect"
import { RateLimiter, Telemetry } from "effect-foundation"
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible"
import { inTurn, users } from "../inTurn.js"
import { reasonOf, refused as toRefused } from "../Refused.js"
import { inRuntime, type Row } from "../Row.js"

/** More than any measurement takes. */
const plenty = 10_000_000

/** `call` has no name: what runs these files would give it one at each call, which costs half as much as the call. */
const attempt = <A>(call: () => Promise<A>) => Effect.tryPromise({ try: call, catch: toRefused })

/** The limits in this process, in the form in which a program calls them: an effect, and the limit of a user. */
export const rows = Effect.gen(function* () {
  const runtime = yield* Layer.toRuntime(
    Layer.merge(
      Layer.provide(RateLimiter.layer, Telemetry.layer),
      Layer.provideMerge(Theirs.layer, Theirs.layerStoreMemory)
    )
  )
  const withLimiter = yield* Effect.provide(Theirs.makeWithRateLimiter, runtime)
  const work = Effect.succeed("done")

  const ours = (name: string, algorithm: RateLimiter.Algorithm, maxRequests: number) => {
    const key = inTurn(users)
    return () => RateLimiter.execute(work, { name, key: key(), maxRequests, interval: "1 hour", algorithm })
  }
  const theirs = (name: string, algorithm: "fixed-window" | "token-bucket", limit: number) => {
    const key = inTurn(users.map((user) => `${name}:${user}`))
    return () => withLimiter({ key: key(), limit, window: "1 hour", algorithm })(work)
  }
  const flexible = (points: number) => {
    const limits = new RateLimiterMemory({ points, duration: 3600 })
    const key = inTurn(users)
    return {
      // An effect for each call, as for the others: the user is not known before.
      effect: () => {
        const user = key()
        return Effect.zipRight(
          attempt(() => limits.consume(user)),
          work
        )
      },
      bare: () => limits.consume(key()).catch((error: unknown) => error)
    }
  }

  const isDone = (result: unknown) => result === "done"
  const isRefusedByUs = (result: unknown) =>
    result instanceof Error && "_tag" in result && result._tag === "RateLimited"
  const isRefusedByThem = (result: unknown) => result instanceof Theirs.RateLimitExceeded
  const isRefusedByFlexible = (result: unknown) => {
    const reason = reasonOf(result)
    return reason instanceof RateLimiterRes && reason.remainingPoints === 0
  }

  const usedUp = <E>(call: () => Effect.Effect<string, E, RateLimiter>) =>
    Effect.provide(
      Effect.forEach(users, () => Effect.exit(call()), { discard: true }),
      runtime
    )

  const rowsOf = (algorithm: RateLimiter.Algorithm, beside: "fixed-window" | "token-bucket") =>
    Effect.gen(function* () {
      const more =
        algorithm === "sliding-window"
          ? "Ours is exact in every span; the others admit up to twice as many in one."
          : ""
      const refused = ours(`used-up-${algorithm}`, algorithm, 1)
      const refusedByThem = theirs(`used-up-${algorithm}`, beside, 1)
      const flexibleRefused = flexible(1)
      yield* Effect.all([usedUp(refused), usedUp(refusedByThem), usedUp(flexibleRefused.effect)])
      const admission: Row<RateLimiter> = {
        work: `limit, admission, 100 keys, ${algorithm}`,
        about: `Admits a call of one of 100 users in turn. ${more}`.trim(),
        ours: { name: "RateLimiter", effect: ours(`free-${algorithm}`, algorithm, plenty), gives: isDone },
        peers: [
          {
            name: `@effect/experimental RateLimiter, ${beside}`,
            effect: theirs(`free-${algorithm}`, beside, plenty),
            gives: isDone,
            atMost: 0.5
          },
          {
            name: "rate-limiter-flexible",
            ...flexible(plenty),
            gives: (result) => isDone(result) || result instanceof RateLimiterRes,
            atMost: 0.5
          }
        ]
      }
      const rejection: Row<RateLimiter> = {
        work: `limit, rejection, 100 keys, ${algorithm}`,
        about: `Refuses a call of one of 100 users in turn, who have used up their limits. ${more}`.trim(),
        ours: { name: "RateLimiter", effect: () => Effect.flip(refused()), gives: isRefusedByUs },
        peers: [
          {
            name: `@effect/experimental RateLimiter, ${beside}`,
            effect: () => Effect.flip(refusedByThem()),
            gives: isRefusedByThem,
            atMost: 0.5
          },
          {
            name: "rate-limiter-flexible",
            effect: () => Effect.flip(flexibleRefused.effect()),
            bare: flexibleRefused.bare,
            gives: isRefusedByFlexible,
            atMost: 0.5,
            floor:
              "Runs gave 0.46 to 0.54. The least that finds the service, the limit and the key, asks the time, decides, and fails with a native error of our fields, text and correlation id is 0.38 of it, of which the error is 0.14; what ours does besides (policies compared, key and cost checked, telemetry, lines of waiters) is spread over ten places; theirs is no error"
          }
        ]
      }
      return [admission, rejection]
    })

  const all = yield* Effect.all([
    rowsOf("sliding-window", "fixed-window"),
    rowsOf("fixed-window", "fixed-window"),
    rowsOf("token-bucket", "token-bucket")
  ])
  return inRuntime(runtime, all.flat())
})
