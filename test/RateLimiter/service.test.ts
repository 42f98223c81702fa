import { describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Layer, Logger, LogLevel, Schema, TestClock } from "effect"
import { Config } from "effect-foundation/Config"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { ConfigError, RateLimited } from "effect-foundation/FoundationError"
import { RateLimiter } from "effect-foundation/RateLimiter"
import { Telemetry } from "effect-foundation/Telemetry"
import { expect } from "vitest"
import { ManualClock } from "../ManualClock.js"

const layer = RateLimiter.layer.pipe(Layer.provideMerge(Telemetry.layer))

/** Collects the events of these names. */
const collected = (selector: string) =>
  Effect.gen(function* () {
    const events: Array<Telemetry.Event> = []
    yield* Telemetry.attach("collected", selector, (event) => void events.push(event))
    return events
  })

/** The mistake that the effect died of. */
const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    const defect = Exit.isFailure(exit) ? Cause.defects(exit.cause).pipe((all) => [...all][0]) : undefined
    if (!(defect instanceof ConfigError)) return expect.fail(`no ConfigError, but ${exit}`)
    return defect
  })

describe("RateLimiter.execute", () => {
  it.effect("runs the effect in both forms, with and without options, and passes its own error through", () =>
    Effect.gen(function* () {
      expect(yield* RateLimiter.execute(Effect.succeed(1))).toBe(1)
      expect(yield* Effect.succeed(2).pipe(RateLimiter.execute())).toBe(2)
      expect(yield* Effect.succeed(3).pipe(RateLimiter.execute({ name: "x", maxRequests: 3 }))).toBe(3)
      expect(yield* Effect.flip(RateLimiter.execute(Effect.fail("own"), { name: "x" }))).toBe("own")
      expect((yield* RateLimiter.peek({ name: "x" })).remaining).toBe(1)
      expect((yield* RateLimiter.peek()).remaining).toBe(98)
      // A Tag is an effect too, and has a name and a key as options do.
      expect(yield* RateLimiter.execute(Telemetry)).toBe(yield* Telemetry)
    }).pipe(Effect.provide(layer))
  )

  it.effect("admits 100 in a minute where nothing else is said", () =>
    Effect.gen(function* () {
      yield* Effect.replicateEffect(RateLimiter.execute(Effect.void), 100)
      const error = yield* Effect.flip(RateLimiter.execute(Effect.die("not admitted")))
      expect(error.message).toBe('Limit "default": 100 requests in 60 s are used up; try again in 60000 ms')
      yield* TestClock.adjust("59999 millis")
      yield* Effect.flip(RateLimiter.execute(Effect.void))
      yield* TestClock.adjust("1 millis")
      yield* Effect.replicateEffect(RateLimiter.execute(Effect.void), 100)
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails with an error that says all, carries the correlation id, and survives the wire", () =>
    Effect.gen(function* () {
      const limit = { name: "api", key: "user-1", maxRequests: 1, interval: "1500 millis" } as const
      yield* RateLimiter.consume(limit)
      yield* TestClock.adjust(300)
      const error = yield* Effect.flip(RateLimiter.consume(limit)).pipe(CorrelationId.with("req-1"))
      if (error._tag !== "RateLimited") return expect.fail("another error")
      expect(error).toBeInstanceOf(RateLimited)
      expect(error.message).toBe('Limit "api" for "user-1": 1 request in 1500 ms is used up; try again in 1200 ms')
      expect(error).toMatchObject({
        code: "rate_limited",
        limiter: "api",
        key: "user-1",
        limit: 1,
        correlationId: "req-1"
      })
      expect(error.context).toEqual({ reason: "used_up", cost: 1, algorithm: "sliding-window" })
      expect(Duration.toMillis(error.retryAfter)).toBe(1200)
      const wire = JSON.parse(JSON.stringify(yield* Schema.encode(RateLimited)(error)))
      const back = yield* Schema.decodeUnknown(RateLimited)(wire)
      expect(back).toMatchObject({ ...error })
    }).pipe(Effect.provide(layer))
  )

  it.effect("goes by elapsed time: a jump of the wall clock frees nothing and holds nothing up", () => {
    const clock = new ManualClock()
    return Effect.gen(function* () {
      for (const algorithm of ["sliding-window", "fixed-window", "token-bucket"] as const) {
        const limit = { name: algorithm, algorithm, maxRequests: 1, interval: "1 second" } as const
        yield* RateLimiter.consume(limit)
        yield* clock.jump(86_400_000)
        yield* Effect.flip(RateLimiter.consume(limit))
        yield* clock.jump(-2 * 86_400_000)
        expect(yield* Effect.flip(RateLimiter.consume(limit))).toMatchObject({ retryAfter: Duration.seconds(1) })
        yield* clock.advance(1000)
        yield* RateLimiter.consume(limit)
      }
    }).pipe(Effect.provide(layer), Effect.withClock(clock))
  })

  it.effect("takes from no limit where the list is empty", () =>
    Effect.gen(function* () {
      expect(yield* RateLimiter.execute(Effect.succeed(1), [])).toBe(1)
      expect(yield* RateLimiter.consumeAll([])).toEqual([])
    }).pipe(Effect.provide(layer))
  )

  it.effect("keeps the limits of two services apart", () =>
    Effect.gen(function* () {
      const one = yield* RateLimiter.make()
      const other = yield* RateLimiter.make()
      yield* one.consume({ maxRequests: 1 })
      yield* other.consume({ maxRequests: 1 })
      expect(yield* Effect.succeed(1).pipe(one.execute({ name: "b" }))).toBe(1)
    }).pipe(Effect.provide(layer))
  )
})

describe("bad options", () => {
  const wrong: ReadonlyArray<readonly [field: string, value: unknown]> = [
    ...[0, -1, Number.NaN, Infinity, 1.5, 1e12, "5", null].map((value) => ["maxRequests", value] as const),
    ...[0, -1, Number.NaN, Infinity, "soon", "-1 second", Duration.zero, Duration.infinity, "400 days", {}].map(
      (value) => ["interval", value] as const
    ),
    ...["", "x".repeat(257), 5, null].map((value) => ["name", value] as const),
    ...["leaky-bucket", "", null].map((value) => ["algorithm", value] as const),
    ...["throw", null].map((value) => ["onExceeded", value] as const),
    ...[-1, Number.NaN, "a while"].map((value) => ["maxWait", value] as const)
  ]
  const wrongInCall: typeof wrong = [
    ...wrong,
    ...[0, -1, Number.NaN, 1.5, 101, Infinity].map((value) => ["cost", value] as const),
    ...["x".repeat(257), 5, null].map((value) => ["key", value] as const)
  ]

  it.effect.each(wrong)("are refused by policy(), with a message: %s of %s", ([field, value]) =>
    Effect.gen(function* () {
      // What a program without types can pass.
      const options = { [field]: value } as RateLimiter.PolicyOptions
      const error = yield* Effect.flip(RateLimiter.policy(options))
      expect(error).toBeInstanceOf(ConfigError)
      expect(error).toMatchObject({ reason: "invalid_value" })
      expect(error.path).toMatch(new RegExp(`^rateLimiter\\..*\\.${field}$`))
      expect(error.message).toMatch(new RegExp(`^${field} of the limit ".*" must be `))
    })
  )

  it.effect.each(wrongInCall)("are a defect of the call: %s of %s", ([field, value]) =>
    Effect.gen(function* () {
      const options = { [field]: value } as RateLimiter.Options
      const first = yield* defectOf(RateLimiter.execute(Effect.void, options))
      expect(first.path).toMatch(new RegExp(`\\.${field}$`))
      // Also where the name is known already.
      yield* RateLimiter.consume()
      expect((yield* defectOf(RateLimiter.consume(options))).message).toBe(first.message)
      expect((yield* RateLimiter.peek()).remaining).toBe(99)
    }).pipe(Effect.provide(layer))
  )

  it.effect("are a cost above the limit, alone or in sum", () =>
    Effect.gen(function* () {
      const limit = { name: "small", maxRequests: 5 } as const
      expect((yield* defectOf(RateLimiter.consume({ ...limit, cost: 6 }))).message).toBe(
        'cost of the limit "small" must be a whole number from 1 to the 5 that the limit admits in an interval, but is 6'
      )
      const twice = [
        { ...limit, cost: 3 },
        { ...limit, cost: 3 }
      ]
      expect((yield* defectOf(RateLimiter.consumeAll(twice))).path).toBe("rateLimiter.small.cost")
      expect((yield* RateLimiter.peek(limit)).remaining).toBe(5)
    }).pipe(Effect.provide(layer))
  )

  it.effect("are a sliding window too large for its log, and the message says what else there is", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(RateLimiter.policy({ maxRequests: 100_000_000 }))
      expect(error.message).toContain("token-bucket")
      expect((yield* RateLimiter.policy({ maxRequests: 100_000_000, algorithm: "token-bucket" })).maxRequests).toBe(1e8)
    })
  )

  it.effect("are more names than there may be", () =>
    Effect.gen(function* () {
      for (let index = 0; index < 10_000; index++) yield* RateLimiter.consume({ name: `name-${index}` })
      expect((yield* defectOf(RateLimiter.consume({ name: "one more" }))).message).toContain("key")
      yield* RateLimiter.consume({ name: "name-0" })
    }).pipe(Effect.provide(layer))
  )
})

