import { FileSystem } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Either, Layer, Logger } from "effect"
import {
  CircuitBreaker,
  Config,
  type ConfigError,
  CorrelationId,
  Events,
  Foundation,
  FoundationLive,
  RateLimiter,
  Retry,
  ServiceRegistry,
  Telemetry
} from "effect-foundation"
import { FoundationTest, TelemetryRecording } from "effect-foundation/Testing"
import { expectTypeOf } from "vitest"

class Database extends Context.Tag("test/Database")<Database, { readonly url: string }>() {}
class DatabaseDown extends Error {}

const names = (recording: ReadonlyArray<Telemetry.Event>) => recording.map((event) => event.name)

describe("FoundationLive", () => {
  it.live("serves a program that uses all six services", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("port", 8080)).toBe(8080)
      yield* Events.store({ type: "order_placed", data: { orderId: 123 } })
      expect(yield* Events.get({ type: "order_placed" })).toHaveLength(1)
      yield* Telemetry.execute("request_latency", { duration: 50 }, { controller: "UserController" })
      yield* ServiceRegistry.register("auth_service", new URL("http://localhost:9000"))
      expect((yield* ServiceRegistry.lookup("auth_service")).process).toEqual(new URL("http://localhost:9000"))
      const charged = yield* Effect.succeed("charged").pipe(
        CircuitBreaker.execute({ name: "payments", timeout: "1 second" }),
        RateLimiter.execute({ name: "payments", maxRequests: 50 }),
        Effect.retry(Retry.schedule({ times: 5 }))
      )
      expect(charged).toBe("charged")
    }).pipe(Effect.scoped, Effect.provide(FoundationLive))
  )

  it("needs nothing, and fails only with a ConfigError", () => {
    expectTypeOf(FoundationLive).toEqualTypeOf<Layer.Layer<Foundation, ConfigError>>()
  })

  it.live("fails with a ConfigError when FOUNDATION_CONFIG names a file that is not there", () =>
    Effect.gen(function* () {
      process.env.FOUNDATION_CONFIG = "/nowhere/foundation.config.yaml"
      const built = yield* Effect.either(Layer.build(Foundation.layer()))
      expect(Either.isLeft(built) && built.left).toMatchObject({ _tag: "ConfigError", reason: "source_unavailable" })
      expect(Either.isLeft(built) && built.left.message).toContain("/nowhere/foundation.config.yaml")
    }).pipe(
      Effect.scoped,
      Effect.ensuring(
        Effect.sync(() => {
          delete process.env.FOUNDATION_CONFIG
        })
      )
    )
  )

  it.live("reads the file that FOUNDATION_CONFIG names, and variables over it", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/app.toml`
      yield* fs.writeFileString(path, '[server]\nhost = "file"\nmaxConnections = 5\n')
      process.env.FOUNDATION_CONFIG = path
      process.env.FOUNDATION__SERVER__MAX_CONNECTIONS = "7"
      const read = Effect.all([Config.get("server.host", ""), Config.get("server.maxConnections", 0)])
      expect(yield* Effect.provide(read, Foundation.layer())).toEqual(["file", 7])
    }).pipe(
      Effect.scoped,
      Effect.provide(NodeFileSystem.layer),
      Effect.ensuring(
        Effect.sync(() => {
          delete process.env.FOUNDATION_CONFIG
          delete process.env.FOUNDATION__SERVER__MAX_CONNECTIONS
        })
      )
    )
  )
})

describe("Foundation.layer", () => {
  it("shows the errors and needs of a replacement in its type", () => {
    const events: Layer.Layer<Events, DatabaseDown, Database | Telemetry | Config> = Layer.die("only its type matters")
    expectTypeOf(Foundation.layer({ events })).toEqualTypeOf<
      Layer.Layer<Foundation, ConfigError | DatabaseDown, Database>
    >()

    const config: Layer.Layer<Config, DatabaseDown, Telemetry | Database> = Layer.die("only its type matters")
    expectTypeOf(Foundation.layer({ config })).toEqualTypeOf<Layer.Layer<Foundation, DatabaseDown, Database>>()

    const telemetry: Layer.Layer<Telemetry, never, Database> = Layer.die("only its type matters")
    expectTypeOf(Foundation.layer({ telemetry })).toEqualTypeOf<Layer.Layer<Foundation, ConfigError, Database>>()
    expectTypeOf(Foundation.layer({})).toEqualTypeOf<typeof FoundationLive>()

    // @ts-expect-error a layer of another service cannot stand in
    Foundation.layer({ events: ServiceRegistry.layer })
  })

  it.effect("gives a replacement the telemetry and the configuration", () =>
    Effect.gen(function* () {
      const serviceRegistry = Layer.unwrapEffect(
        Effect.map(Config.get("registry.capacity", 0), (capacity) => ServiceRegistry.layerMemory({ capacity }))
      )
      const Live = Foundation.layer({
        config: Config.layerFrom(Config.object({ registry: { capacity: 1 } })),
        serviceRegistry
      })
      const second = Effect.gen(function* () {
        yield* ServiceRegistry.register("a", new URL("http://a"))
        return yield* Effect.flip(ServiceRegistry.register("b", new URL("http://b")))
      })
      expect(yield* second.pipe(Effect.scoped, Effect.provide(Live))).toMatchObject({ reason: "registry_full" })
    })
  )

  it.effect("is built once within one provide, however often it stands in the composition", () =>
    Effect.gen(function* () {
      let built = 0
      const telemetry = Layer.tap(Telemetry.layer, () => Effect.sync(() => built++))
      const Live = Foundation.layer({ config: Config.layerFrom(Config.object({})), telemetry })
      const orders = Layer.effectDiscard(Events.store({ type: "started" })).pipe(Layer.provide(Live))
      const mails = Layer.effectDiscard(Events.store({ type: "started" })).pipe(Layer.provide(Live))
      const app = Layer.mergeAll(orders, mails).pipe(Layer.provideMerge(Live))
      expect(yield* Events.get().pipe(Effect.provide(app))).toHaveLength(2)
      expect(built).toBe(1)
    })
  )
})

describe("a policy that the configuration states by name", () => {
  const failing = Effect.fail("down").pipe(
    CircuitBreaker.execute({ name: "payments", maxFailures: 3 }),
    Effect.catchAll((error) => Effect.succeed(typeof error === "string" ? error : error._tag))
  )
  const limited = Effect.succeed("sent").pipe(
    RateLimiter.execute({ name: "messages", maxRequests: 2 }),
    Effect.catchTag("RateLimited", (error) => Effect.succeed(error._tag))
  )

  it.effect("wins over the options in code", () =>
    Effect.gen(function* () {
      yield* Config.set("circuitBreaker.payments", { maxFailures: 1 })
      expect([yield* failing, yield* failing]).toEqual(["down", "CircuitOpen"])
      yield* Config.set("rateLimiter.messages", { maxRequests: 1 })
      expect([yield* limited, yield* limited]).toEqual(["sent", "RateLimited"])
    }).pipe(Effect.provide(FoundationTest))
  )

  it.effect("is in force from the next call on, and the state survives", () =>
    Effect.gen(function* () {
      expect([yield* failing, yield* failing]).toEqual(["down", "down"])
      yield* Config.set("circuitBreaker.payments.maxFailures", 5)
      expect([yield* failing, yield* failing, yield* failing]).toEqual(["down", "down", "down"])
      expect(yield* failing).toBe("CircuitOpen")

      expect([yield* limited, yield* limited, yield* limited]).toEqual(["sent", "sent", "RateLimited"])
      yield* Config.set("rateLimiter.messages.maxRequests", 3)
      expect([yield* limited, yield* limited]).toEqual(["sent", "RateLimited"])
    }).pipe(Effect.provide(FoundationTest))
  )

  it.effect("may come from the environment, in its spelling", () => {
    const env = {
      FOUNDATION__CIRCUIT_BREAKER__PAYMENTS__MAX_FAILURES: "1",
      FOUNDATION__RATE_LIMITER__MESSAGES__MAX_REQUESTS: "1"
    }
    return Effect.gen(function* () {
      expect([yield* failing, yield* failing]).toEqual(["down", "CircuitOpen"])
      expect([yield* limited, yield* limited]).toEqual(["sent", "RateLimited"])
    }).pipe(Effect.provide(Foundation.layer({ config: Config.layerFrom(Config.env({ env })) })))
  })

  it.effect("is reported when it becomes invalid or goes missing, and the last good one stays in force", () => {
    const logged: Array<string> = []
    const logger = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ message }) => {
        logged.push(String(message))
      })
    )
    return Effect.gen(function* () {
      const recording = yield* TelemetryRecording
      const rejected = Effect.map(recording.named("config.policy.rejected"), (events) =>
        events.map(({ metadata }) => [metadata.component, metadata.name])
      )
      yield* Config.set("rateLimiter.messages", { maxRequests: 1 })
      expect([yield* limited, yield* limited]).toEqual(["sent", "RateLimited"])
      expect(yield* rejected).toEqual([])

      for (const broken of [{ maxRequests: 0 }, { maxRequests: "many" }, { maxRequest: 5 }]) {
        yield* Config.set("rateLimiter.messages", broken)
        yield* Effect.yieldNow()
        expect(yield* limited).toBe("RateLimited")
      }
      yield* Config.unset("rateLimiter.messages")
      expect(yield* limited).toBe("RateLimited")
      yield* Effect.yieldNow()

      expect(yield* rejected).toEqual(Array.from({ length: 4 }, () => ["rateLimiter", "messages"]))
      expect(logged.filter((line) => line.includes("rateLimiter.messages"))).toHaveLength(4)
    }).pipe(Effect.provide(FoundationTest), Effect.provide(logger))
  })

  it.effect("is not missed where it never was", () =>
    Effect.gen(function* () {
      expect([yield* limited, yield* limited, yield* limited]).toEqual(["sent", "sent", "RateLimited"])
      expect(names(yield* (yield* TelemetryRecording).events)).not.toContain("config.policy.rejected")
    }).pipe(Effect.provide(FoundationTest))
  )
})

describe("the correlation id of a request", () => {
  it.effect("is the same in its errors, events, telemetry and log lines", () => {
    const logged: Array<string> = []
    const logger = Logger.replace(
      Logger.defaultLogger,
      Logger.map(Logger.logfmtLogger, (line) => {
        logged.push(line)
      })
    )
    return Effect.gen(function* () {
      const seen = yield* Effect.gen(function* () {
        const event = yield* Events.store({ type: "order_placed" })
        const error = yield* Effect.flip(ServiceRegistry.lookup("nobody"))
        yield* CircuitBreaker.forceOpen("payments")
        const open = yield* Effect.void.pipe(CircuitBreaker.execute({ name: "payments" }), Effect.flip)
        const inside = yield* CorrelationId.current.pipe(CircuitBreaker.execute({ name: "other", timeout: "1 second" }))
        yield* Telemetry.execute("order.placed")
        yield* Effect.log("placed")
        const [emitted] = yield* (yield* TelemetryRecording).named("order.placed")
        return [event.correlationId, error.correlationId, open.correlationId, inside, emitted?.correlationId]
      }).pipe(CorrelationId.with("req-1"))
      expect(seen).toEqual(["req-1", "req-1", "req-1", "req-1", "req-1"])
      expect(logged.at(-1)).toContain("correlationId=req-1")
    }).pipe(Effect.provide(FoundationTest), Effect.provide(logger))
  })

  it.effect("is made where none was set, and goes along into work that a deadline runs in another fiber", () =>
    Effect.gen(function* () {
      const inside = yield* CorrelationId.current.pipe(CircuitBreaker.execute({ name: "other", timeout: "1 second" }))
      expect(yield* CorrelationId.current).toBe(inside)
      expect((yield* Events.store({ type: "order_placed" })).correlationId).toBe(inside)
    }).pipe(Effect.provide(FoundationTest))
  )
})