describe("policies", () => {
  it.effect("that were checked serve as options", () =>
    Effect.gen(function* () {
      const policy = yield* RateLimiter.policy({ name: "checked", maxRequests: 2, interval: "10 seconds" })
      expect(policy).toMatchObject({ name: "checked", maxRequests: 2, algorithm: "sliding-window", onExceeded: "fail" })
      expect(Duration.toMillis(policy.interval)).toBe(10_000)
      yield* RateLimiter.consume(policy)
      yield* RateLimiter.consume({ ...policy, key: "ada", cost: 2 })
      expect((yield* RateLimiter.peek(policy)).remaining).toBe(1)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("of one name that differ are reported, once in the log, and the first stays", () => {
    const logged: Array<string> = []
    const logger = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ logLevel, message }) => {
        if (LogLevel.greaterThanEqual(logLevel, LogLevel.Warning)) logged.push(String(message))
      })
    )
    return Effect.gen(function* () {
      const events = yield* collected("rate_limiter.policy.conflict")
      yield* RateLimiter.consume({ name: "a", maxRequests: 5 })
      yield* RateLimiter.consume({ name: "a" })
      yield* RateLimiter.consume({ name: "a", key: "other", cost: 2 })
      yield* RateLimiter.consume({ name: "a", maxRequests: 5, interval: Duration.minutes(1) })
      yield* RateLimiter.consume({ name: "a", interval: 60_000, onExceeded: "wait", maxWait: 5 })
      expect(events).toEqual([])
      const second = yield* RateLimiter.consume({ name: "a", maxRequests: 50 })
      expect(second.limit).toBe(5)
      yield* RateLimiter.consume({ name: "a", key: "b", maxRequests: 50 })
      yield* RateLimiter.consume({ name: "a", key: "b", algorithm: "fixed-window" })
      expect(events.map(({ metadata }) => metadata)).toEqual([{ name: "a" }, { name: "a" }])
      expect(logged).toHaveLength(1)
      expect(logged[0]).toContain("50 in 60 s")
    }).pipe(Effect.provide(layer), Effect.provide(logger))
  })

  it.effect("are the defaults until one is stated, which then is the first and keeps what was taken", () =>
    Effect.gen(function* () {
      expect((yield* RateLimiter.consume({ name: "late" })).limit).toBe(100)
      expect(yield* RateLimiter.consume({ name: "late", maxRequests: 3 })).toMatchObject({ limit: 3, remaining: 1 })
      expect((yield* RateLimiter.peek({ name: "late" })).limit).toBe(3)
    }).pipe(Effect.provide(layer))
  )

  const configured = (config: Record<string, unknown>) =>
    RateLimiter.layerConfig.pipe(
      Layer.provideMerge(Config.layerFrom(Config.object({ rateLimiter: config }))),
      Layer.provideMerge(Telemetry.layer)
    )

  it.effect("in the configuration win over the code, live, and keep what was taken", () =>
    Effect.gen(function* () {
      const code = { name: "api", maxRequests: 10, interval: "1 minute" } as const
      expect(yield* RateLimiter.consume({ ...code, cost: 2 })).toMatchObject({ limit: 5, remaining: 3 })
      yield* Config.set("rateLimiter.api.maxRequests", 3)
      expect(yield* RateLimiter.consume(code)).toMatchObject({ limit: 3, remaining: 0 })
      yield* Effect.flip(RateLimiter.consume(code))
      yield* Config.set("rateLimiter.api.maxRequests", 20)
      yield* Config.set("rateLimiter.api.interval", "10 seconds")
      expect(yield* RateLimiter.consume(code)).toMatchObject({ limit: 20, remaining: 16 })
      yield* TestClock.adjust("10 seconds")
      expect((yield* RateLimiter.peek(code)).remaining).toBe(20)
      yield* Config.set("rateLimiter.api.algorithm", "fixed-window")
      expect(yield* RateLimiter.consume(code)).toMatchObject({ limit: 20, remaining: 19 })
    }).pipe(Effect.provide(configured({ api: { maxRequests: 5 } })))
  )

  it.effect("in the configuration may lower a limit below a cost: then the call is refused, and told why", () =>
    Effect.gen(function* () {
      const call = { name: "bulk", maxRequests: 100, cost: 60 } as const
      const error = yield* Effect.flip(RateLimiter.consume(call))
      expect(error).toMatchObject({
        _tag: "RateLimited",
        limit: 50,
        retryAfter: Duration.minutes(1),
        context: { reason: "cost_above_limit" }
      })
      expect(error.message).toContain("the cost of 60 is above the 50 requests in 60 s")
      expect((yield* RateLimiter.peek(call)).retryAfter).toEqual(Duration.infinity)
      yield* defectOf(RateLimiter.consume({ ...call, cost: 101 }))
    }).pipe(Effect.provide(configured({ bulk: { maxRequests: 50 } })))
  )

  it.scoped("in the configuration that do not go with the code's are reported, and the last good one stays", () =>
    Effect.gen(function* () {
      const events = yield* collected("config.policy.rejected")
      const code = { name: "wide", maxRequests: 100_000_000, algorithm: "token-bucket" } as const
      yield* RateLimiter.consume(code)
      yield* Config.set("rateLimiter.wide.algorithm", "sliding-window")
      expect((yield* RateLimiter.consume(code)).limit).toBe(100_000_000)
      expect(events[0]?.metadata).toMatchObject({ component: "rateLimiter", name: "wide" })
    }).pipe(Effect.provide(configured({ wide: { interval: "1 hour" } })))
  )

  it.effect("in the configuration reach those that wait, with the next call under the name", () =>
    Effect.gen(function* () {
      const code = { name: "calm", key: "a", maxRequests: 1, interval: "1 hour" } as const
      yield* RateLimiter.consume(code)
      const waiting = yield* Effect.fork(RateLimiter.consume(code))
      yield* TestClock.adjust("1 second")
      yield* Config.set("rateLimiter.calm.maxRequests", 2)
      yield* RateLimiter.consume({ ...code, key: "b" })
      expect((yield* waiting).limit).toBe(2)
    }).pipe(Effect.provide(configured({ calm: { onExceeded: "wait" } })))
  )

  it.effect("in the configuration say whether calls wait", () =>
    Effect.gen(function* () {
      const code = { name: "calm", maxRequests: 1, interval: "1 second" } as const
      yield* RateLimiter.consume(code)
      const waiting = yield* Effect.fork(RateLimiter.consume(code))
      yield* TestClock.adjust("1 second")
      yield* waiting
      yield* Config.set("rateLimiter.calm.onExceeded", "fail")
      yield* Effect.flip(RateLimiter.consume(code))
    }).pipe(Effect.provide(configured({ calm: { onExceeded: "wait" } })))
  )
})

describe("telemetry", () => {
  it.scoped("tells what was admitted and what was rejected", () =>
    Effect.gen(function* () {
      const events = yield* collected("rate_limiter.*")
      const limit = { name: "told", key: "ada", maxRequests: 3, interval: "1 second" } as const
      yield* RateLimiter.consume({ ...limit, cost: 2 })
      yield* Effect.flip(RateLimiter.consume({ ...limit, cost: 2 }))
      const waiting = yield* Effect.fork(RateLimiter.consume({ ...limit, cost: 2, onExceeded: "wait" }))
      yield* TestClock.adjust("1 second")
      yield* waiting
      expect(events.map(({ measurements, metadata, name }) => ({ name, ...measurements, metadata }))).toEqual([
        { name: "rate_limiter.admitted", cost: 2, remaining: 1, waited: 0, metadata: { name: "told", key: "ada" } },
        { name: "rate_limiter.rejected", cost: 2, retryAfter: 1000, metadata: { name: "told", key: "ada" } },
        { name: "rate_limiter.admitted", cost: 2, remaining: 1, waited: 1000, metadata: { name: "told", key: "ada" } }
      ])
    }).pipe(Effect.provide(layer))
  )
})
